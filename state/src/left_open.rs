//! What those who had a partition have left open, from what a log of partition states has of them, in its order.
//!
//! Guarantee: what an owner that died may have sent is in doubt until somebody has settled it; an owner that comes and
//! goes between has settled nothing.

use crate::checkpoint::Horizon;

/// What is left open by all who had a partition.
#[derive(Clone, Debug, Default)]
pub struct LeftOpen {
    /// Whether anybody has had the partition since it was last given up in good order.
    had: bool,
    /// Up to where its last owner may have read it.
    horizon: Option<Horizon>,
    /// Up to where owners before that may have, as far as nobody has settled it since.
    doubt: Option<Horizon>,
}

impl LeftOpen {
    /// Somebody had the partition before what is read of its log.
    pub fn had_owner(&mut self) {
        self.had = true;
    }

    /// Somebody claims the partition.
    pub fn claimed(&mut self) {
        (self.had, self.doubt) = (true, self.doubt.max(self.horizon.take()));
    }

    /// Its owner may read up to `horizon`, or has sent nothing that is not settled.
    pub const fn may_read(&mut self, horizon: Option<Horizon>) {
        self.horizon = horizon;
    }

    /// Its owner gives it up in good order; everything below `settled` is settled.
    pub fn released(&mut self, settled: Option<Horizon>) {
        self.doubt = self.doubt.filter(|doubt| settled.is_none_or(|settled| settled < *doubt));
        (self.had, self.horizon) = (false, None);
    }

    /// Up to where the partition may have been sent without an outcome; none if its owners have ended in good order.
    #[must_use]
    pub fn left(&self) -> Option<Horizon> {
        let nothing_told = Horizon { epoch: 0, offset: 0 };
        self.horizon.max(self.doubt).or(self.had.then_some(nothing_told))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIM: fn(&mut LeftOpen) = LeftOpen::claimed;

    fn horizon(offset: u64) -> Option<Horizon> {
        Some(Horizon { epoch: 0, offset })
    }

    fn left(steps: &[&dyn Fn(&mut LeftOpen)]) -> Option<Horizon> {
        let mut open = LeftOpen::default();
        steps.iter().for_each(|step| step(&mut open));
        open.left()
    }

    #[test]
    fn what_an_owner_that_died_may_have_sent_is_in_doubt_until_somebody_has_settled_it() {
        let read = |offset| move |open: &mut LeftOpen| open.may_read(horizon(offset));
        let released = |offset| move |open: &mut LeftOpen| open.released(horizon(offset));
        let nothing_settled = |open: &mut LeftOpen| open.released(None);
        let nothing_open = |open: &mut LeftOpen| open.may_read(None);
        assert_eq!(left(&[]), None, "nobody had it");
        assert_eq!(left(&[&LeftOpen::had_owner]), horizon(0));
        assert_eq!(left(&[&CLAIM]), horizon(0));
        assert_eq!(left(&[&CLAIM, &read(50)]), horizon(50));
        assert_eq!(left(&[&CLAIM, &read(50), &released(40)]), None, "it has ended in good order");
        assert_eq!(left(&[&CLAIM, &read(50), &CLAIM, &read(30)]), horizon(50));
        assert_eq!(left(&[&CLAIM, &read(50), &CLAIM, &read(30), &released(20)]), horizon(50));
        assert_eq!(left(&[&CLAIM, &read(50), &CLAIM, &read(90), &released(50)]), None);
        assert_eq!(left(&[&CLAIM, &read(50), &CLAIM, &nothing_settled]), horizon(50));
        assert_eq!(left(&[&CLAIM, &read(50), &nothing_open]), horizon(0));
    }
}
