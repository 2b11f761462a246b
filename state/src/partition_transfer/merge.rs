//! Decides between a ledger entry from another directory and the one that is here: one of them stays.

use crate::{
    clock::UnixMillis,
    fault::StateFault,
    outcome::{LedgerEntry, Outcome},
    store::Store,
};

/// Imports an entry if it is within the dedupe window and prevails over the one that is here. Its age counts from
/// when it was first recorded.
pub(crate) fn merge(
    store: &Store,
    key: &[u8],
    entry: LedgerEntry,
    now: UnixMillis,
) -> Result<(), StateFault> {
    let entry = LedgerEntry { at: store.clock().to_monotonic(entry.at), ..entry };
    if entry.at < now.saturating_sub(store.options.dedupe_window) {
        return Ok(());
    }
    let here = store.buckets.get(key)?;
    let here = here.map(|here| LedgerEntry::from_bytes(&here)).transpose()?;
    if here.is_some_and(|here| !prevails(&entry, &here)) {
        return Ok(());
    }
    let start = store.buckets.insert_at(&store.db, entry.at, key, &entry.to_bytes()?)?;
    match here {
        None => Ok(()),
        // A newer entry would be found first.
        Some(_) => store.buckets.remove_newer(key, Some(start)),
    }
}

/// Whether `other` replaces `here`. The later one prevails, with two exceptions, so that clock differences cost
/// neither a repeat nor a delivery: a delivered entry prevails always, and an imported waiting delivery over a dead
/// letter.
fn prevails(other: &LedgerEntry, here: &LedgerEntry) -> bool {
    match (other.outcome, here.outcome) {
        (Outcome::Delivered, Outcome::Spilled | Outcome::DeadLettered) => true,
        (Outcome::Spilled | Outcome::DeadLettered, Outcome::Delivered) => false,
        (Outcome::Spilled, Outcome::DeadLettered) if other.digest == here.digest => true,
        _ => other.at > here.at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::BodyDigest;

    fn entry(outcome: Outcome, at: UnixMillis, body: &[u8]) -> LedgerEntry {
        LedgerEntry { outcome, digest: BodyDigest::of(body), failed_attempts: 0, at }
    }

    #[test]
    fn the_later_entry_stays_but_what_was_delivered_or_moves_along_stands() {
        use Outcome::{DeadLettered, Delivered, Spilled};
        assert!(prevails(&entry(Delivered, 2, b"a"), &entry(Delivered, 1, b"a")));
        assert!(!prevails(&entry(Delivered, 1, b"a"), &entry(Delivered, 1, b"a")));
        assert!(prevails(&entry(Delivered, 1, b"a"), &entry(Spilled, 2, b"a")));
        assert!(prevails(&entry(Delivered, 1, b"a"), &entry(DeadLettered, 2, b"a")));
        assert!(!prevails(&entry(DeadLettered, 2, b"a"), &entry(Delivered, 1, b"a")));
        assert!(prevails(&entry(Spilled, 1, b"a"), &entry(DeadLettered, 2, b"a")));
        assert!(!prevails(&entry(Spilled, 1, b"b"), &entry(DeadLettered, 2, b"a")), "another body");
        assert!(!prevails(&entry(DeadLettered, 1, b"a"), &entry(Spilled, 2, b"a")));
        assert!(prevails(&entry(DeadLettered, 3, b"a"), &entry(Spilled, 2, b"a")));
    }
}
