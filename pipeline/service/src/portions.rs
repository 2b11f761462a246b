//! This process's portion of all brokers' limits, which a group's rebalances change.
//!
//! Guarantee: every broker, one that a reload adds included, has the portion that was set last.

use std::sync::Arc;

use line::Roster;
use parking_lot::Mutex;
use stages::{Broker, Portion};

/// The portion, and the brokers that it is of. A clone is the same.
#[derive(Clone, Debug)]
pub(crate) struct Portions {
    brokers: Roster,
    current: Arc<Mutex<Portion>>,
}

impl Portions {
    /// `brokers` have `portion` for now.
    pub(crate) fn new(brokers: Roster, portion: Portion) -> Self {
        let portions = Self { brokers, current: Arc::default() };
        portions.set(portion);
        portions
    }

    /// From now on all have this portion.
    pub(crate) fn set(&self, portion: Portion) {
        let mut current = self.current.lock();
        self.brokers.all().iter().for_each(|broker| broker.set_portion(portion.clone()));
        *current = portion;
    }

    /// `broker` is known, and may have come after the portion was set.
    pub(crate) fn admit(&self, broker: &Broker) {
        broker.set_portion(self.current.lock().clone());
    }
}

#[cfg(test)]
mod tests {
    use stages::testing::broker_with;

    use super::*;

    #[test]
    fn one_that_comes_later_has_the_portion_of_the_others() {
        let [one, other] = ["one", "other"].map(|id| Arc::new(broker_with(id, 60.0, 12)));
        let roster = Roster::new(vec![one.clone()]);
        let portions = Portions::new(roster.clone(), Portion::held([], 1));
        assert_eq!(one.concurrency(), 0);
        portions.set(Portion::held([0, 1], 12));
        assert_eq!((one.quota().rate(), one.quota().burst().get(), one.concurrency()), (10.0, 2, 2));
        roster.know(&other);
        assert_eq!(other.quota().rate(), 60.0);
        portions.admit(&other);
        assert_eq!(other.quota().rate(), 10.0);
        portions.set(Portion::Whole);
        assert_eq!((one.quota().rate(), other.concurrency()), (60.0, 8));
    }
}
