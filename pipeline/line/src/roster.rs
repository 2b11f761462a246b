//! Who is served: all brokers of a run, those that came and went included. Cheap to ask from any thread; a reload replaces
//! the whole at once.

use std::{collections::BTreeSet, sync::Arc};

use arc_swap::ArcSwap;
use stages::Broker;

/// The brokers of a run. A clone is the same roster.
#[derive(Clone, Debug)]
pub struct Roster(Arc<ArcSwap<Rolls>>);

#[derive(Debug)]
struct Rolls {
    /// Everyone, by ordinal.
    all: Vec<Arc<Broker>>,
    /// Those that the config names, in its order.
    listed: Vec<Arc<Broker>>,
    /// Those that it names no more.
    left: Vec<Arc<Broker>>,
}

impl Roster {
    /// A roster of `brokers`, in config order, which is that of their ordinals.
    #[must_use]
    pub fn new(brokers: Vec<Arc<Broker>>) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(Rolls {
            all: brokers.clone(),
            listed: brokers,
            left: Vec::new(),
        })))
    }

    /// Everyone who has been served in this run, those first that the config names.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Broker>> {
        let rolls = self.0.load();
        rolls.listed.iter().chain(&rolls.left).cloned().collect()
    }

    /// Those that the config names, in its order.
    #[must_use]
    pub fn listed(&self) -> Vec<Arc<Broker>> {
        self.0.load().listed.clone()
    }

    /// Those that the config names, and behind them those that it does not name any more and that still have
    /// deliveries.
    #[must_use]
    pub fn shown(&self) -> Vec<Arc<Broker>> {
        let mut shown = self.all();
        shown.retain(|broker| is_served(broker));
        shown
    }

    /// The broker of this name, whether the config still names it or not.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Arc<Broker>> {
        self.0.load().all.iter().find(|broker| &*broker.id == id).cloned()
    }

    /// How many there have been in this run.
    #[must_use]
    pub fn known(&self) -> usize {
        self.0.load().all.len()
    }

    /// `broker`, whose ordinal is the next one, has a slot, but the config does not name it yet.
    pub fn know(&self, broker: &Arc<Broker>) {
        broker.set_leaving(true);
        let Rolls { all, listed, left } = &**self.0.load();
        let with = |brokers: &[Arc<Broker>]| brokers.iter().cloned().chain([broker.clone()]).collect();
        self.0.store(Arc::new(Rolls { all: with(all), listed: listed.clone(), left: with(left) }));
    }

    /// From now on the config names these, in this order; everyone else leaves. Those not known yet have the next
    /// ordinals, in this order.
    pub fn replace(&self, listed: Vec<Arc<Broker>>) {
        let mut all = self.0.load().all.clone();
        all.extend(listed.iter().filter(|broker| broker.ordinal >= all.len()).cloned().collect::<Vec<_>>());
        all.sort_by_key(|broker| broker.ordinal);
        let named: BTreeSet<usize> = listed.iter().map(|broker| broker.ordinal).collect();
        let left: Vec<_> = all.iter().filter(|broker| !named.contains(&broker.ordinal)).cloned().collect();
        // Nobody who stays is seen to leave, not even for a moment.
        left.iter().for_each(|broker| broker.set_leaving(true));
        listed.iter().for_each(|broker| broker.set_leaving(false));
        self.0.store(Arc::new(Rolls { all, listed, left }));
    }
}

/// Whether the config names `broker`, or it still has deliveries.
#[must_use]
pub fn is_served(broker: &Broker) -> bool {
    !broker.is_leaving() || waiting(broker) > 0
}

/// Deliveries that are left for `broker`, on the wire, in memory or on disk.
#[must_use]
pub fn waiting(broker: &Broker) -> u64 {
    let gauges = &broker.tally.gauges;
    // What is read back from disk stays there until it is settled.
    (gauges.queued.get() + gauges.on_wire.get()).max(gauges.spilled.get())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::broker_called;

    fn names(brokers: &[Arc<Broker>]) -> Vec<&str> {
        brokers.iter().map(|broker| &*broker.id).collect()
    }

    #[test]
    fn whoever_leaves_is_shown_until_nothing_is_left_and_has_the_same_place_when_it_comes_again() {
        let [a, b, c] = [("a", 0), ("b", 1), ("c", 2)].map(|(name, ordinal)| broker_called(name, ordinal));
        let roster = Roster::new(vec![a.clone(), b.clone()]);
        a.tally.gauges.spilled.set(3);
        roster.know(&c);
        assert_eq!((names(&roster.shown()), names(&roster.all())), (vec!["a", "b"], vec!["a", "b", "c"]));
        roster.replace(vec![c.clone(), b.clone()]);
        assert_eq!((names(&roster.listed()), names(&roster.shown())), (vec!["c", "b"], vec!["c", "b", "a"]));
        assert!(a.is_leaving() && !c.is_leaving());
        a.tally.gauges.spilled.set(0);
        assert_eq!((names(&roster.shown()), names(&roster.all())), (vec!["c", "b"], vec!["c", "b", "a"]));
        assert_eq!((roster.known(), roster.find("a").map(|broker| broker.ordinal)), (3, Some(0)));
        roster.replace(vec![a.clone(), c]);
        assert_eq!((names(&roster.shown()), roster.known()), (vec!["a", "c"], 3));
        assert!(b.is_leaving() && !a.is_leaving());
    }
}
