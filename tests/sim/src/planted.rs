//! Faults planted on purpose, to see that the simulation finds them. Each stands at a seam of the line: in front of a
//! stage, in the source, at the receivers or in the disk.

use std::{sync::OnceLock, time::Duration};

use stages::{
    Dedupe, Stage,
    models::{Delivery, Exit, Fresh, Step, Verdict},
};
use state::Outcome;

use crate::log::{Entry, Log};

/// A fault that is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// One delivery counts as delivered and is not posted.
    OneDropped,
    /// Two events of a load change places.
    TwoSwapped,
    /// Deliveries that come back from disk count as duplicates.
    SpilledForgotten,
    /// The disk says that it has flushed and has not: shares are settled before what settles them is durable.
    FlushesIgnored,
    /// Deliveries are not looked up in the ledger.
    LookUpSkipped,
    /// A half-open breaker probes with one load only.
    OneLoadProbed,
    /// The checkpoint is one record ahead.
    CheckpointAhead,
    /// Requests that may be repeats do not say so.
    RepeatsUnmarked,
    /// A reload does not reach the router.
    ReloadUnrouted,
    /// A dead letter is removed when it is to be sent again, and nothing is sent.
    ReplayForgotten,
    /// In a group: records are settled before the state topics have what became of them.
    SettledBeforeTopic,
    /// What waits is not restored with its partition.
    WaitingNotRestored,
    /// Whoever takes a partition over from one that died does not know what may have been sent.
    DoubtNotRestored,
    /// A partition is read before its outcomes are restored.
    ReadBeforeRestored,
    /// A delivery is removed from the waiting topic before its outcome is known to stand.
    RemovedBeforeOutcome,
    /// A delivery that was tried before is not handed over with its partition.
    ParkedForgotten,
    /// A member sends on when the group may have given its partitions away.
    LeaseIgnored,
}

impl Planted {
    /// Every fault of a single process.
    pub const ALL: [Self; 10] = [
        Self::OneDropped,
        Self::TwoSwapped,
        Self::SpilledForgotten,
        Self::FlushesIgnored,
        Self::LookUpSkipped,
        Self::OneLoadProbed,
        Self::CheckpointAhead,
        Self::RepeatsUnmarked,
        Self::ReloadUnrouted,
        Self::ReplayForgotten,
    ];

    /// Every fault of a group.
    pub const OF_GROUPS: [Self; 7] = [
        Self::SettledBeforeTopic,
        Self::WaitingNotRestored,
        Self::DoubtNotRestored,
        Self::ReadBeforeRestored,
        Self::RemovedBeforeOutcome,
        Self::ParkedForgotten,
        Self::LeaseIgnored,
    ];

    /// The number of the entry whose body the source gives for that of `number`.
    pub(crate) fn swaps(self, log: &Log, number: usize) -> usize {
        let pair = || {
            let new: Vec<_> = log
                .entries()
                .filter(|(_, entry)| matches!(entry, Entry::New { .. }))
                .map(|(at, _)| at)
                .collect();
            let first = *new.first()?;
            let second = new.into_iter().skip(1).find(|at| log.load(*at) == log.load(first))?;
            Some((first, second))
        };
        match (self, pair()) {
            (Self::TwoSwapped, Some((first, second))) if number == first => second,
            (Self::TwoSwapped, Some((first, second))) if number == second => first,
            _ => number,
        }
    }
}

/// `Dedupe` with a fault in front of it, if one is planted.
pub(crate) struct Tampered {
    dedupe: Dedupe,
    planted: Option<Planted>,
    /// The load that a half-open breaker probes with.
    probed: OnceLock<String>,
}

impl Tampered {
    pub(crate) fn new(dedupe: Dedupe, planted: Option<Planted>) -> Self {
        Self { dedupe, planted, probed: OnceLock::new() }
    }

    fn fault(&self, delivery: &Delivery) -> Option<Verdict> {
        let event = delivery.event();
        match self.planted? {
            Planted::OneDropped if &*event.event_id == "e7" => {
                Some(Verdict::Delivered { failed_attempts: 0 })
            }
            Planted::SpilledForgotten if delivery.on_disk => {
                Some(Verdict::Duplicate { of: Outcome::Delivered })
            }
            Planted::OneLoadProbed if delivery.probe => {
                let probed = self.probed.get_or_init(|| event.load_id.to_string());
                let history = delivery.history.clone();
                (**probed != *event.load_id).then_some(Verdict::Spilled { history, not_before: None })
            }
            _ => None,
        }
    }
}

impl Stage for Tampered {
    type In = Delivery;
    type Out = Fresh;

    async fn run(&self, delivery: Delivery) -> Step<Fresh> {
        match self.fault(&delivery) {
            Some(verdict) => {
                // As long as an attempt: what costs no time could be tried without end at one moment.
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(Exit::Verdict(verdict))
            }
            None => self.dedupe.run(delivery).await,
        }
    }
}
