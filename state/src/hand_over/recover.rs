//! Makes up for a move that was interrupted, when the directory is opened: what was given away is removed, what has
//! arrived in part is taken back. Nothing of either is delivered from here.

use crate::{
    custody::{Custody, Holding},
    fault::StateFault,
    outcome::{LedgerEntry, LedgerKey, Outcome},
    spilled::SpilledDelivery,
    store::Store,
};

/// How many deliveries are changed in one commit.
pub(super) const COMMIT_MAX: usize = 4_096;

/// Finishes what was begun in an earlier process.
pub(crate) fn recover(store: &Store) -> Result<(), StateFault> {
    for (source, custody) in store.sources.custodies()? {
        match custody.holding {
            Holding::Away { cleared: false, .. } => {
                tracing::warn!(%source, "an export was interrupted after its file was written: it is finished now");
                clear(store, &source)?;
            }
            Holding::Arriving { ref queued, .. } if !queued.is_empty() => {
                tracing::warn!(%source, "an import was interrupted: what it has put on disk is taken back");
                take_back(store, &source, custody)?;
            }
            Holding::Here | Holding::Away { .. } | Holding::Arriving { .. } => {}
        }
    }
    Ok(())
}

/// The last step of an export: removes the deliveries of `source`, which has been given away and of which everything that
/// is here is in the file; and what the ledger says of them, which is in the file too. Should the file be thrown away and
/// the records be read here again, an entry without its delivery would make them look taken care of.
pub(super) fn clear(store: &Store, source: &str) -> Result<(), StateFault> {
    let moved = |delivery: &SpilledDelivery| &*delivery.event.position.source == source;
    let all = store.spill.all().filter(|item| item.as_ref().map_or(true, moved));
    remove(store, all, |delivery| forget(store, delivery))?;
    let Some(mut custody) = store.sources.custody(source)? else { return Ok(()) };
    if let Holding::Away { cleared, .. } = &mut custody.holding {
        *cleared = true;
    }
    store.commit(|_now| store.sources.put_custody(source, &custody))
}

/// Removes what an import has put on disk; the source is arriving still. Ledger entries that have come stay, for they say
/// what is true; but for those that stand for the deliveries.
fn take_back(store: &Store, source: &str, mut custody: Custody) -> Result<(), StateFault> {
    let Holding::Arriving { queued, .. } = &mut custody.holding else { return Ok(()) };
    for (broker, first, end) in queued.drain(..) {
        remove(store, store.spill.each(broker, first..end), |delivery| forget(store, delivery))?;
    }
    store.commit(|_now| store.sources.put_custody(source, &custody))
}

/// Removes the ledger's entry that says that `delivery` waits on disk, if it says so.
fn forget(store: &Store, delivery: &SpilledDelivery) -> Result<(), StateFault> {
    let key = LedgerKey::new(&delivery.broker, &delivery.event.event_id);
    let entry = store.buckets.get(key.as_bytes())?;
    let entry = entry.map(|entry| LedgerEntry::from_bytes(&entry)).transpose()?;
    match entry.is_some_and(|entry| entry.outcome == Outcome::Spilled) {
        true => store.buckets.remove_newer(key.as_bytes(), None),
        false => Ok(()),
    }
}

/// Removes deliveries, a commit's worth at a time, each after `before`.
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
