//! Finds out, when the state directory is opened, which deliveries the last run may have sent without a recorded
//! outcome.
//!
//! If the attempts journal is that run's own (written in the same boot of the machine, or closed and synced), it
//! names them: its keys without an outcome become [unresolved](crate::unresolved), and the horizons are cleared.
//! Otherwise, after a loss of power, on another machine, or with a missing or damaged journal, everything below the
//! horizons is in doubt: a source's records and a broker's deliveries on disk, until a run has passed them.
//!
//! Guarantee: what a run may have sent is known durably before the journal is used again.

use crate::{
    fault::StateFault,
    journal_file::{self, Contents, Found, Named, digest},
    outcome::{LedgerEntry, Outcome},
    store::Store,
    unresolved::KeyDigest,
};

/// Settles what the last run has left in doubt.
pub(crate) fn take_over(store: &Store) -> Result<(), StateFault> {
    let sources = store.sources.horizons()?;
    let brokers = store.brokers.drain_horizons()?;
    let horizons = !(sources.is_empty() && brokers.is_empty());
    let named = match journal_file::read(&store.files)? {
        Found::Absent if !horizons => return Ok(()),
        Found::Absent => Err("there is none"),
        Found::Damaged(why) => Err(why),
        Found::Whole(Contents { closed, boot, slots }) => match boot {
            _ if closed => Ok(slots),
            Some(boot) if Some(boot) == store.files.boot_id() => Ok(slots),
            _ => Err("the machine was started anew since"),
        },
    };
    match named {
        Ok(slots) if slots.is_empty() && !horizons => return Ok(()),
        Ok(slots) => {
            let unresolved = without_outcome(store, slots)?;
            if !unresolved.is_empty() {
                tracing::warn!(
                    deliveries = unresolved.len(),
                    "an earlier run may have sent deliveries whose outcome is not on record"
                );
            }
            store.commit(|now| {
                store.unresolved.add(&unresolved, now)?;
                sources.iter().try_for_each(|(source, _)| store.sources.put_horizon(source, None))?;
                brokers.iter().try_for_each(|(broker, _)| store.brokers.put_drain_horizon(broker, 0))
            })?;
        }
        Err(why) => {
            if horizons {
                tracing::warn!(
                    why,
                    "the attempts journal cannot be used: everything an earlier run may have read counts as sent"
                );
            }
            store.commit(|_now| {
                for (source, horizon) in &sources {
                    let doubt = store.sources.doubt(source)?.max(Some(*horizon));
                    store.sources.put_doubt(source, doubt.as_ref())?;
                    store.sources.put_horizon(source, None)?;
                }
                for (broker, horizon) in &brokers {
                    store.brokers.put_doubt(broker, store.brokers.doubt(broker)?.max(*horizon))?;
                    store.brokers.put_drain_horizon(broker, 0)?;
                }
                Ok::<_, StateFault>(())
            })?;
        }
    }
    journal_file::replace(&store.files, true, &[]).map(drop)
}

/// The keys in `slots` without an outcome in the ledger.
fn without_outcome(store: &Store, slots: Vec<Named>) -> Result<Vec<KeyDigest>, StateFault> {
    let mut unresolved = Vec::new();
    for named in slots {
        match named {
            Named::Digest(digest) => unresolved.push(digest),
            Named::Key(key) => {
                let entry =
                    store.buckets.get(&key)?.map(|value| LedgerEntry::from_bytes(&value)).transpose()?;
                if entry.is_none_or(|entry| entry.outcome == Outcome::Spilled) {
                    unresolved.push(digest(&key));
                }
            }
        }
    }
    Ok(unresolved)
}

#[cfg(test)]
#[path = "in_doubt_tests.rs"]
mod tests;
