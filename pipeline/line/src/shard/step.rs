//! The inputs of a shard's core, and the effects that it asks for.
//!
//! Nothing here waits, reads a clock or touches a disk. Whoever drives the core carries the effects out, in the order in
//! which they come, and gives it what becomes of them as inputs.

use std::{ops::Range, sync::Arc};

use rustc_hash::FxHashSet;
use stages::models::{Delivery, Leftover, Receipt, RunState, Verdict};
use state::{DeadLetter, History, Mark, Recorded, SpillSeq, SpilledDelivery, Waiting};
use tokio::time::Instant;

use super::{
    broker_queue::BrokerQueue, load_queues::Item, reading::Wanted, spill_batch::SpillBatch, state_log::News,
};
use crate::{
    command::{Replay, Replayed},
    in_flight_permits::Permit,
    partitions::Partition,
    reply::Reply,
    spill_reader::SpillRead,
    stop::Level,
    ticket::{Share, Tickets},
};

/// A delivery on its way from the intake to its shard.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) delivery: Delivery,
    pub(crate) share: Share,
    pub(crate) permit: Permit,
}

/// How the run of a delivery through the stages has ended.
#[derive(Debug)]
pub(crate) enum AttemptEnd {
    /// Its way has ended: that goes on record.
    Verdict(Result<Receipt, Verdict>),
    /// It has to wait for another attempt, not before this moment.
    PutBack { history: History, not_before: Option<Instant>, left: Leftover },
    /// The ledger says that the event waits on disk already.
    FoundSpilled { left: Leftover },
}

/// What came of a delivery that was given up.
#[derive(Debug)]
pub(crate) enum GivenUp {
    /// It has become a dead letter, or is a duplicate.
    Recorded(Recorded),
    /// It has to wait after all.
    PutBack { history: History, left: Leftover },
}

/// What has happened. `queue` says whose it is, where it is one broker's.
#[derive(Debug)]
pub(crate) enum Input {
    /// A delivery has come from the intake.
    Arrived(Arrival),
    /// The run of a load's delivery has ended. From here on it is not on the wire.
    AttemptDone { queue: usize, load: Arc<str>, end: AttemptEnd },
    /// The verdict on a load's delivery is on record.
    Recorded { queue: usize, load: Arc<str>, succeeded: bool, proof: Recorded },
    /// One that found no room on disk has been given up.
    GivenUp { queue: usize, seq: SpillSeq, end: GivenUp },
    /// Deliveries have been written to disk: a proof for each.
    Written { queue: usize, batch: Box<SpillBatch>, proofs: Vec<Recorded> },
    /// Dead letters' deliveries have been written to disk, for these queues and under these numbers.
    ReplayWritten { placed: Vec<(usize, SpillSeq)> },
    /// Deliveries have been read from disk.
    ReadDone { queue: usize, generation: u64, read: SpillRead },
    /// Dead letters' deliveries are to be sent again.
    Replay(Vec<Replay>),
    /// One more broker is served.
    BrokerAdded(Box<BrokerQueue>),
    /// What was [abandoned](Effect::Abandon) may have been sent, and that is on record.
    Forgotten,
    /// A partition is about to leave, and no more of it is read: what waits for brokers that do not keep up goes to disk.
    HandOver(Partition),
    /// A partition is leaving: nothing of it is started until it [has left](Self::Left), and what waits goes to disk.
    Leave { partition: Partition, reply: Reply },
    /// Deliveries of a partition that is leaving have gone from disk, some of them of brokers that others serve.
    Dropped(Arc<[Waiting]>),
    /// A partition has left: what is on disk of it is sent like everything else.
    Left { partition: Arc<str> },
    /// A partition with these tickets is lost: what waits of it is forgotten.
    Lost(Tickets),
    /// Nothing is under way any more that has one of these tickets.
    Gone(Tickets),
    /// No more will arrive.
    ArrivalsEnded,
    /// Nothing is to be started any more.
    Stop(Level),
    /// The time that [`Core::next_wake`](super::core::Core::next_wake) gave has come.
    TimeReached,
}

/// What is to be read from disk.
#[derive(Debug)]
pub(crate) struct ReadAsked {
    pub(crate) generation: u64,
    pub(crate) range: Range<SpillSeq>,
    pub(crate) wanted: Wanted,
    /// Whether the permits go to what is read in the order of the numbers first, should there be too few.
    pub(crate) scan_first: bool,
    /// Loads that wait for their own next attempt: they are passed by.
    pub(crate) passing: Arc<FxHashSet<Arc<str>>>,
    /// The bytes of one delivery, on an average.
    pub(crate) mean: usize,
    /// Deliveries below this number may be sent: that is on record.
    pub(crate) horizon: SpillSeq,
}

/// What of a queue is shown to whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gauges {
    pub(crate) queued: u64,
    pub(crate) on_wire: u64,
    pub(crate) no_room: u64,
    pub(crate) spilled: u64,
    pub(crate) spilled_bytes: u64,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Send this delivery through the stages. If it is a probe, the breaker is told so first, and when it has ended.
    Start { queue: usize, delivery: Delivery },
    /// Put the end of this delivery, which is the running one of its load, on record, at this place in the order of writes.
    Record { queue: usize, delivery: Delivery, end: Result<Receipt, Verdict> },
    /// Send this delivery, which is given up, through the stages and put its end on record.
    GiveUp { queue: usize, delivery: Delivery },
    /// Write these to disk, at this place in the order of writes.
    Write { queue: usize, batch: Box<SpillBatch> },
    /// Write dead letters' deliveries to disk, and tell whoever asked what became of each.
    WriteReplayed {
        deliveries: Vec<(SpilledDelivery, Option<DeadLetter>)>,
        placed: Vec<(usize, SpillSeq)>,
        outcomes: Vec<Replayed>,
    },
    /// Read from disk.
    Read { queue: usize, asked: Box<ReadAsked> },
    /// Settle this share.
    Settle { share: Share, proof: Recorded },
    /// A delivery has come to its end: settle its share, if it has one, and give back what it holds.
    Finish { share: Option<Share>, permit: Permit, proof: Recorded },
    /// A delivery has left memory: give back what it holds.
    Free(Permit),
    /// What is on disk says the same as this place in the attempts journal.
    ClearMark(Mark),
    /// Let nothing of this broker wait before an attempt any more.
    Halt { queue: usize },
    /// Let none of these, of one broker, wait before an attempt any more.
    HaltEach { queue: usize, runs: Vec<Arc<RunState>> },
    /// Nothing is on the wire any more of the partition that is leaving.
    Quiet(Reply),
    /// Forget these, whose partition was taken away: their records are read again. Of those that may have been sent, that
    /// goes on record.
    Abandon(Vec<Item>),
    /// Show this.
    Show { queue: usize, gauges: Gauges },
    /// Show since when the oldest delivery has been in memory.
    ShowOldest { queue: usize, since: Option<Instant> },
    /// Tell the log.
    Log { queue: usize, news: News },
}
