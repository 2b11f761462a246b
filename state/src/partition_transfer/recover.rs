//! Completes an interrupted move when the directory is opened: removes the deliveries of an exported source, and
//! those of an import that was not completed. None of either is delivered from here.

use crate::{
    fault::StateFault,
    outcome::{LedgerEntry, LedgerKey, Outcome},
    ownership::{Owner, Ownership},
    spilled::SpilledDelivery,
    store::Store,
};

/// How many deliveries are changed in one commit.
pub(super) const COMMIT_MAX: usize = 4_096;

/// Completes or undoes moves that an earlier process has begun.
pub(crate) fn recover(store: &Store) -> Result<(), StateFault> {
    for (source, ownership) in store.sources.ownerships()? {
        match ownership.owner {
            Owner::Exported { cleared: false, .. } => {
                tracing::warn!(%source, "an export was interrupted after its file was written: it is finished now");
                clear(store, &source)?;
            }
            Owner::Importing { ref queued, .. } if !queued.is_empty() => {
                tracing::warn!(%source, "an import was interrupted: what it has written is removed");
                take_back(store, &source, ownership)?;
            }
            Owner::Here | Owner::Exported { .. } | Owner::Importing { .. } => {}
        }
    }
    Ok(())
}

/// The last step of an export: removes the deliveries of `source`, and the ledger entries that say they wait; all of
/// them are in the file. If the file were thrown away and the records read here again, an entry without its delivery
/// would keep them from being delivered.
pub(super) fn clear(store: &Store, source: &str) -> Result<(), StateFault> {
    let moved = |delivery: &SpilledDelivery| &*delivery.event.position.source == source;
    let all = store.spill.all().filter(|item| item.as_ref().map_or(true, moved));
    remove(store, all, |delivery| forget_waiting(store, delivery))?;
    let Some(mut ownership) = store.sources.ownership(source)? else { return Ok(()) };
    if let Owner::Exported { cleared, .. } = &mut ownership.owner {
        *cleared = true;
    }
    store.commit(|_now| store.sources.put_ownership(source, &ownership))
}

/// Removes the deliveries that an incomplete import has written, and the ledger entries that say they wait. Other
/// imported ledger entries stay, because they are true.
fn take_back(store: &Store, source: &str, mut ownership: Ownership) -> Result<(), StateFault> {
    let Owner::Importing { queued, .. } = &mut ownership.owner else { return Ok(()) };
    for (broker, first, end) in queued.drain(..) {
        remove(store, store.spill.each(broker, first..end), |delivery| forget_waiting(store, delivery))?;
    }
    store.commit(|_now| store.sources.put_ownership(source, &ownership))
}

/// Removes the deliveries for which `is_copy` says so, and the ledger entries that say they wait.
pub(crate) fn drop_copies(
    store: &Store,
    is_copy: impl Fn(&SpilledDelivery) -> bool,
) -> Result<(), StateFault> {
    let all = store.spill.all().filter(|item| item.as_ref().map_or(true, &is_copy));
    remove(store, all, |delivery| forget_waiting(store, delivery))
}

fn forget_waiting(store: &Store, delivery: &SpilledDelivery) -> Result<(), StateFault> {
    forget(store, &LedgerKey::new(&delivery.broker, &delivery.event.event_id))
}

/// Removes the ledger entry of `key` if it says that its delivery waits.
pub(crate) fn forget(store: &Store, key: &LedgerKey) -> Result<(), StateFault> {
    let entry = store.buckets.get(key.as_bytes())?;
    let entry = entry.map(|entry| LedgerEntry::from_bytes(&entry)).transpose()?;
    match entry.is_some_and(|entry| entry.outcome == Outcome::Spilled) {
        true => store.buckets.remove_newer(key.as_bytes(), None),
        false => Ok(()),
    }
}

/// Removes deliveries, one commit at a time; `before` is called for each first.
fn remove(
    store: &Store,
    mut deliveries: impl Iterator<Item = Result<SpilledDelivery, StateFault>>,
    before: impl Fn(&SpilledDelivery) -> Result<(), StateFault>,
) -> Result<(), StateFault> {
    let mut ended = false;
    while !ended {
        store.commit(|_now| {
            for _ in 0..COMMIT_MAX {
                let Some(delivery) = deliveries.next().transpose()? else {
                    ended = true;
                    break;
                };
                before(&delivery)?;
                store.spill.remove(&delivery.broker, delivery.seq)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}
