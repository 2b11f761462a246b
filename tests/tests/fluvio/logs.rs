//! Against a real cluster: where a run begins, what it tells the cluster, logs that are compressed, logs that have lost
//! their beginning.

use fluvio::{
    Compression, Offset, TopicProducerConfigBuilder,
    consumer::ConsumerConfigExtBuilder,
    metadata::topic::{CleanupPolicy, SegmentBasedPolicy, TopicSpec, TopicStorageConfig},
};
use futures::StreamExt;
use tests::{Events, Fleet, Oracle, ShipmentEvent, Site, Wants, until};

use crate::{
    cluster::{produce, produce_in, site},
    topic::Topic,
};

/// Runs until `count` events have been taken.
fn run_until(site: &Site, fleet: &Fleet, count: usize) {
    let run = site.run();
    until("the expected events are delivered", || fleet.taken() >= count);
    run.terminate();
    let _ended = run.wait().expect(0);
}

#[test]
fn a_run_begins_where_it_is_told_to_unless_there_is_a_checkpoint() {
    let Some(topic) = Topic::create(1) else { return };
    let log = Events::new(31, 50).take(300);
    let wants = [Wants::all()];
    let starts: [(toml::Value, usize); 3] = [
        ("beginning".into(), 0),
        ("end".into(), 200),
        (toml::Table::from_iter([("offset".to_owned(), 120.into())]).into(), 120),
    ];
    let (fleets, sites): (Vec<_>, Vec<_>) = starts
        .iter()
        .map(|(start, _)| {
            let fleet = Fleet::start(1);
            let mut site = site(&fleet, &wants, &topic);
            site.set("source.start", start.clone());
            (fleet, site)
        })
        .unzip();
    produce(&sites[0], &log[..200]);
    // The one that begins at the end has to know where that is before more comes.
    let runs: Vec<_> = sites.iter().map(Site::run).collect();
    for site in &sites {
        until("the run has begun", || {
            let told = site.loadline(&["status", "--json"]);
            serde_json::from_str::<serde_json::Value>(&told.stdout)
                .is_ok_and(|status| status["partitions"][0]["end"].as_u64() == Some(200))
        });
    }
    produce(&sites[0], &log[200..]);
    for (((_, from), fleet), run) in starts.iter().zip(&fleets).zip(runs) {
        let oracle = Oracle::new(&log[*from..], &wants);
        until("all from there on are delivered", || fleet.taken() >= oracle.deliveries());
        run.terminate();
        let _ended = run.wait().expect(0);
        oracle.assert_exactly_once(fleet);
    }
    // The checkpoint counts more than what the config says: nothing is read again.
    let again = sites[2].run();
    produce(&sites[0], &Events::new(32, 5).take(10));
    until("only what is new is delivered", || fleets[2].taken() == 180 + 10);
    again.terminate();
    assert_eq!(again.wait().summary().records, 10);
}

#[test]
fn a_run_that_has_had_nothing_to_read_goes_on_where_it_began() {
    let Some(topic) = Topic::create(1) else { return };
    let log = Events::new(36, 50).take(300);
    let (fleet, wants) = (Fleet::start(1), [Wants::all()]);
    let mut site = site(&fleet, &wants, &topic);
    site.set("source.start", "end");
    produce(&site, &log[..200]);
    let run = site.run();
    until("the run has found its place", || {
        let told = site.loadline(&["status", "--json"]);
        serde_json::from_str::<serde_json::Value>(&told.stdout)
            .is_ok_and(|status| status["partitions"][0]["read"].as_u64() == Some(200))
    });
    run.terminate();
    let _ended = run.wait().expect(0);
    // Behind the end at which the first run began, and before the second begins.
    produce(&site, &log[200..]);
    run_until(&site, &fleet, 100);
    Oracle::new(&log[200..], &wants).assert_exactly_once(&fleet);
}

#[test]
fn without_a_checkpoint_a_run_that_must_have_one_fails() {
    let Some(topic) = Topic::create(1) else { return };
    let (fleet, wants) = (Fleet::start(1), [Wants::all()]);
    let mut site = site(&fleet, &wants, &topic);
    site.set("source.start", "checkpoint");
    let ended = site.loadline(&["--json", "run"]).expect(1);
    assert!(ended.stderr.contains("checkpoint") && ended.stderr.contains(&topic.name), "{ended:?}");
}

/// Puts events onto the topic with Fluvio's own producer.
fn produce_compressed(topic: &Topic, events: &[ShipmentEvent], compression: Compression) {
    topic.with_client(async |cluster| {
        let config = TopicProducerConfigBuilder::default().compression(compression).build().unwrap();
        let producer = cluster.topic_producer_with_config(&topic.name, config).await.unwrap();
        for event in events {
            let _sent = producer.send(event.load_id.as_bytes(), event.body.as_ref()).await.unwrap();
        }
        producer.flush().await.unwrap();
    });
}

#[test]
fn every_event_of_a_compressed_log_arrives_once() {
    let Some(topic) = Topic::create(2) else { return };
    let all =
        [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd, Compression::None];
    let log = Events::new(33, 300).take(3_000 * all.len());
    let (fleet, wants) = (Fleet::start(1), [Wants::all()]);
    let oracle = Oracle::new(&log, &wants);
    let mut site = site(&fleet, &wants, &topic);
    // So small that responses are cut in the middle of batches.
    site.set("source.max_bytes", "64KiB");
    site.set("source.record_max", "16KiB");
    for (events, compression) in log.chunks(3_000).zip(all) {
        produce_compressed(&topic, events, compression);
    }
    run_until(&site, &fleet, log.len());
    oracle.assert_exactly_once(&fleet);
}

#[test]
fn the_cluster_is_told_what_is_settled_if_the_config_says_so() {
    let Some(topic) = Topic::create(2) else { return };
    let log = Events::new(34, 50).take(2_000);
    let (fleet, wants) = (Fleet::start(1), [Wants::all()]);
    let mut site = site(&fleet, &wants, &topic);
    site.set("source.mirror_offsets", true);
    // Of each partition the last offset that was consumed.
    let told = || {
        let told = topic.with_client(async |cluster| cluster.consumer_offsets().await.unwrap());
        let mine = told.iter().filter(|told| told.consumer_id == format!("loadline-{}", topic.name));
        mine.map(|told| told.offset + 1).sum::<i64>()
    };
    produce(&site, &log[..1_500]);
    let run = site.run();
    until("the first part is delivered", || fleet.taken() == 1_500);
    until("the cluster knows that it is settled", || told() == 1_500);
    produce(&site, &log[1_500..]);
    until("all are delivered", || fleet.taken() == log.len());
    run.terminate();
    let _ended = run.wait().expect(0);
    until("the cluster was told at the end", || told() == 2_000);
}

/// The oldest record the log still has.
fn oldest(topic: &Topic) -> i64 {
    topic.with_client(async |cluster| {
        let mut config = ConsumerConfigExtBuilder::default();
        let config =
            config.topic(&topic.name).partition(0).offset_start(Offset::beginning()).build().unwrap();
        let mut records = cluster.consumer_with_config(config).await.unwrap();
        records.next().await.unwrap().unwrap().offset
    })
}

#[test]
fn a_log_that_has_lost_its_beginning_stops_the_run_and_the_lost_range_is_named() {
    let mut spec = TopicSpec::new_computed(1, 1, None);
    spec.set_cleanup_policy(CleanupPolicy::Segment(SegmentBasedPolicy { time_in_seconds: 10 }));
    spec.set_storage(TopicStorageConfig { segment_size: Some(100_000), ..TopicStorageConfig::default() });
    let Some(topic) = Topic::create_as(&spec) else { return };
    let log = Events::new(35, 200).take(4_000);
    let (fleet, wants) = (Fleet::start(1), [Wants::all()]);
    let site = site(&fleet, &wants, &topic);
    produce_in(&site, &log[..10], "1KiB");
    run_until(&site, &fleet, 10);
    produce_in(&site, &log[10..], "16KiB");
    until("the retention has removed what was not read", || oldest(&topic) > 10);

    let ended = site.loadline(&["--json", "run"]).expect(1);
    let has = usize::try_from(oldest(&topic)).unwrap();
    assert!(ended.stderr.contains("has lost the records 10 to"), "{ended:?}");
    assert_eq!(fleet.taken(), 10);
    // What is gone is passed over only if that is said; it may have become more meanwhile.
    let last = log.len() - 20;
    assert!(last > has, "the retention has removed too much for this scenario: {has}");
    let to = last.to_string();
    let told =
        site.loadline(&["state", "seek", "--json", "--partition", "0", "--to", &to, "--config"]).expect(0);
    assert!(told.stdout.contains("\"from\":10,"), "{told:?}");
    run_until(&site, &fleet, 10 + 20);
}
