//! The traffic of a run as data: which events there are, who wants them, and when what is appended to the log.
//!
//! The same profile and seed give the same traffic, byte for byte; two different events never have the same bytes, so an
//! event is known by the digest of its body alone.
//!
//! Events come from `generate` for a surge, from [`Events`] where only their number matters, and from [`corpus`] where an
//! event must be had by its number alone: a ledger of ten million entries, and figures that are compared over versions.

mod appended;
mod body;
mod clock;
pub mod corpus;
mod events;
mod generate;
mod kafka_publish;
mod log;
mod log_file;
mod post;
mod producer;
pub mod profile;
mod publish;
mod topic;

use std::sync::Arc;

use crate::BodyDigest;
use bytes::Bytes;

pub use appended::Appended;
pub use clock::{RunClock, millis};
pub use events::{Events, ShipmentEvent, lines};
pub use generate::{generate, wanted_by};
pub use kafka_publish::{KafkaPublisher, spread_over_partitions};
pub use log::TrafficLog;
pub use log_file::{LogFile, records_before};
pub use post::{PostFault, Poster};
pub use producer::{Producer, ProducerFault};
pub use publish::Publisher;
pub use topic::{FLUVIO, KAFKA, Scheme, TopicAt, TopicFault, kafka_options, produce_options};

/// Everything that will be appended to the log, and what it is made of.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// The events, in the order in which they first stand in the log. Those of one load are in their true order.
    pub events: Vec<SimEvent>,
    /// The log, in order; `at_ms` never decreases, unless it was appended to several partitions.
    pub log: Vec<Entry>,
}

/// An event as its producer made it.
#[derive(Clone, Debug)]
pub struct SimEvent {
    /// The producer's id.
    pub id: String,
    /// The load it is about.
    pub load_id: Arc<str>,
    /// The record: what every broker that wants it must be given, byte for byte.
    pub body: Bytes,
    /// The digest of `body`.
    pub digest: BodyDigest,
    /// The brokers that want it, by their place in the cast, in rising order.
    pub wanted_by: Box<[u16]>,
}

impl SimEvent {
    /// An event with this record.
    #[must_use]
    pub fn new(id: String, load_id: Arc<str>, body: Bytes, wanted_by: Box<[u16]>) -> Self {
        Self { id, load_id, digest: BodyDigest::of(&body), body, wanted_by }
    }
}

/// One record of the log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When it is appended, in milliseconds from the start of the run.
    pub at_ms: u64,
    /// Which event it is, or pretends to be, by its place in [`Traffic::events`]; none for garbage.
    pub event: Option<u32>,
    /// What it is.
    pub form: Form,
    /// The record, without its line ending.
    pub body: Bytes,
}

/// What a record of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// An event for the first time.
    First,
    /// The same bytes once more: the producer had no answer and sent them again.
    ProducerRetry,
    /// The same bytes once more: what a rebalance makes a consumer group read again.
    Replay,
    /// The id of an event with other bytes: a fault of the producer. Nobody may be given it.
    Conflict,
    /// Not an event at all: a poison message. Nobody may be given it.
    Garbage,
}
