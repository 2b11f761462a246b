//! Which partitions this process holds whose changes also go to a [`PartitionLog`], and what a commit has for it.
//!
//! Guarantees: of a partition that is held nothing is proven that the log has not taken; one that the log says is somebody
//! else's is lost before anything more of it is proven.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::{
    clock::Clock,
    fault::StateFault,
    outcome::{LedgerEntry, LedgerKey, Outcome},
    partition_log::{PartitionChange, PartitionLog, PartitionLogFault},
    position::Position,
    spilled::SpilledDelivery,
};

/// What is done about a partition that somebody else has.
pub(crate) type OnSuperseded = Box<dyn Fn(&str) + Send + Sync>;

/// Where the changes of followed partitions go; clones share it.
#[derive(Clone)]
pub(crate) struct Following(Arc<Inner>);

struct Inner {
    log: Arc<dyn PartitionLog>,
    stays: Mutex<Arc<Stays>>,
    on_superseded: Mutex<Option<OnSuperseded>>,
}

/// The partitions that are or were this process's; as many as the source has, at most.
type Stays = FxHashMap<Arc<str>, Stay>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stay {
    /// All of its changes go to the log.
    Held,
    /// It is somebody else's: only what was delivered after all goes there.
    Lost,
}

impl Following {
    pub(crate) fn new(log: Arc<dyn PartitionLog>) -> Self {
        let (stays, on_superseded) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { log, stays, on_superseded }))
    }

    /// From now on all changes of this partition go to the log.
    pub(crate) fn hold(&self, source: &Arc<str>) {
        self.change(|stays| {
            stays.insert(source.clone(), Stay::Held);
        });
    }

    /// From now on none does: all of them are there.
    pub(crate) fn leave(&self, source: &str) {
        self.change(|stays| {
            stays.remove(source);
        });
    }

    /// The partition is somebody else's; false if it was not held.
    pub(crate) fn lose(&self, source: &str) -> bool {
        let mut held = false;
        self.change(|stays| {
            if let Some(stay) = stays.get_mut(source) {
                held = std::mem::replace(stay, Stay::Lost) == Stay::Held;
            }
        });
        held
    }

    /// Whether this process holds the partition.
    pub(crate) fn holds(&self, source: &str) -> bool {
        self.0.stays.lock().get(source) == Some(&Stay::Held)
    }

    /// Calls `then` for each partition that turns out to be somebody else's, before anything of it is answered.
    pub(crate) fn on_superseded(&self, then: OnSuperseded) {
        *self.0.on_superseded.lock() = Some(then);
    }

    fn change(&self, change: impl FnOnce(&mut Stays)) {
        change(Arc::make_mut(&mut self.0.stays.lock()));
    }

    /// Begins to append what a commit has changed: one future for each partition, begun in the order of the commits.
    pub(crate) fn append(&self, changes: Changes) -> Vec<Appending> {
        let each = changes
            .by_partition
            .into_iter()
            .map(|(source, changes)| Appending { appended: self.0.log.append(&source, changes), source });
        each.collect()
    }

    /// Takes the log's answer: a fault that ends the run, or nothing; a partition that is somebody else's is lost by then.
    pub(crate) fn answered(
        &self,
        source: &str,
        answer: Result<(), PartitionLogFault>,
    ) -> Result<(), StateFault> {
        match answer {
            Ok(()) => Ok(()),
            Err(PartitionLogFault::Failed { detail }) => Err(StateFault::PartitionLog { detail }),
            Err(superseded @ PartitionLogFault::Superseded { .. }) => {
                if self.lose(source) {
                    tracing::error!(source, fault = %superseded, "the partition is lost: its deliveries go on there");
                    if let Some(then) = &*self.0.on_superseded.lock() {
                        then(source);
                    }
                }
                Ok(())
            }
        }
    }
}

impl fmt::Debug for Following {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Following").field(&self.0.log).finish()
    }
}

/// Changes of one partition on their way to the log.
pub(crate) struct Appending {
    pub(crate) source: Arc<str>,
    pub(crate) appended: crate::partition_log::Appended,
}

/// What one commit has for the log; nothing is gathered where there is none.
#[derive(Default)]
pub(crate) struct Changes {
    to: Option<(Arc<Stays>, Clock)>,
    by_partition: Vec<(Arc<str>, Vec<PartitionChange>)>,
}

impl Changes {
    /// Gathers for `following`, with times by `clock`.
    pub(crate) fn of(following: Option<&Following>, clock: &Clock) -> Self {
        let to = following.map(|following| (following.0.stays.lock().clone(), clock.clone()));
        Self { to, by_partition: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_partition.is_empty()
    }

    /// Whether any change of this partition goes to the log.
    pub(crate) fn are_of(&self, source: &str) -> bool {
        self.to.as_ref().is_some_and(|(stays, _)| stays.contains_key(source))
    }

    /// An event has this outcome at a broker.
    pub(crate) fn outcome(&mut self, source: &Arc<str>, key: &LedgerKey, entry: LedgerEntry) {
        self.add(source, |clock| {
            let (event_id, broker) = key.parts();
            let entry = LedgerEntry { at: clock.to_wall(entry.at), ..entry };
            PartitionChange::Outcome { broker: broker.into(), event_id: event_id.into(), entry }
        });
    }

    /// A delivery waits on disk.
    pub(crate) fn waiting(&mut self, delivery: &SpilledDelivery) {
        self.add(&delivery.event.position.source, |clock| {
            let mut delivery = delivery.clone();
            delivery.keep_by_wall(clock);
            PartitionChange::Waiting(Box::new(delivery))
        });
    }

    /// A delivery waits no longer.
    pub(crate) fn done(&mut self, broker: &Arc<str>, position: &Position) {
        self.add(&position.source, |_| PartitionChange::Done {
            broker: broker.clone(),
            position: position.clone(),
        });
    }

    /// Any other change.
    pub(crate) fn other(&mut self, source: &Arc<str>, change: PartitionChange) {
        self.add(source, |_| change);
    }

    fn add(&mut self, source: &Arc<str>, change: impl FnOnce(&Clock) -> PartitionChange) {
        let Some((stays, clock)) = &self.to else { return };
        let Some(stay) = stays.get(source) else { return };
        let change = change(clock);
        if *stay == Stay::Lost && !was_delivered(&change) {
            return;
        }
        match self.by_partition.iter_mut().find(|(of, _)| of == source) {
            Some((_, changes)) => changes.push(change),
            None => self.by_partition.push((source.clone(), vec![change])),
        }
    }
}

fn was_delivered(change: &PartitionChange) -> bool {
    matches!(change, PartitionChange::Outcome { entry, .. } if entry.outcome == Outcome::Delivered)
}

#[cfg(test)]
#[path = "following_tests.rs"]
mod tests;
