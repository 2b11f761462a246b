//! The line: a chain of stages whose payload types must meet, from a raw record to a settled ticket.
//!
//! ```text
//! Line::split(Split)          RawRecord     -> RawRecord, one per event in it
//!     .intake(Decode)         RawRecord     -> ShipmentEvent
//!     .then(Validate)         ShipmentEvent -> ValidEvent
//!     .then(Route)            ValidEvent    -> Vec<Delivery>, one per subscribed broker
//!     .per_broker(limits)     a bounded queue per broker; in order per (broker, load)
//!     .then(Dedupe)           Delivery      -> Fresh
//!     .then(attempt.retry())  Fresh         -> Receipt
//!     .settle(Ack)            every verdict, exactly once
//!     .run(ingest)
//! ```
//!
//! Each type below has only the methods that may come next, so a chain with a stage missing, two swapped, or no
//! `.settle` does not compile. Concurrency, order and backpressure live here and in no stage.

mod checkpointer;
mod command;
mod counters;
mod doubt;
mod executor;
mod fault;
mod handle;
mod in_flight_permits;
mod ingest;
mod intake;
mod known;
mod leftovers;
mod limits;
mod look_ahead;
mod moves;
mod new_broker;
mod partitions;
mod reply;
mod restoring;
mod returning;
mod roster;
mod run;
mod settling;
mod shard;
mod source;
mod spill_capacity;
mod spill_reader;
pub mod stop;
mod taken;
#[cfg(test)]
pub(crate) mod testing;
mod ticket;
mod watermark;

use std::sync::Arc;

use stages::{
    Ack, Broker, Split, Stage, Then,
    models::{Delivery, RawRecord, Receipt},
};

pub use command::{Replay, Replayed};
pub use executor::Executor;
pub use fault::LineFault;
pub use handle::LineHandle;
pub use in_flight_permits::READS_SHARE;
pub use ingest::{Ingest, ingest};
pub use limits::Limits;
pub use look_ahead::LookAhead;
pub use moves::Released;
pub use partitions::{Partition, Partitions};
pub use roster::{Roster, is_served, waiting};
pub use run::LineReport;
pub use source::{Cursor, HORIZON_STEP, RestoredStream, SourceFault, SourcePartition, SourceRecord, fixed};
pub use spill_capacity::SpillCapacity;
pub use taken::{Ingested, Taken};
pub use ticket::{Share, Ticket, Tickets};

/// The beginning of every line.
#[derive(Debug)]
pub struct Line;

/// The half that turns a record into deliveries, still open at its end.
#[derive(Debug)]
pub struct Intake<Stages> {
    split: Split,
    stages: Stages,
}

/// The beginning of a line whose records may have several events.
#[derive(Debug)]
pub struct Splitting {
    split: Split,
}

/// A line with its per-broker queues, waiting for the first stage of its second half.
#[derive(Debug)]
pub struct PerBroker<First> {
    split: Split,
    intake: First,
    brokers: Vec<Arc<Broker>>,
    limits: Limits,
    look_ahead: Option<LookAhead>,
}

/// A line whose second half is still open at its end.
#[derive(Debug)]
pub struct Open<First, Second> {
    front: PerBroker<First>,
    stages: Second,
}

/// A whole line: every verdict has somewhere to go.
#[derive(Debug)]
pub struct Settling<First, Second> {
    front: PerBroker<First>,
    stages: Second,
    ack: Ack,
}

impl Line {
    /// A line that begins with `stage`; each record is one event.
    pub fn intake<First: Stage<In = RawRecord>>(stage: First) -> Intake<First> {
        Self::split(Split::default()).intake(stage)
    }

    /// A line whose records are split into their events: each has its own verdicts, and the record's ticket is settled
    /// with all of them.
    #[must_use]
    pub fn split(split: Split) -> Splitting {
        Splitting { split }
    }
}

impl Splitting {
    /// The stage that each event begins with.
    pub fn intake<First: Stage<In = RawRecord>>(self, stage: First) -> Intake<First> {
        Intake { split: self.split, stages: stage }
    }
}

impl<First: Stage<In = RawRecord>> Intake<First> {
    /// The next stage of the first half.
    pub fn then<Next: Stage<In = First::Out>>(self, next: Next) -> Intake<Then<First, Next>> {
        Intake { split: self.split, stages: self.stages.then(next) }
    }
}

impl<First: Stage<In = RawRecord, Out = Vec<Delivery>>> Intake<First> {
    /// Queues deliveries per broker, within `limits`. `brokers` are all that deliveries can be for, in the order of
    /// their ordinals.
    pub fn per_broker(self, brokers: &[Arc<Broker>], limits: Limits) -> PerBroker<First> {
        let (split, brokers) = (self.split, brokers.to_vec());
        PerBroker { split, intake: self.stages, brokers, limits, look_ahead: None }
    }
}

impl<First> PerBroker<First> {
    /// The same, with records read and routed ahead of the one whose turn it is, within `look_ahead`: for a first half
    /// that waits for answers. Without it, each record is routed when its turn has come.
    #[must_use]
    pub fn looking_ahead(self, look_ahead: Option<LookAhead>) -> Self {
        Self { look_ahead, ..self }
    }

    /// The first stage a delivery meets when its turn has come.
    pub fn then<Next: Stage<In = Delivery>>(self, next: Next) -> Open<First, Next> {
        Open { front: self, stages: next }
    }
}

impl<First, Second: Stage<In = Delivery>> Open<First, Second> {
    /// The next stage of the second half.
    pub fn then<Next: Stage<In = Second::Out>>(self, next: Next) -> Open<First, Then<Second, Next>> {
        Open { front: self.front, stages: self.stages.then(next) }
    }
}

impl<First, Second: Stage<In = Delivery, Out = Receipt>> Open<First, Second> {
    /// Puts every verdict on record with `ack`.
    pub fn settle(self, ack: Ack) -> Settling<First, Second> {
        Settling { front: self.front, stages: self.stages, ack }
    }
}

#[cfg(test)]
mod tests;
