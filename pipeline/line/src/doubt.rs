//! Up to where an earlier run, of which no more is known, may have sent a source's records: their deliveries may be
//! repeats.

use state::{Horizon, Ledger, Position, StateFault};

use crate::source::Cursor;

/// A source's doubt; none after runs that left an attempts journal behind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt(Option<Horizon>);

impl Doubt {
    /// What is on record of `source`.
    pub(super) fn of(source: &str, ledger: &Ledger) -> Result<Self, StateFault> {
        ledger.store().sources().doubt(source).map(Self)
    }

    /// Up to where that is.
    pub(super) fn horizon(self) -> Option<Horizon> {
        self.0
    }

    /// Whether the record at `position`, behind which reading goes on at `next`, may have been sent.
    pub(super) fn covers(self, position: &Position, next: &Cursor) -> bool {
        let place = Horizon { epoch: position.epoch, offset: position.offset };
        self.seen_from(next).is_some_and(|doubt| place < doubt)
    }

    /// Whether there is one, and everything in it is settled once the source is settled up to `cursor`.
    pub(super) fn is_passed_by(self, cursor: &Cursor) -> bool {
        let place = Horizon { epoch: cursor.epoch, offset: cursor.offset };
        self.seen_from(cursor).is_some_and(|doubt| doubt <= place)
    }

    /// A source that cannot resume (its mark is empty) begins a new epoch with each run: what is given to it again stands
    /// at the same offset.
    fn seen_from(self, cursor: &Cursor) -> Option<Horizon> {
        let here = |doubt: Horizon| {
            if cursor.mark.is_empty() { Horizon { epoch: cursor.epoch, ..doubt } } else { doubt }
        };
        self.0.map(here)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(epoch: u64, offset: u64, resumes: bool) -> Cursor {
        Cursor { epoch, offset, mark: if resumes { [1].into() } else { [].into() } }
    }

    #[test]
    fn what_lies_before_it_may_repeat_and_it_is_over_when_the_source_is_settled_behind_it() {
        let doubt = Doubt(Some(Horizon { epoch: 2, offset: 10 }));
        let covers = |epoch, offset, resumes| {
            let position = Position::new("t".into(), epoch, offset);
            doubt.covers(&position, &cursor(epoch, offset + 1, resumes))
        };
        assert!(covers(2, 9, true) && covers(1, 99, true) && !covers(2, 10, true) && !covers(3, 0, true));
        assert!(covers(7, 9, false) && !covers(7, 10, false), "another epoch of what cannot resume");
        let passed = |epoch, offset, resumes| doubt.is_passed_by(&cursor(epoch, offset, resumes));
        assert!(!passed(2, 9, true) && passed(2, 10, true) && passed(3, 0, true));
        assert!(!passed(7, 9, false) && passed(7, 10, false));
        assert!(!Doubt(None).is_passed_by(&cursor(9, 9, true)));
    }
}
