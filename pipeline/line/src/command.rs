//! What a running line is told besides what its source brings: dead letters' deliveries that are to be sent again, and
//! brokers that are to be served from now on.
//!
//! Guarantees: a delivery that is `Placed` is durable on its broker's disk queue, behind what waits there, and its letter
//! is gone; every other one is as it was. It then goes the way of all deliveries: in its turn, within the quota, through
//! dedupe.

use std::sync::Arc;

use stages::models::Delivery;
use state::{DeadLetter, Waiting};
use tokio::sync::{mpsc, oneshot};

use super::{new_broker::NewBroker, partitions::Partition, reply::Reply, ticket::Tickets};

/// Commands that may wait for one shard; whoever sends more waits.
pub(super) const COMMANDS_MAX: usize = 16;

/// A dead letter's delivery that is to be sent again.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The delivery; see [`Delivery::from_letter`].
    pub delivery: Delivery,
    /// The letter it comes from, which goes with it; none if the letter stands for other deliveries too.
    pub letter: Option<DeadLetter>,
}

impl Replay {
    /// Lets the delivery stay here, whoever has its partition.
    pub(super) fn stay(&mut self) {
        self.delivery = self.delivery.clone().staying();
    }
}

/// What became of a [`Replay`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// It waits on disk for its turn.
    Placed,
    /// There is no room on disk for it, or for one before it of the same broker: try again when some has drained.
    Full,
    /// The line is stopping.
    Stopping,
}

/// What a shard is told.
#[derive(Debug)]
pub(super) enum Command {
    /// Put these on disk, in this order.
    Replay { replays: Vec<Replay>, reply: oneshot::Sender<Vec<Replayed>> },
    /// Serve this broker too; the answer is whether it is.
    Admit { new_broker: NewBroker, reply: oneshot::Sender<bool> },
    /// This partition is about to leave: put on disk what waits of it for brokers that do not keep up.
    HandOver(Partition),
    /// Start nothing more of this partition, and put what waits of it on disk; the answer comes once nothing of it is on
    /// the wire.
    Leave { partition: Partition, reply: Reply },
    /// These are on disk no more; the answer comes once that is known.
    Dropped { dropped: Arc<[Waiting]>, reply: Reply },
    /// The partition has left; the answer comes once that is known.
    Left { partition: Arc<str>, reply: Reply },
    /// Forget what waits and has one of these tickets.
    Lost(Tickets),
    /// Nothing is under way any more that has one of these tickets.
    Gone(Tickets),
}

/// The two ends of a shard's commands.
pub(super) fn commands() -> (mpsc::Sender<Command>, mpsc::Receiver<Command>) {
    mpsc::channel(COMMANDS_MAX)
}
