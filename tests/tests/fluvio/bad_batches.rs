//! Against a real cluster, which takes what a producer sends unchecked: batches that cannot be read stand between good
//! ones, and cost nothing but themselves.

use std::{io::Write, time::Duration};

use bytes::Bytes;
use fluvio::metadata::{partition::PartitionSpec, spu::SpuSpec};
use fluvio_protocol::{
    Decoder, Encoder,
    api::RequestMessage,
    record::{Batch, MemoryRecords, RawRecords, Record},
};
use fluvio_socket::{FluvioSocket, MultiplexerSocket};
use fluvio_spu_schema::{
    Isolation,
    produce::{DefaultPartitionRequest, DefaultProduceRequest, DefaultTopicRequest},
};
use lab::receiver::Behaviour;
use tests::{DeadLetter, Events, Fleet, Loadline, Oracle, ShipmentEvent, Site, Wants, until};

use crate::{cluster::site, topic::Topic};

/// What a batch's attributes say if it is compressed with gzip.
const GZIP: i16 = 1;

/// The content of a batch that holds these values, as the protocol has it.
fn content(values: &[&[u8]]) -> Vec<u8> {
    let records: MemoryRecords = values.iter().map(|value| Record::new(value.to_vec())).collect();
    let mut bytes = Vec::new();
    records.encode(&mut bytes, 0).unwrap();
    bytes
}

/// A batch with this content, whatever it is, that takes `said` offsets.
fn batch(content: Vec<u8>, said: usize) -> Batch<RawRecords> {
    let mut batch = Batch::<RawRecords>::default();
    batch.set_offset_delta(i32::try_from(said).unwrap() - 1);
    batch.mut_records().0 = Bytes::from(content);
    batch
}

fn good(events: &[ShipmentEvent]) -> Batch<RawRecords> {
    let values: Vec<_> = events.iter().map(|event| event.body.as_ref()).collect();
    batch(content(&values), values.len())
}

/// The content with these bytes in place of the one before `value`, which is the value's length.
fn with_length(content: &[u8], value: &[u8], length: &[u8]) -> Vec<u8> {
    let at = content.windows(value.len()).position(|part| part == value).unwrap();
    [&content[..at - 1], length, &content[at..]].concat()
}

/// Some tens of kilobytes that become 64 MiB.
fn bomb() -> Batch<RawRecords> {
    let mut sent = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..64 {
        sent.write_all(&[0; 1 << 20]).unwrap();
    }
    let mut bomb = batch(sent.finish().unwrap(), 1);
    bomb.header.attributes = GZIP;
    bomb
}

/// Puts batches onto partition 0 as they are, one after the other; returns where each begins.
fn put(topic: &Topic, batches: &[Batch<RawRecords>]) -> Vec<u64> {
    topic.with_client(async |cluster| {
        let admin = cluster.admin().await;
        let partitions = admin.all::<PartitionSpec>().await.unwrap();
        let leader =
            partitions.iter().find(|one| one.name == format!("{}-0", topic.name)).unwrap().spec.leader;
        let spus = admin.all::<SpuSpec>().await.unwrap();
        let addr = spus.iter().find(|spu| spu.spec.id == leader).unwrap().spec.public_endpoint.addr();
        let socket = MultiplexerSocket::shared(FluvioSocket::connect(&addr).await.unwrap());
        let mut places = Vec::new();
        for batch in batches {
            let mut partition = DefaultPartitionRequest::default();
            partition.records.batches.push(batch.clone());
            let mut to = DefaultTopicRequest { name: topic.name.clone(), ..Default::default() };
            to.partitions.push(partition);
            let mut asked =
                DefaultProduceRequest { isolation: Isolation::ReadCommitted, ..Default::default() };
            asked.timeout = Duration::from_secs(4);
            asked.topics.push(to);
            let answer = socket.send_and_receive(RequestMessage::new_request(asked)).await.unwrap();
            let told = &answer.responses[0].partitions[0];
            assert!(told.error_code.is_ok(), "the cluster has refused a batch: {told:?}");
            places.push(u64::try_from(told.base_offset).unwrap());
        }
        places
    })
}

/// What a letter holds: the batch's content and what its header says of it. The cluster has written offset and epoch.
fn held(letter: &DeadLetter) -> (Bytes, i16, i32) {
    let mut batch = Batch::<RawRecords>::default();
    batch.decode(&mut letter.body().as_ref(), 0).unwrap();
    (batch.records().0.clone(), batch.header.attributes, batch.last_offset_delta())
}

fn places(letters: &[DeadLetter]) -> Vec<(u64, &str, &str)> {
    letters.iter().map(|one| (one.offset, one.stage.as_str(), one.cause.as_str())).collect()
}

/// What `loadline status` says of the partition.
fn status(site: &Site) -> serde_json::Value {
    let status = site.loadline(&["status", "--json"]).status();
    status["partitions"][0].clone()
}

/// A run that answers for itself: before that, asking for its status would open its directory.
fn begun(site: &Site) -> Loadline {
    let run = site.run();
    until("the run has begun", || run.log().contains("reading the partition"));
    run
}

#[test]
fn batches_that_cannot_be_read_become_one_letter_each_and_nothing_else_is_lost_or_told_twice() {
    let Some(topic) = Topic::create(1) else { return };
    let log = Events::new(41, 20).take(203);
    let (fleet, wants) = (Fleet::start(2), [Wants::all(), Wants::all()]);
    let oracle = Oracle::new(&log, &wants);
    let site = site(&fleet, &wants, &topic);

    let three = content(&[log[100].body.as_ref(), b"not told of", b"neither is this"]);
    // Zigzag: -1, and 2^40.
    let negative = batch(with_length(&three, b"not told of", &[1]), 3);
    let huge = with_length(&content(&[b"much"]), b"much", &[0x80, 0x80, 0x80, 0x80, 0x80, 0x40]);
    let huge = batch(huge, 1);
    let mut short = good(&log[101..103]);
    short.set_offset_delta(4);
    let cut = content(&[b"first", b"and last"]);
    let cut = batch(cut[..4].to_vec(), 2);
    let bad = [negative, huge, short, cut, bomb()];
    let mut all = vec![good(&log[..100])];
    all.extend(bad.iter().cloned());
    all.push(good(&log[103..]));
    assert_eq!(put(&topic, &all), [0, 100, 103, 104, 109, 111, 112]);

    // Nothing that is held up is settled, so the run after the kill reads it all again.
    fleet.tms(1).behave(Behaviour { latency: Duration::from_secs(20), ..Behaviour::default() });
    let mut run = site.run();
    until("what is behind them is delivered", || fleet.tms(0).taken() == log.len());
    until("each bad batch has a letter", || site.dead_letters().len() == bad.len());
    assert!(run.runs());
    assert_eq!(status(&site)["reading"]["gaps"], 0);
    let _killed = run.kill();
    let letters = site.dead_letters();
    let cause = "unreadable-batch";
    let expected = [101, 103, 106, 109, 111].map(|offset| (offset, "decode", cause));
    assert_eq!(places(&letters), expected);
    for (letter, batch) in letters.iter().zip(&bad) {
        let sent = (batch.records().0.clone(), batch.header.attributes, batch.last_offset_delta());
        assert_eq!(held(letter), sent, "{letter:?}");
    }
    for (letter, why) in letters.iter().zip([
        "records 101 to 102 cannot be read, of the batch at offset 100 with 3 offsets: a value has a length of -1",
        "record 103 cannot be read, of the batch at offset 103 with 1 offsets: a value has a length of 1099511627776",
        "records 106 to 108 cannot be read, of the batch at offset 104 with 5 offsets: it has offsets for 5 records",
        "it ends within a record",
        "decompressed it has more than",
    ]) {
        assert!(letter.detail.contains(why), "{letter:?}");
    }

    fleet.tms(1).behave(Behaviour::default());
    let run = begun(&site);
    until("all of it is settled", || status(&site)["settledTo"] == 212);
    run.terminate();
    assert_eq!(run.wait().summary().records, 203 + 5, "all of it was read again");
    assert_eq!(places(&site.dead_letters()), expected, "no second letter");

    let _given = oracle.assert_nothing_lost(&fleet);
    let again = begun(&site);
    put(&topic, &[good(&Events::new(42, 3).take(5))]);
    until("what comes later is delivered", || status(&site)["settledTo"] == 212 + 5);
    again.terminate();
    assert_eq!(again.wait().summary().records, 5, "the bad batches were settled");
    assert_eq!(places(&site.dead_letters()), expected, "no second letter");

    // The bytes are no record's, whatever they look like.
    let replayed = site.loadline_with(&["dead", "replay"], &["--all"]).expect(0);
    let same: Vec<_> = letters.iter().map(|one| (&one.detail, one.body())).collect();
    let left = site.dead_letters();
    let left: Vec<_> = left.iter().map(|one| (&one.detail, one.body())).collect();
    assert_eq!(left, same, "{replayed:?}");
}
