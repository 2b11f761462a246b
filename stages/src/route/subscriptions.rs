//! Finds the brokers that subscribe to an event's load, status and fields, in config order, each once.
//!
//! The result is that of asking every broker in turn, but the work grows with the brokers that want the load, and
//! only with the logarithm of those that do not.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use state::Event;

use super::{field_rule::FieldRule, subscribers::Subscriber};
use crate::{
    broker::{Broker, LoadFilter, Subscription},
    json_value::json_value,
};

/// The brokers and an index of their subscriptions.
#[derive(Debug)]
pub struct Subscriptions {
    brokers: Vec<Arc<Broker>>,
    by_name: FxHashMap<Arc<str>, usize>,
    index: Index,
    /// What each broker asks of an event's fields; none for nothing.
    fields: Vec<Option<Box<[FieldRule]>>>,
}

impl Subscriptions {
    /// Indexes the brokers' current subscriptions. After a change of terms, make a new one.
    #[must_use]
    pub fn new(brokers: Vec<Arc<Broker>>) -> Self {
        let terms: Vec<_> = brokers.iter().map(|broker| broker.terms()).collect();
        let index = Index::new(terms.iter().map(|terms| &terms.subscription));
        let fields = terms.iter().map(|terms| &terms.subscription.fields);
        let fields = fields.map(|rules| (!rules.is_empty()).then(|| rules.clone().into())).collect();
        let by_name = brokers.iter().enumerate().map(|(at, broker)| (broker.id.clone(), at)).collect();
        Self { brokers, by_name, index, fields }
    }

    /// Whether there is a broker of this name.
    #[must_use]
    pub fn knows(&self, broker: &str) -> bool {
        self.by_name.contains_key(broker)
    }

    /// All brokers, in config order.
    #[must_use]
    pub fn brokers(&self) -> &[Arc<Broker>] {
        &self.brokers
    }

    /// The brokers that want `event`, in config order. Its body is read at most once, and only if a broker that wants
    /// its load and status asks for fields of it.
    pub fn wanting(&self, event: &Event) -> impl Iterator<Item = &Arc<Broker>> {
        self.passing(event, self.index.matching(&event.load_id, &event.status)).map(|(_, broker)| broker)
    }

    /// The same, and beside them those of `subscribers` that want its status: these have to pass what their own terms ask
    /// of statuses and fields, but not of loads. Each broker once, with the row that brings it: the one with the least number,
    /// and none for a broker that wants the event by its own terms.
    pub fn wanting_beside(
        &self,
        event: &Event,
        subscribers: &[Subscriber],
    ) -> impl Iterator<Item = (&Arc<Broker>, Option<i64>)> {
        let own = self.index.matching(&event.load_id, &event.status);
        let mut found: Vec<(usize, Option<i64>)> = own.into_iter().map(|at| (at, None)).collect();
        for subscriber in subscribers.iter().filter(|subscriber| subscriber.wants(&event.status)) {
            let at = self.by_name.get(&subscriber.broker).copied();
            let at = at.filter(|&at| self.index.wants(at, &event.status));
            found.extend(at.map(|at| (at, Some(subscriber.row))));
        }
        found.sort_unstable();
        found.dedup_by_key(|(at, _)| *at);
        let (found, rows): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        self.passing(event, found).map(move |(nth, broker)| (broker, rows.get(nth).copied().flatten()))
    }

    /// Those of `found` whose rules about fields the event passes, each with its place in `found`.
    fn passing(&self, event: &Event, found: Vec<usize>) -> impl Iterator<Item = (usize, &Arc<Broker>)> {
        let mut body = None;
        found.into_iter().enumerate().filter_map(move |(nth, at)| {
            let passes = match self.fields.get(at) {
                None | Some(None) => true,
                Some(Some(rules)) => {
                    let body = body.get_or_insert_with(|| json_value(&event.body));
                    rules.iter().all(|rule| rule.holds(body))
                }
            };
            self.brokers.get(at).filter(|_| passes).map(|broker| (nth, broker))
        })
    }
}

/// Finds the subscriptions that match an event; returns their numbers.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// Subscriptions to all loads and all statuses.
    everything: Vec<usize>,
    /// Subscriptions to all loads, by status.
    all_loads: FxHashMap<Arc<str>, Vec<usize>>,
    /// Subscriptions by load. The keys come from the config, so events cannot degrade the hash map.
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
        for (at, subscription) in subscriptions.into_iter().enumerate() {
            let Subscription { statuses, loads, fields: _ } = subscription;
            match (loads, statuses) {
                (LoadFilter::All, None) => index.everything.push(at),
                (LoadFilter::All, Some(statuses)) => add(&mut index.all_loads, statuses, at),
                (LoadFilter::List(loads), _) => add(&mut index.listed, loads, at),
                (LoadFilter::Prefixes(all), _) => {
                    prefixes.extend(all.iter().map(|prefix| (prefix.as_str(), at)));
                }
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
        // A load can start with several prefixes of one subscription.
        found.dedup();
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

/// Prefixes in ascending order, each linked to the longest other prefix that it starts with.
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
        // Every link leads to a prefix of the one before, so comparing lengths is enough.
        loop {
            let prefix = self.0.get(at)?;
            if prefix.text.len() <= common {
                return Some(at);
            }
            at = prefix.shorter?;
        }
    }
}

/// The length of the common prefix of two texts, in bytes.
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

    fn prefixes(all: &[&str]) -> LoadFilter {
        LoadFilter::Prefixes(all.iter().map(|&prefix| prefix.to_owned()).collect())
    }

    fn wanting(statuses: Option<&[&str]>, loads: LoadFilter) -> Subscription {
        Subscription { statuses: statuses.map(set), loads, ..Subscription::default() }
    }

    /// The meaning of a subscription, said plainly.
    fn wants(subscription: &Subscription, load_id: &str, status: &str) -> bool {
        let load = match &subscription.loads {
            LoadFilter::All => true,
            LoadFilter::List(loads) => loads.contains(load_id),
            LoadFilter::Prefixes(all) => all.iter().any(|prefix| load_id.starts_with(prefix.as_str())),
        };
        load && subscription.statuses.as_ref().is_none_or(|statuses| statuses.contains(status))
    }

    #[test]
    fn each_kind_of_filter_finds_its_events_in_config_order() {
        let subscriptions = [
            wanting(None, prefixes(&["L-"])),
            wanting(Some(&["delivered"]), LoadFilter::All),
            wanting(None, LoadFilter::List(set(&["L-1", "M-1"]))),
            wanting(None, prefixes(&["L-1", "L"])),
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
        assert!(Subscriptions::new(Vec::new()).brokers().is_empty());
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
            .map(|prefix| wanting(None, prefixes(&[prefix])));
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
            5 => prop::collection::vec(text(4), 1..4).prop_map(LoadFilter::Prefixes),
        ];
        (prop::option::of(texts()), loads).prop_map(|(statuses, loads)| Subscription {
            statuses,
            loads,
            ..Subscription::default()
        })
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
