//! A partition's state on its way in from the log outside, and out again: what the line asks of the ledger while a
//! partition comes or goes.
//!
//! Guarantees: what waits here of a partition is sent from here only while the log says that the partition is this
//! process's; what waited here before its state went to the log is in the log before anything says so.

use std::sync::Arc;

use crate::{
    fault::StateFault,
    ledger::Ledger,
    outcome::{LedgerEntry, LedgerKey},
    partition_transfer::drop_copies,
    position::Position,
    record::{Origin, Record, spilled_entry},
    spill::Spill,
    spilled::{SpillRef, SpillSeq, SpilledDelivery},
    store::Store,
};

impl Store {
    /// Before anything is recorded: what an earlier run has left on disk of partitions whose state is in a log is out of
    /// date if that log is followed, and is all there is if not.
    pub(crate) fn begin_following(&self, follows: bool) -> Result<(), StateFault> {
        let followed = self.sources.followed()?;
        if followed.is_empty() {
            return Ok(());
        }
        if follows {
            let is_copy = |delivery: &SpilledDelivery| {
                followed.iter().any(|of| **of == *delivery.event.position.source)
            };
            return drop_copies(self, is_copy);
        }
        tracing::warn!(
            partitions = followed.len(),
            "the log of partition states is not followed any more: what waits here is sent from here, and what others have recorded since is not known"
        );
        self.commit(|_now| followed.iter().try_for_each(|source| self.sources.put_followed(source, false)))
    }
}

impl Ledger {
    /// Whether the changes of partitions go to a log outside, too.
    #[must_use]
    pub fn follows(&self) -> bool {
        self.following.is_some()
    }

    /// Whether this process holds the partition: all of its changes go to the log.
    #[must_use]
    pub fn holds(&self, source: &str) -> bool {
        self.following.as_ref().is_some_and(|following| following.holds(source))
    }

    /// From now on all changes of this partition go to the log.
    pub fn hold(&self, source: &Arc<str>) {
        if let Some(following) = &self.following {
            following.hold(source);
        }
    }

    /// From now on none does. Call when all that was recorded of it is proven.
    pub fn let_go(&self, source: &str) {
        if let Some(following) = &self.following {
            following.leave(source);
        }
    }

    /// The partition is somebody else's: of its changes only what was delivered after all goes to the log.
    pub fn lose(&self, source: &str) {
        if let Some(following) = &self.following {
            following.lose(source);
        }
    }

    /// Calls `then` with each partition of which the log says that it is somebody else's, before anything of it is
    /// answered. It is called on the ledger thread, and must not wait.
    pub fn on_superseded(&self, then: impl Fn(&str) + Send + Sync + 'static) {
        if let Some(following) = &self.following {
            following.on_superseded(Box::new(then));
        }
    }

    /// `record`, the end of a delivery to `broker` of this event in the record at `position`, as it has to be recorded here;
    /// `waits` if the log says that the delivery waits.
    #[must_use]
    pub fn of_partition(
        &self,
        record: Record,
        (broker, event_id, position): (&Arc<str>, &Arc<str>, &Position),
        waits: bool,
    ) -> Record {
        if self.following.is_none() {
            return record;
        }
        let (broker, event_id, position) = (broker.clone(), event_id.clone(), position.clone());
        let origin = Origin { broker, event_id, position, waits };
        Record::OfPartition(origin, Box::new(record))
    }

    /// Merges outcomes that the log has of a partition, by the wall clock.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub fn restore(
        &self,
        outcomes: Vec<(LedgerKey, LedgerEntry)>,
    ) -> impl Future<Output = Result<(), StateFault>> + Send + use<> {
        let records = outcomes.into_iter().map(|(key, entry)| Record::Restored(key, entry));
        let merged = self.record_all(records.collect());
        async move { merged.await.map(drop) }
    }

    /// Has the ledger know that a delivery which the log says waits does. The log may have taken that and not the outcome
    /// that goes with it: the event would be taken for a new one when its record is read again.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub async fn vouch(&self, waiting: &SpilledDelivery) -> Result<(), StateFault> {
        let key = LedgerKey::new(&waiting.broker, &waiting.event.event_id);
        if self.look_up(&key)?.is_some() {
            return Ok(());
        }
        let clock = self.store().clock();
        self.restore(vec![(key, spilled_entry(waiting, clock.to_wall(clock.now())))]).await
    }

    /// Whether what waits here of a partition was told to the log when it went there; it need not be told again.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn is_followed(&self, source: &str) -> Result<bool, StateFault> {
        self.store().sources.is_followed(source)
    }

    /// Tells the log of these, which wait here since before their partition's state went there. The partition must be held.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub fn adopt(
        &self,
        waiting: Vec<Waiting>,
    ) -> impl Future<Output = Result<(), StateFault>> + Send + use<> {
        let records = waiting.into_iter().map(|waiting| Record::Adopted((waiting.broker, waiting.seq)));
        let told = self.record_all(records.collect());
        async move { told.await.map(drop) }
    }

    /// A delivery that was restored, with its times by this directory's own time.
    #[must_use]
    pub fn by_own_time(&self, mut delivery: SpilledDelivery) -> SpilledDelivery {
        delivery.keep_by_monotonic(self.store().clock());
        delivery
    }

    /// Removes these, which are somebody else's now, with the entries that say that they wait.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub fn drop_waiting(
        &self,
        waiting: Vec<Waiting>,
    ) -> impl Future<Output = Result<(), StateFault>> + Send + use<> {
        let records = waiting.into_iter().map(|waiting| {
            let key = LedgerKey::new(&waiting.broker, &waiting.event_id);
            Record::Dropped((waiting.broker, waiting.seq), key)
        });
        let dropped = self.record_all(records.collect());
        async move { dropped.await.map(drop) }
    }
}

/// A delivery that waits on disk, without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its broker.
    pub broker: Arc<str>,
    /// Its number.
    pub seq: SpillSeq,
    /// Its event.
    pub event_id: Arc<str>,
    /// The load of that.
    pub load_id: Arc<str>,
    /// The bytes it counts for: see [`Spill::cost`].
    pub cost: u64,
}

impl Store {
    /// Up to `max` of those that wait on disk of this partition, in the order of their brokers and numbers, behind `after`.
    /// Reads all that waits: call it where that holds up nobody.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn waiting_of(
        &self,
        source: &str,
        after: Option<&SpillRef>,
        max: usize,
    ) -> Result<Vec<Waiting>, StateFault> {
        let is_its = |item: &Result<SpilledDelivery, StateFault>| {
            item.as_ref().map_or(true, |delivery| &*delivery.event.position.source == source)
        };
        let found = self.spill.all_after(after).filter(is_its).take(max);
        found.map(|item| item.map(|delivery| Waiting::from(&delivery))).collect()
    }
}

impl From<&SpilledDelivery> for Waiting {
    fn from(delivery: &SpilledDelivery) -> Self {
        Self {
            broker: delivery.broker.clone(),
            seq: delivery.seq,
            event_id: delivery.event.event_id.clone(),
            load_id: delivery.event.load_id.clone(),
            cost: Spill::cost(delivery),
        }
    }
}
