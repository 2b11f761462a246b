//! The log of a run and what becomes of it: events, some repeated by their producer; and the evidence at the end.

use std::sync::Arc;

use bytes::Bytes;
use pipeline::{
    receive::Refusal,
    surge::{
        evidence::{Evidence, Witness},
        sighting::{RefusedRequest, Witnessed},
        stalls::Stalls,
        traffic::{Entry, Form, SimEvent, Traffic},
    },
};
use state::BodyDigest;

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
        let traffic = self.traffic();
        let witness = |place: u16| {
            let refused = world.refused_ms.borrow().get(&place).cloned().unwrap_or_default();
            let taken = world.taken.borrow().get(&place).cloned().unwrap_or_default();
            let why = Refusal::Failed;
            let refused = refused.into_iter().map(|at_ms| RefusedRequest { at_ms, why }).collect();
            Witness {
                id: BROKERS[usize::from(place)].to_owned(),
                rate: 1_000.0,
                burst: 1_000,
                timeout_ms: TIMEOUT_MS,
                well: place == 0,
                saw: Witnessed { taken, refused },
            }
        };
        let records = traffic.log.len();
        Evidence {
            brokers: (0..self.brokers).map(witness).collect(),
            traffic,
            appended: records,
            dead: Vec::new(),
            spilled: Vec::new(),
            settled_to: records,
            kills_ms,
            stalls: Stalls::default(),
            done: false,
            ended_ms: u64::MAX,
        }
    }

    fn traffic(&self) -> Traffic {
        let mut traffic = Traffic::default();
        for record in &self.records {
            let first = traffic.events.len() == record.event as usize;
            if first {
                traffic.events.push(sim_event(record));
            }
            let body = traffic.events[record.event as usize].body.clone();
            let form = if first { Form::First } else { Form::ProducerRetry };
            traffic.log.push(Entry { at_ms: record.at_ms, event: Some(record.event), form, body });
        }
        traffic
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
    let digest = BodyDigest::of(&body);
    SimEvent { id, load_id: Arc::from(load), body, digest, wanted_by: (0..record.brokers).collect() }
}
