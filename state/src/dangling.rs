//! Ledger entries that say that an event waits on disk, and the delivery is not there: a restart or a second reading of
//! the source would take the event for one that is taken care of. No order of writes leaves one; damage does.

use rustc_hash::FxHashSet;

use crate::{
    fault::StateFault,
    outcome::{LedgerEntry, LedgerKey, Outcome},
    store::Store,
};

/// A delivery that should wait on disk and does not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// The broker it is for.
    pub broker: String,
    /// The id of its event.
    pub event_id: String,
}

/// All of them, by reading the whole spill and the whole ledger. Holds about 100 bytes for each delivery that waits.
pub(crate) fn dangling(store: &Store) -> Result<Vec<Missing>, StateFault> {
    let mut waiting = FxHashSet::default();
    for delivery in store.spill.all() {
        let delivery = delivery?;
        waiting.insert(LedgerKey::new(&delivery.broker, &delivery.event.event_id));
    }
    let mut missing = Vec::new();
    for item in store.buckets.newest_entries() {
        let (key, value) = item?;
        let key = LedgerKey::from_bytes(&key);
        if LedgerEntry::from_bytes(&value)?.outcome == Outcome::Spilled && !waiting.contains(&key) {
            let (event_id, broker) = key.parts();
            missing.push(Missing { broker, event_id });
        }
    }
    Ok(missing)
}
