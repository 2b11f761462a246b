//! Who wants an event: the brokers, and an index over their subscriptions.
//!
//! Enters: the brokers in config order. Leaves: for a load and a status, the brokers that subscribe to both, in
//! config order, each once. Guaranteed: the answer is that of asking every broker in turn, but the work grows with the
//! brokers that want the load, and only with the logarithm of those that do not.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::models::{Broker, LoadFilter, Subscription};

/// The brokers and what they want.
#[derive(Debug)]
pub struct Subscriptions {
    brokers: Vec<Arc<Broker>>,
    index: Index,
}

impl Subscriptions {
    /// Indexes what the brokers want now: who agrees on something else afterwards makes another one.
    #[must_use]
    pub fn new(brokers: Vec<Arc<Broker>>) -> Self {
        let terms: Vec<_> = brokers.iter().map(|broker| broker.terms()).collect();
        let index = Index::new(terms.iter().map(|terms| &terms.subscription));
        Self { brokers, index }
    }

    /// All brokers, in config order.
    #[must_use]
    pub fn brokers(&self) -> &[Arc<Broker>] {
        &self.brokers
    }

    /// The brokers that want events of this load with this (canonical) status, in config order.
    pub fn matching(&self, load_id: &str, status: &str) -> impl Iterator<Item = &Arc<Broker>> {
        self.index.matching(load_id, status).into_iter().filter_map(|at| self.brokers.get(at))
    }
}

/// Which of many subscriptions match an event; knows them by their number alone.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// Those for all loads and all statuses.
    everything: Vec<usize>,
    /// Those for all loads, by each status they want: with many of them, asking each in turn would cost most.
    all_loads: FxHashMap<Arc<str>, Vec<usize>>,
    /// Those that name the load. The map's keys come from the config, so an event cannot make it slow.
    listed: FxHashMap<Arc<str>, Vec<usize>>,
    prefixes: Prefixes,
    /// The statuses each subscription wants, by its number; none for all.
    statuses: Vec<Option<FxHashSet<Arc<str>>>>,
}

impl Index {
    /// An index of these subscriptions, numbered from 0 in their order.
    pub fn new<'a>(subscriptions: impl IntoIterator<Item = &'a Subscription>) -> Self {
        let mut index = Self::default();
        let mut prefixes: Vec<(&str, usize)> = Vec::new();
        for (at, Subscription { statuses, loads }) in subscriptions.into_iter().enumerate() {
            match (loads, statuses) {
                (LoadFilter::All, None) => index.everything.push(at),
                (LoadFilter::All, Some(statuses)) => add(&mut index.all_loads, statuses, at),
                (LoadFilter::List(loads), _) => add(&mut index.listed, loads, at),
                (LoadFilter::Prefix(prefix), _) => prefixes.push((prefix, at)),
            }
            index.statuses.push(statuses.clone());
        }
        index.prefixes = Prefixes::new(prefixes);
        index
    }

    /// The numbers of the subscriptions that match, ascending.
    #[must_use]
    pub fn matching(&self, load_id: &str, status: &str) -> Vec<usize> {
        let mut found = self.everything.clone();
        found.extend(self.all_loads.get(status).into_iter().flatten());
        let listed = self.listed.get(load_id).into_iter().flatten();
        let prefixed = self.prefixes.matching(load_id).flatten();
        found.extend(listed.chain(prefixed).filter(|&&at| self.wants(at, status)));
        found.sort_unstable();
        found
    }

    fn wants(&self, at: usize, status: &str) -> bool {
        self.statuses
            .get(at)
            .is_some_and(|wanted| wanted.as_ref().is_none_or(|wanted| wanted.contains(status)))
    }
}

fn add(map: &mut FxHashMap<Arc<str>, Vec<usize>>, keys: &FxHashSet<Arc<str>>, at: usize) {
    for key in keys {
        map.entry(Arc::clone(key)).or_default().push(at);
    }
}

/// Prefixes in ascending order, each linked to the longest other one it starts with.
///
/// All prefixes of a text that are in the list are on one chain of links: from the last one not after the text,
/// because whatever sorts between a prefix of the text and the text itself starts with that prefix too. So one binary
/// search finds the chain, and following it finds them all.
#[derive(Clone, Debug, Default)]
struct Prefixes(Vec<Prefix>);

#[derive(Clone, Debug)]
struct Prefix {
    text: Box<str>,
    /// The longest of the others that `text` starts with.
    shorter: Option<usize>,
    /// The subscriptions with this prefix.
    numbers: Vec<usize>,
}

impl Prefixes {
    fn new(mut pairs: Vec<(&str, usize)>) -> Self {
        pairs.sort_unstable();
        let mut prefixes = Self::default();
        for (text, number) in pairs {
            match prefixes.0.last_mut() {
                Some(last) if *last.text == *text => last.numbers.push(number),
                _ => {
                    let shorter = prefixes.longest(text);
                    prefixes.0.push(Prefix { text: text.into(), shorter, numbers: vec![number] });
                }
            }
        }
        prefixes
    }

    /// The numbers of each prefix that `text` starts with.
    fn matching(&self, text: &str) -> impl Iterator<Item = &Vec<usize>> {
        let found = self.longest(text).and_then(|at| self.0.get(at));
        std::iter::successors(found, |prefix| prefix.shorter.and_then(|at| self.0.get(at)))
            .map(|prefix| &prefix.numbers)
    }

    /// The longest prefix that `text` starts with.
    fn longest(&self, text: &str) -> Option<usize> {
        let mut at = self.0.partition_point(|prefix| *prefix.text <= *text).checked_sub(1)?;
        let common = common_len(&self.0.get(at)?.text, text);
        // Every link leads to a prefix of the one before: from here on, lengths say it all.
        loop {
            let prefix = self.0.get(at)?;
            if prefix.text.len() <= common {
                return Some(at);
            }
            at = prefix.shorter?;
        }
    }
}

/// How many bytes two texts share at their beginning.
fn common_len(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(texts: &[&str]) -> FxHashSet<Arc<str>> {
        texts.iter().map(|&text| text.into()).collect()
    }

    fn wanting(statuses: Option<&[&str]>, loads: LoadFilter) -> Subscription {
        Subscription { statuses: statuses.map(set), loads }
    }

    /// The meaning of a subscription, said plainly.
    fn wants(subscription: &Subscription, load_id: &str, status: &str) -> bool {
        let load = match &subscription.loads {
            LoadFilter::All => true,
            LoadFilter::List(loads) => loads.contains(load_id),
            LoadFilter::Prefix(prefix) => load_id.starts_with(prefix.as_str()),
        };
        load && subscription.statuses.as_ref().is_none_or(|statuses| statuses.contains(status))
    }

    #[test]
    fn each_kind_of_filter_finds_its_events_in_config_order() {
        let subscriptions = [
            wanting(None, LoadFilter::Prefix("L-".into())),
            wanting(Some(&["delivered"]), LoadFilter::All),
            wanting(None, LoadFilter::List(set(&["L-1", "M-1"]))),
            wanting(None, LoadFilter::Prefix("L-1".into())),
            wanting(None, LoadFilter::All),
            wanting(Some(&["posted"]), LoadFilter::List(set(&["L-1"]))),
        ];
        let index = Index::new(&subscriptions);
        assert_eq!(index.matching("L-1", "delivered"), [0, 1, 2, 3, 4]);
        assert_eq!(index.matching("L-12", "posted"), [0, 3, 4]);
        assert_eq!(index.matching("M-1", "posted"), [2, 4]);
        assert_eq!(index.matching("", ""), [4]);
    }

    #[test]
    fn no_subscriptions_match_nothing() {
        assert_eq!(Index::new([]).matching("L-1", "posted"), [0_usize; 0]);
        assert_eq!(Subscriptions::new(Vec::new()).matching("L-1", "posted").count(), 0);
    }

    #[test]
    fn an_empty_set_of_statuses_or_loads_matches_nothing() {
        let subscriptions =
            [wanting(Some(&[]), LoadFilter::All), wanting(None, LoadFilter::List(FxHashSet::default()))];
        assert_eq!(Index::new(&subscriptions).matching("L-1", "posted"), [0_usize; 0]);
    }

    #[test]
    fn a_prefix_far_back_is_found_past_longer_ones_that_do_not_match() {
        let subscriptions = ["L", "L-1", "L-10", "L-100", "L-1000", "L-2", ""]
            .map(|prefix| wanting(None, LoadFilter::Prefix(prefix.into())));
        assert_eq!(Index::new(&subscriptions).matching("L-1001", "posted"), [0, 1, 2, 3, 6]);
        assert_eq!(Index::new(&subscriptions).matching("L-19", "posted"), [0, 1, 6]);
        assert_eq!(Index::new(&subscriptions).matching("K", "posted"), [6]);
    }

    /// Few letters, one of them two bytes long, so that prefixes meet often and also inside a character.
    fn text(len: usize) -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(&["a", "b", "é", "è"][..]), 0..=len)
            .prop_map(|letters| letters.concat())
    }

    fn texts() -> impl Strategy<Value = FxHashSet<Arc<str>>> {
        prop::collection::hash_set(text(2).prop_map(Arc::from), 0..4).prop_map(FxHashSet::from_iter)
    }

    fn subscription() -> impl Strategy<Value = Subscription> {
        let loads = prop_oneof![
            1 => Just(LoadFilter::All),
            2 => texts().prop_map(LoadFilter::List),
            5 => text(4).prop_map(LoadFilter::Prefix),
        ];
        (prop::option::of(texts()), loads).prop_map(|(statuses, loads)| Subscription { statuses, loads })
    }

    proptest! {
        #[test]
        fn the_index_answers_as_asking_every_broker_would(
            subscriptions in prop::collection::vec(subscription(), 0..30),
            events in prop::collection::vec((text(6), text(2)), 1..10),
        ) {
            let index = Index::new(&subscriptions);
            for (load_id, status) in events {
                let asked: Vec<_> = (0..subscriptions.len())
                    .filter(|&at| wants(&subscriptions[at], &load_id, &status))
                    .collect();
                prop_assert_eq!(index.matching(&load_id, &status), asked, "{} {}", load_id, status);
            }
        }
    }
}
