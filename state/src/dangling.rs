//! Finds ledger entries that say an event waits on disk although its delivery is not there. Such an event would never
//! be delivered: a restart would take it for one that is waiting. No order of writes leaves such an entry; damage
//! does.

use rustc_hash::FxHashSet;

use crate::{
    fault::StateFault,
    outcome::{LedgerEntry, LedgerKey, Outcome},
    store::Store,
};

/// A delivery that should wait on disk and does not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MissingDelivery {
    /// The broker it is for.
    pub broker: String,
    /// The id of its event.
    pub event_id: String,
}

/// All of them. Reads the whole spill and the whole ledger, and holds about 100 bytes for each delivery that waits.
pub(crate) fn dangling(store: &Store) -> Result<Vec<MissingDelivery>, StateFault> {
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
            missing.push(MissingDelivery { broker, event_id });
        }
    }
    Ok(missing)
}
