//! The log of a run and what becomes of it: events, some repeated by their producer; and the evidence at the end.

use std::sync::Arc;

use bytes::Bytes;
use lab::{
    oracle::{BrokerEvidence, Evidence, ReceiverLog, RefusedRequest},
    receiver::Refusal,
    traffic::{SimEvent, Traffic, TrafficLog},
};

use crate::world::{TIMEOUT_MS, World};

/// The brokers' names.
const BROKERS: [&str; 2] = ["acme", "birch"];
/// The time between two records, in milliseconds: enough for each event to be delivered before the next one comes.
const PACE_MS: u64 = 1_000;
/// How many loads there are.
const LOADS: u32 = 2;

/// A record as a consumer reads it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub offset: usize,
    pub event: u32,
    pub at_ms: u64,
    brokers: u16,
}

/// A record for one broker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    pub offset: usize,
    pub event: u32,
    pub broker: u16,
}

/// A log of `events` events for the first `brokers` brokers, each of which wants all of them.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    records: Vec<Record>,
    brokers: u16,
}

impl Log {
    pub(crate) fn of(events: u32, brokers: u16) -> Self {
        let record =
            |event: u32| Record { offset: event as usize, event, at_ms: u64::from(event) * PACE_MS, brokers };
        Self { records: (0..events).map(record).collect(), brokers }
    }

    /// The same, with the last event sent once more by its producer, who had no answer.
    pub(crate) fn with_producer_retry(mut self) -> Self {
        if let Some(last) = self.records.last().copied() {
            self.records.push(Record { offset: last.offset + 1, at_ms: last.at_ms + PACE_MS, ..last });
        }
        self
    }

    pub(crate) fn get(&self, offset: usize) -> Option<Record> {
        self.records.get(offset).copied()
    }

    /// What is known at the end. The system claims that everything is settled.
    pub(crate) fn evidence(&self, world: &World, kills_ms: Vec<u64>) -> Evidence {
        let broker = |place: u16| {
            let refused = world.refused_ms.borrow().get(&place).cloned().unwrap_or_default();
            let taken = world.taken.borrow().get(&place).cloned().unwrap_or_default();
            let why = Refusal::Failed;
            let refused = refused.into_iter().map(|at_ms| RefusedRequest { at_ms, why }).collect();
            BrokerEvidence {
                id: BROKERS[usize::from(place)].to_owned(),
                rate: 1_000.0,
                burst: 1_000,
                timeout_ms: TIMEOUT_MS,
                well: place == 0,
                received: ReceiverLog { taken, refused },
            }
        };
        let brokers = (0..self.brokers).map(broker).collect();
        Evidence { brokers, kills_ms, done: false, ..Evidence::of_settled(self.traffic()) }
    }

    fn traffic(&self) -> Traffic {
        let mut log = TrafficLog::default();
        self.records.iter().for_each(|record| log.append(record.at_ms, sim_event(record)));
        log.finish()
    }
}

impl Record {
    /// The record for each broker that wants it.
    pub(crate) fn deliveries(self) -> impl Iterator<Item = Delivery> {
        (0..self.brokers).map(move |broker| Delivery { offset: self.offset, event: self.event, broker })
    }
}

fn sim_event(record: &Record) -> SimEvent {
    let (id, load) = (format!("e-{}", record.event), format!("LD-{}", record.event % LOADS));
    let body = Bytes::from(format!(r#"{{"eventId":"{id}","loadId":"{load}"}}"#));
    SimEvent::new(id, Arc::from(load), body, (0..record.brokers).collect())
}
