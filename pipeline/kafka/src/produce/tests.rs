//! Producing to a scripted topic.

use std::{collections::BTreeMap, convert::Infallible};

use futures::stream;
use line::{Cursor, SourceFault};
use parking_lot::Mutex;
use stages::{Schema, models::RawRecord};
use state::Position;
use tokio::time::sleep;

use super::*;

/// A topic that takes what a test lets it take.
#[derive(Default)]
struct Scripted {
    /// What it was given: of the first so many it has said that it has them.
    given: Mutex<Vec<Outgoing>>,
    /// How many it has room for at once.
    room: u64,
    absent: Mutex<u32>,
    /// What is said while it is absent; nothing, if nobody listens.
    unknown: bool,
}

impl Topic for Scripted {
    async fn count(&self) -> Result<u32, ClusterFault> {
        let mut absent = self.absent.lock();
        if *absent == 0 {
            return Ok(3);
        }
        *absent -= 1;
        match self.unknown {
            true => Err(ClusterFault::NoTopic { topic: "shipment-events".to_owned() }),
            false => Err(ClusterFault::Unreachable { detail: "nobody listens".to_owned() }),
        }
    }

    fn offer(&self, record: &Outgoing, deliveries: &Arc<Deliveries>) -> Result<bool, ClusterFault> {
        if deliveries.waiting() >= self.room {
            return Ok(false);
        }
        deliveries.begin();
        self.given.lock().push(record.clone());
        Ok(true)
    }

    fn trouble(&self) -> Option<ClusterFault> {
        None
    }
}

fn options() -> ProduceOptions {
    let cluster = ClusterOptions {
        bootstrap: vec!["kafka.example:9092".to_owned()],
        tls: None,
        sasl: None,
        timeout: Duration::from_secs(5),
        backoff_min: Duration::from_millis(100),
        backoff_max: Duration::from_secs(1),
        properties: BTreeMap::new(),
    };
    let (topic, timeout) = ("shipment-events".to_owned(), Duration::from_secs(30));
    ProduceOptions { cluster, topic, batch_bytes: BATCH_BYTES, record_max: 1 << 20, timeout }
}

/// The events as a source gives them: every one of load LD-0 or LD-1 but for what is no event or too long.
fn records(lines: &[&str]) -> impl Stream<Item = Result<SourceRecord, SourceFault>> + use<> {
    let record = |(offset, line): (u64, &&str)| {
        let bytes = Bytes::from((*line).to_owned());
        // A line that ends with dots was cut.
        let full_len = bytes.len() as u64 + u64::from(line.ends_with("..."));
        let position = Position::new("events.ndjson".into(), 0, offset);
        let raw = RawRecord {
            position,
            bytes,
            full_len,
            read_at: 0,
            unreadable: None,
            id: None,
            traceparent: None,
        };
        Ok(SourceRecord { raw, next: Cursor { epoch: 0, offset: offset + 1, mark: [].into() } })
    };
    stream::iter((0..).zip(lines).map(record).collect::<Vec<_>>())
}

fn event(load: &str) -> String {
    format!(r#"{{"eventId":"e","loadId":"{load}","status":"posted","occurredAt":"2026-01-01T00:00:00Z"}}"#)
}

/// Says that everything given so far has been taken.
fn take_all(topic: &Scripted, deliveries: &Deliveries, taken: &mut usize) {
    let given = topic.given.lock().len();
    (*taken..given).for_each(|_| deliveries.end(Ok(())));
    *taken = given;
}

#[tokio::test(start_paused = true)]
async fn a_full_buffer_is_waited_for_and_everything_is_taken_in_order_under_its_load() {
    let (topic, deliveries) = (Scripted { room: 2, ..Scripted::default() }, Arc::default());
    let lines = [event("LD-0"), "no event".to_owned(), event("LD-1"), event("LD-0") + "...", event("LD-0")];
    let lines = lines.each_ref().map(String::as_str);
    let (options, decode) = (options(), Decode::new(Schema::flat()));
    let producing = produce_to(&topic, &options, &decode, records(&lines), Arc::clone(&deliveries));
    let taking = async {
        let mut taken = 0;
        loop {
            // Far longer than one look at a full buffer.
            sleep(Duration::from_secs(20)).await;
            take_all(&topic, &deliveries, &mut taken);
        }
    };
    let produced = tokio::select! {
        produced = producing => produced.unwrap(),
        () = taking => unreachable!(),
    };
    assert_eq!(produced, Produced { read: 5, taken: 4, without_load: 1, too_long: 1, partitions: 3 });
    let keys: Vec<_> = topic.given.lock().iter().map(|given| (given.partition, given.key.clone())).collect();
    let keyed = |load: &str| (None, Some(load.to_owned()));
    assert_eq!(keys, [keyed("LD-0"), (Some(0), None), keyed("LD-1"), keyed("LD-0")]);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_takes_nothing_is_given_up_and_one_that_refuses_ends_it_at_once() {
    let (options, decode) = (options(), Decode::new(Schema::flat()));
    let event = event("LD-0");
    for room in [0, 9] {
        let topic = Scripted { room, ..Scripted::default() };
        let fault =
            produce_to(&topic, &options, &decode, records(&[&event]), Arc::default()).await.unwrap_err();
        assert!(matches!(fault, ProduceFault::GaveUp { .. }), "{fault}");
        let said = fault.to_string();
        assert!(said.contains("kafka.example:9092 has taken nothing for 30"), "{said}");
    }

    let deliveries: Arc<Deliveries> = Arc::default();
    let topic = Scripted { room: 9, ..Scripted::default() };
    let endless = records(&[&event]).chain(stream::pending());
    let producing = produce_to(&topic, &options, &decode, endless, Arc::clone(&deliveries));
    let refusing = async {
        sleep(Duration::from_secs(1)).await;
        deliveries.end(Err(ClusterFault::Unauthorized { detail: "no".to_owned() }));
        std::future::pending::<Infallible>().await
    };
    let fault = tokio::select! {
        produced = producing => produced.unwrap_err(),
        never = refusing => match never {},
    };
    assert!(matches!(fault, ProduceFault::Refused { .. }), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_away_is_waited_for_as_long_as_it_may_take() {
    let (options, deliveries) = (options(), Arc::default());
    let topic = Scripted { absent: Mutex::new(20), ..Scripted::default() };
    assert_eq!(Sender::new(&options, &topic, &deliveries).count().await.unwrap(), 3);
    *topic.absent.lock() = u32::MAX;
    let fault = Sender::new(&options, &topic, &deliveries).count().await.unwrap_err();
    assert!(matches!(fault, ProduceFault::GaveUp { .. }), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn a_topic_is_missing_only_if_it_is_for_longer_than_one_node_may_lag() {
    let (options, deliveries) = (options(), Arc::default());
    let topic = Scripted { absent: Mutex::new(5), unknown: true, ..Scripted::default() };
    assert_eq!(Sender::new(&options, &topic, &deliveries).count().await.unwrap(), 3);
    *topic.absent.lock() = u32::MAX;
    let fault = Sender::new(&options, &topic, &deliveries).count().await.unwrap_err();
    assert!(matches!(fault, ProduceFault::NoTopic { .. }), "{fault}");
}
