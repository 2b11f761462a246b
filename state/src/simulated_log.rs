//! A log of partition states in memory, for tests and simulations: several members over one log, with latency, crashes
//! that lose any suffix of what was not acknowledged, and members that write on although somebody else has the partition.
//!
//! Guarantee: what was acknowledged is there, in the order of the appends of each member and partition.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::sleep;

use crate::{
    checkpoint::Horizon,
    left_open::LeftOpen,
    outcome::Outcome,
    partition_log::{Appended, PartitionChange, PartitionLog, PartitionLogFault, Restored},
    spilled::SpilledDelivery,
};

/// The log; clones share it.
#[derive(Clone, Debug, Default)]
pub struct SimulatedLog(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    partitions: BTreeMap<Arc<str>, Vec<Entry>>,
    latency: Duration,
    members: u64,
    heeds_zombies: bool,
}

#[derive(Clone, Debug)]
enum Entry {
    Claim { epoch: u64 },
    Change { epoch: u64, change: PartitionChange },
    Released { epoch: u64, settled: Option<Horizon> },
}

/// One process's handle; a process that begins anew has another.
#[derive(Clone, Debug)]
pub struct LogMember {
    log: SimulatedLog,
    state: Arc<Mutex<MemberState>>,
}

#[derive(Debug, Default)]
struct MemberState {
    /// The epochs of its claims.
    epochs: BTreeMap<Arc<str>, u64>,
    /// What is on its way, in the order of the appends.
    on_its_way: Vec<(u64, Arc<str>, Entry)>,
    appends: u64,
    dead: bool,
}

impl SimulatedLog {
    /// From now on an append takes so long.
    pub fn set_latency(&self, latency: Duration) {
        self.0.lock().latency = latency;
    }

    /// From now on what a member writes of a partition that somebody else has claimed counts: a fault, for tests.
    pub fn heed_zombies(&self) {
        self.0.lock().heeds_zombies = true;
    }

    /// A handle for a process that begins.
    #[must_use]
    pub fn member(&self) -> LogMember {
        LogMember { log: self.clone(), state: Arc::default() }
    }

    /// The deliveries that wait in a partition.
    #[must_use]
    pub fn waiting(&self, source: &str) -> Vec<SpilledDelivery> {
        self.0.lock().read(source).waiting.into_values().collect()
    }
}

/// What a partition's entries come to.
#[derive(Default)]
struct Read {
    outcomes: Vec<Restored>,
    waiting: BTreeMap<(u64, u64, Arc<str>), SpilledDelivery>,
    open: LeftOpen,
    epoch: u64,
}

impl Inner {
    fn read(&self, source: &str) -> Read {
        let mut read = Read::default();
        for entry in self.partitions.get(source).into_iter().flatten() {
            match entry {
                Entry::Claim { epoch } => {
                    read.epoch = *epoch;
                    read.open.claimed();
                }
                Entry::Released { epoch, settled } if *epoch == read.epoch => read.open.released(*settled),
                Entry::Released { .. } => {}
                Entry::Change { epoch, change } => {
                    let counts = *epoch == read.epoch || self.heeds_zombies;
                    read.take(change, counts);
                }
            }
        }
        read
    }
}

impl Read {
    fn take(&mut self, change: &PartitionChange, counts: bool) {
        match change {
            PartitionChange::Outcome { broker, event_id, entry } => {
                if counts || entry.outcome == Outcome::Delivered {
                    let (broker, event_id, entry) = (broker.clone(), event_id.clone(), *entry);
                    self.outcomes.push(Restored::Outcome { broker, event_id, entry });
                }
            }
            PartitionChange::Waiting(delivery) if counts => {
                let position = &delivery.event.position;
                let key = (position.epoch, position.offset, delivery.broker.clone());
                self.waiting.insert(key, (**delivery).clone());
            }
            PartitionChange::Done { broker, position } if counts => {
                self.waiting.remove(&(position.epoch, position.offset, broker.clone()));
            }
            PartitionChange::Horizon(horizon) if counts => self.open.may_read(*horizon),
            PartitionChange::Waiting(_) | PartitionChange::Done { .. } | PartitionChange::Horizon(_) => {}
        }
    }
}

impl LogMember {
    /// Claims a partition and gives what is restored of it.
    #[must_use]
    pub fn claim(&self, source: &Arc<str>) -> Vec<Restored> {
        let mut log = self.log.0.lock();
        let read = log.read(source);
        log.members += 1;
        let epoch = log.members;
        log.partitions.entry(source.clone()).or_default().push(Entry::Claim { epoch });
        drop(log);
        self.state.lock().epochs.insert(source.clone(), epoch);
        let Read { mut outcomes, waiting, open, .. } = read;
        outcomes.push(Restored::Left(open.left()));
        outcomes.extend(waiting.into_values().map(|delivery| Restored::Waiting(Box::new(delivery))));
        outcomes
    }

    /// Gives a partition up in good order; everything below `settled` is settled.
    pub fn release(&self, source: &str, settled: Option<Horizon>) {
        let Some((source, epoch)) = self.state.lock().epochs.remove_entry(source) else { return };
        self.log.0.lock().partitions.entry(source).or_default().push(Entry::Released { epoch, settled });
    }

    /// The process dies: of what is on its way, as much arrives as `keep` says of how many entries there are, and nothing is
    /// acknowledged any more.
    pub fn crash(&self, keep: impl FnOnce(usize) -> usize) {
        let mut state = self.state.lock();
        state.dead = true;
        let on_its_way = std::mem::take(&mut state.on_its_way);
        let kept = keep(on_its_way.len());
        let mut log = self.log.0.lock();
        for (_, source, entry) in on_its_way.into_iter().take(kept) {
            log.partitions.entry(source).or_default().push(entry);
        }
    }

    /// What is on its way up to this append arrives, as far as the process lives. Whether all of its partitions are the
    /// member's still.
    fn arrive(&self, append: u64, source: &Arc<str>) -> Result<(), PartitionLogFault> {
        let mut state = self.state.lock();
        let mut log = self.log.0.lock();
        let later = state.on_its_way.iter().position(|(of, ..)| *of > append);
        let count = later.unwrap_or(state.on_its_way.len());
        for (_, source, entry) in state.on_its_way.drain(..count) {
            log.partitions.entry(source).or_default().push(entry);
        }
        let (own, now) = (state.epochs.get(source).copied(), log.read(source).epoch);
        if own == Some(now) {
            Ok(())
        } else {
            Err(PartitionLogFault::Superseded { source_name: source.clone(), epoch: now })
        }
    }
}

impl PartitionLog for LogMember {
    fn append(&self, source: &Arc<str>, changes: Vec<PartitionChange>) -> Appended {
        let (member, latency) = (self.clone(), self.log.0.lock().latency);
        let mut state = self.state.lock();
        state.appends += 1;
        let append = state.appends;
        let epoch = state.epochs.get(source).copied().unwrap_or_default();
        if !state.dead {
            let entries = changes.into_iter().map(|change| Entry::Change { epoch, change });
            state.on_its_way.extend(entries.map(|entry| (append, source.clone(), entry)));
        }
        drop(state);
        let source = source.clone();
        Box::pin(async move {
            if !latency.is_zero() {
                sleep(latency).await;
            }
            if member.state.lock().dead {
                return Err(PartitionLogFault::Failed { detail: "the process is dead".into() });
            }
            member.arrive(append, &source)
        })
    }
}
