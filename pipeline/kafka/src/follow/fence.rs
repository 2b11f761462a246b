//! Whose records of a ledger topic's partition count. Pure.
//!
//! A claim's epoch is its offset and one: the log itself numbers the claims, no two of them share an epoch, and nothing
//! has to be read before a claim is written. After a claim, what another epoch has written counts only if it is a
//! delivery: that request was made, whoever made it.

use state::Outcome;

use super::record::Said;

/// Follows one partition's records in the order of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fence {
    /// The epoch whose records count now.
    current: u64,
    /// Whether its claim was met: until then, because claims leave the log with the retention, a later epoch is known
    /// only by its records.
    claimed: bool,
}

impl Fence {
    /// Begins behind a place at which `epoch` was the partition's.
    pub(crate) fn after(epoch: u64) -> Self {
        Self { current: epoch, claimed: epoch > 0 }
    }

    /// The epoch of a claim that stands at `offset`.
    pub(crate) fn epoch_at(offset: u64) -> u64 {
        offset.saturating_add(1)
    }

    /// The epoch whose records count.
    pub(crate) fn current(self) -> u64 {
        self.current
    }

    /// Whether the record of `epoch` at `offset` counts.
    pub(crate) fn counts(&mut self, offset: u64, epoch: u64, said: &Said) -> bool {
        if let Said::Claim(_) = said {
            *self = Self { current: Self::epoch_at(offset), claimed: true };
            return true;
        }
        if !self.claimed && epoch > self.current && epoch <= offset {
            self.current = epoch;
        }
        epoch == self.current || is_delivered(said)
    }
}

/// Whether it says that a broker has taken an event.
pub(crate) fn is_delivered(said: &Said) -> bool {
    matches!(said, Said::Outcome { entry, .. } if entry.outcome == Outcome::Delivered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::follow::{record::Claim, testing::outcome};

    fn claim() -> Said {
        Said::Claim(Claim { member: "m".into(), nonce: 1 })
    }

    #[test]
    fn after_a_claim_an_earlier_epoch_counts_only_for_what_was_delivered() {
        let mut fence = Fence::default();
        assert!(fence.counts(0, 0, &claim()) && fence.current() == 1);
        assert!(fence.counts(1, 1, &outcome("e1", Outcome::Spilled)));
        assert!(fence.counts(2, 0, &claim()) && fence.current() == 3);
        assert!(!fence.counts(3, 1, &outcome("e2", Outcome::Spilled)));
        assert!(!fence.counts(4, 1, &outcome("e2", Outcome::DeadLettered)));
        assert!(!fence.counts(5, 1, &Said::Horizon(None)) && !fence.counts(6, 1, &Said::Released(None)));
        assert!(fence.counts(7, 1, &outcome("e3", Outcome::Delivered)));
        assert!(fence.counts(8, 3, &outcome("e2", Outcome::Spilled)));
        // Written under a claim that an election has taken back.
        assert!(!fence.counts(9, 4, &outcome("e4", Outcome::Spilled)));
    }

    #[test]
    fn where_retention_has_removed_the_claims_the_records_tell_the_epoch() {
        let mut fence = Fence::default();
        assert!(fence.counts(500, 90, &outcome("e1", Outcome::Spilled)));
        assert!(fence.counts(501, 120, &outcome("e2", Outcome::Spilled)));
        assert!(!fence.counts(502, 90, &outcome("e3", Outcome::Spilled)));
        assert!(
            !fence.counts(503, 9_999, &outcome("e3", Outcome::Spilled)),
            "nobody can have that epoch yet"
        );
        assert_eq!(fence.current(), 120);
    }
}
