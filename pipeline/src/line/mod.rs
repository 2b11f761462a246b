//! The line: a chain of stages whose payload types must meet, from a raw record to a settled ticket.
//!
//! ```text
//! Line::intake(Decode)        RawRecord     -> ShipmentEvent
//!     .then(Validate)         ShipmentEvent -> ValidEvent
//!     .then(Route)            ValidEvent    -> Vec<Delivery>, one per subscribed broker
//!     .per_broker(limits)     a bounded queue per broker; in order per (broker, load)
//!     .then(Dedupe)           Delivery      -> Fresh
//!     .then(attempt.retry())  Fresh         -> Receipt
//!     .settle(Ack)            every verdict, exactly once
//!     .run(records)
//! ```
//!
//! Each type below has only the methods that may come next, so a chain with a stage missing, two swapped, or no
//! `.settle` does not compile. Concurrency, order and backpressure live here and in no stage.

mod account;
mod admit;
mod command;
mod deferred;
mod doubt;
mod ending;
mod event;
mod fault;
mod fill;
mod follow;
mod gauge;
mod intake;
mod limits;
mod load;
mod memory;
mod meter;
mod partitions;
mod queue;
mod reading;
mod records;
mod run;
mod shard;
mod slot;
mod surplus;
mod tell;
#[cfg(test)]
pub(crate) mod testing;
mod ticket;
mod timers;
mod trial;
mod watermark;
#[cfg(test)]
mod world;
mod write;

use std::sync::Arc;

use stages::{
    Ack, Stage, Then,
    models::{Broker, Delivery, RawRecord, Receipt},
};

pub use command::{Replay, Replayed};
pub use fault::LineFault;
pub(crate) use fill::Fill;
pub use limits::Limits;
pub(crate) use memory::READS_SHARE;
pub use partitions::{Partition, Partitions};
pub use records::{Records, Taken, records};
pub use run::{LineReport, Watch};
pub use ticket::{Share, Ticket, Tickets};

/// The beginning of every line.
#[derive(Debug)]
pub struct Line;

/// The half that turns a record into deliveries, still open at its end.
#[derive(Debug)]
pub struct Intake<Stages> {
    stages: Stages,
}

/// A line with its per-broker queues, waiting for the first stage of its second half.
#[derive(Debug)]
pub struct PerBroker<First> {
    intake: First,
    brokers: Vec<Arc<Broker>>,
    limits: Limits,
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
    /// A line that begins with `stage`.
    pub fn intake<First: Stage<In = RawRecord>>(stage: First) -> Intake<First> {
        Intake { stages: stage }
    }
}

impl<First: Stage<In = RawRecord>> Intake<First> {
    /// The next stage of the first half.
    pub fn then<Next: Stage<In = First::Out>>(self, next: Next) -> Intake<Then<First, Next>> {
        Intake { stages: self.stages.then(next) }
    }
}

impl<First: Stage<In = RawRecord, Out = Vec<Delivery>>> Intake<First> {
    /// Queues deliveries per broker, within `limits`. `brokers` are all that deliveries can be for, in the order of
    /// their ordinals.
    pub fn per_broker(self, brokers: &[Arc<Broker>], limits: Limits) -> PerBroker<First> {
        PerBroker { intake: self.stages, brokers: brokers.to_vec(), limits }
    }
}

impl<First> PerBroker<First> {
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
