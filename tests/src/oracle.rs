//! The lab's oracle for a scenario: from all events and what each broker wants it knows who must have been given what, and
//! judges what really came. None of it is Loadline's code.
//!
//! If [`Oracle::judge`] returns, everything that came is one of the broker's own events with its bytes
//! unchanged; an event has one `webhook-id`, and an id one event; the first arrivals of each load are in log order.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use lab::{
    BodyDigest,
    oracle::{
        Answer, BrokerEvidence, EventIndex, Evidence, Kind, Observation, ReceiverLog, Terms, Violation,
        examine, index_events,
    },
    traffic::{SimEvent, Traffic, TrafficLog, wanted_by},
};
use stages::{LoadFilter, Subscription};

use crate::{Arrival, Fleet, ShipmentEvent};

/// Which events a broker wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Loads that start with this; all if none.
    pub prefix: Option<&'static str>,
    /// These statuses; all if none.
    pub statuses: Option<Vec<&'static str>>,
}

/// Who must be given what.
#[derive(Debug)]
pub struct Oracle {
    traffic: Traffic,
    index: EventIndex,
    brokers: usize,
}

/// How many events one broker was given, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// Its events that have come.
    pub events: usize,
    /// Its events that have not.
    pub missing: usize,
    /// Arrivals of events that had come before.
    pub repeats: usize,
    /// The most of these that one load had.
    pub repeats_of_a_load: usize,
    /// Repeats that did not say that they might be some.
    pub unmarked: usize,
    /// Repeats that came after a later event of their load: a TMS that takes repeats would have gone back.
    pub out_of_order: usize,
}

impl Wants {
    /// All events.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// The events of loads that start with `prefix`.
    #[must_use]
    pub fn loads(prefix: &'static str) -> Self {
        Self { prefix: Some(prefix), statuses: None }
    }

    /// Of these only those with one of `statuses`.
    #[must_use]
    pub fn only(mut self, statuses: &[&'static str]) -> Self {
        self.statuses = Some(statuses.to_vec());
        self
    }

    /// The same as a subscription.
    #[must_use]
    pub fn subscription(&self) -> Subscription {
        let statuses = self.statuses.as_ref();
        Subscription {
            statuses: statuses.map(|all| all.iter().map(|&status| Arc::from(status)).collect()),
            loads: self
                .prefix
                .map_or(LoadFilter::All, |prefix| LoadFilter::Prefixes(vec![prefix.to_owned()])),
            ..Subscription::default()
        }
    }
}

impl Oracle {
    /// An oracle for the events of a log and what each broker wants, in the brokers' order. An event that is in the log
    /// again counts where it stood first.
    #[must_use]
    pub fn new(log: &[ShipmentEvent], wants: &[Wants]) -> Self {
        let subscriptions: Vec<_> = wants.iter().map(Wants::subscription).collect();
        let mut traffic = TrafficLog::default();
        for event in log {
            let wanted_by = wanted_by(&subscriptions, &event.load_id, event.status);
            let load = event.load_id.as_str().into();
            traffic.append(0, SimEvent::new(event.event_id.clone(), load, event.body.clone(), wanted_by));
        }
        let traffic = traffic.finish();
        let index = index_events(&traffic);
        Self { traffic, index, brokers: wants.len() }
    }

    /// How many events broker `index` must be given.
    #[must_use]
    pub fn expected(&self, index: usize) -> usize {
        self.traffic.events.iter().filter(|event| is_wanted(event, index)).count()
    }

    /// How many deliveries that makes over all brokers.
    #[must_use]
    pub fn deliveries(&self) -> usize {
        (0..self.brokers).map(|index| self.expected(index)).sum()
    }

    /// Judges what has come to broker `index`.
    ///
    /// # Panics
    /// If something came that must not have, or not so; the message says what.
    #[must_use]
    pub fn judge(&self, index: usize, arrivals: &[Arrival]) -> DeliveryCounts {
        let terms = Terms { listed_per_kind: usize::MAX, ..Terms::default() };
        let (violations, judgement) = examine(&self.evidence(index, arrivals), &terms);
        let count = |number: u64| usize::try_from(number).expect("a count");
        let mut given =
            DeliveryCounts { events: count(judgement.figures.delivered), ..DeliveryCounts::default() };
        let mut repeats: HashMap<&str, usize> = HashMap::new();
        for violation in &violations {
            match violation {
                Violation::Lost { .. } => given.missing += 1,
                Violation::Duplicate { event, .. } => {
                    given.repeats += 1;
                    let load = &self.traffic.events[*event as usize].load_id;
                    *repeats.entry(load).or_default() += 1;
                }
                Violation::OutOfOrder { repeat: true, .. } => given.out_of_order += 1,
                // A log without events is for scenarios in which nothing may come.
                _ if violation.kind() == Kind::Vacuous => {}
                _ => {
                    let event = violation.event().map(|event| &self.traffic.events[event as usize].id);
                    panic!("broker {index}, event {event:?}: {violation} (times are numbers of arrivals)");
                }
            }
        }
        given.unmarked = unmarked(arrivals);
        given.repeats_of_a_load = repeats.into_values().max().unwrap_or(0);
        given
    }

    /// The evidence against one broker's deliveries: a sender that was told of everything, and a quota nobody reaches.
    /// The times are the numbers of the arrivals.
    fn evidence(&self, index: usize, arrivals: &[Arrival]) -> Evidence {
        let mut traffic = self.traffic.clone();
        for event in &mut traffic.events {
            event.wanted_by = if is_wanted(event, index) { Box::new([0]) } else { Box::new([]) };
        }
        let observation = |(at_ms, arrival): (u64, &Arrival)| Observation {
            at_ms,
            event: self.index.get(&BodyDigest::of(&arrival.body)).copied(),
            webhook_id: Some(Arc::from(arrival.webhook_id.as_str())),
            told: Some(Answer { status: 200, at_ms }),
        };
        let taken = (0..).zip(arrivals).map(observation).collect();
        let broker = BrokerEvidence {
            id: format!("broker {index}"),
            rate: 1e9,
            burst: u32::MAX,
            timeout_ms: 1_000,
            well: true,
            received: ReceiverLog { taken, refused: Vec::new() },
        };
        Evidence { brokers: vec![broker], ..Evidence::of_settled(traffic) }
    }

    /// Judges what has come to every broker.
    ///
    /// # Panics
    /// As [`judge`](Self::judge), or if a post came whose signature was refused.
    #[must_use]
    pub fn judge_all(&self, fleet: &Fleet) -> Vec<DeliveryCounts> {
        let judge = |(index, tms): (usize, &crate::Tms)| {
            let counts = tms.counts();
            assert_eq!(counts.refused_signatures, 0, "broker {index} refused signatures");
            assert_eq!(counts.malformed, 0, "broker {index} got malformed requests");
            self.judge(index, &tms.arrivals())
        };
        fleet.iter().enumerate().map(judge).collect()
    }

    /// Every broker has been given all of its events exactly once, and nothing else.
    ///
    /// # Panics
    /// If not.
    pub fn assert_exactly_once(&self, fleet: &Fleet) {
        for (index, given) in self.judge_all(fleet).into_iter().enumerate() {
            let events = self.expected(index);
            assert_eq!(given, DeliveryCounts { events, ..DeliveryCounts::default() }, "broker {index}");
        }
    }

    /// Every broker has been given all of its events, and nothing else; gives what all were given together.
    ///
    /// # Panics
    /// If not, or if a repeat took a load back to where it had been before.
    #[must_use]
    pub fn assert_nothing_lost(&self, fleet: &Fleet) -> DeliveryCounts {
        let mut all = DeliveryCounts::default();
        for (index, given) in self.judge_all(fleet).into_iter().enumerate() {
            assert_eq!((given.missing, given.out_of_order), (0, 0), "broker {index}: missing, out of order");
            all.events += given.events;
            all.repeats += given.repeats;
            all.unmarked += given.unmarked;
            all.repeats_of_a_load = all.repeats_of_a_load.max(given.repeats_of_a_load);
        }
        all
    }
}

/// How many arrivals are repeats that did not say that they might be.
fn unmarked(arrivals: &[Arrival]) -> usize {
    let mut seen = HashSet::new();
    arrivals.iter().filter(|arrival| !seen.insert(&arrival.body) && !arrival.may_repeat).count()
}

fn is_wanted(event: &SimEvent, index: usize) -> bool {
    event.wanted_by.iter().any(|broker| usize::from(*broker) == index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Events, now};

    fn arrival(event: &ShipmentEvent) -> Arrival {
        Arrival {
            at: now(),
            path: "/hook".to_owned(),
            webhook_id: event.event_id.clone(),
            body: event.body.clone(),
            may_repeat: false,
        }
    }

    /// Two events of one load, and the oracle for a broker that wants both.
    fn two() -> (ShipmentEvent, ShipmentEvent, Oracle) {
        let log = Events::new(1, 1).take(2);
        let oracle = Oracle::new(&log, &[Wants::all()]);
        (log[0].clone(), log[1].clone(), oracle)
    }

    #[test]
    fn what_came_once_and_in_order_is_fine() {
        let (first, second, oracle) = two();
        let given = oracle.judge(0, &[arrival(&first), arrival(&second)]);
        assert_eq!(given, DeliveryCounts { events: 2, ..DeliveryCounts::default() });
        assert_eq!(oracle.judge(0, &[arrival(&first)]).missing, 1);
    }

    #[test]
    fn a_repeat_is_counted_and_one_that_is_out_of_order_too() {
        let (first, second, oracle) = two();
        let given = oracle.judge(0, &[arrival(&first), arrival(&first), arrival(&second)]);
        assert_eq!((given.repeats, given.repeats_of_a_load, given.out_of_order), (1, 1, 0));
        let again = Arrival { may_repeat: true, ..arrival(&first) };
        let told = oracle.judge(0, &[arrival(&first), again, arrival(&second)]);
        assert_eq!((given.unmarked, told.repeats, told.unmarked), (1, 1, 0));
        let given = oracle.judge(0, &[arrival(&first), arrival(&second), arrival(&first)]);
        assert_eq!((given.repeats, given.out_of_order), (1, 1));
    }

    #[test]
    #[should_panic(expected = "out of order: taken")]
    fn a_load_out_of_order_is_noticed() {
        let (first, second, oracle) = two();
        let _given = oracle.judge(0, &[arrival(&second), arrival(&first)]);
    }

    #[test]
    #[should_panic(expected = "bytes that were never issued")]
    fn a_changed_byte_is_noticed() {
        let (first, _, oracle) = two();
        let body = [&first.body[..], b" "].concat().into();
        let _given = oracle.judge(0, &[Arrival { body, ..arrival(&first) }]);
    }

    #[test]
    #[should_panic(expected = "two ids")]
    fn a_repeat_under_another_id_is_noticed() {
        let (first, _, oracle) = two();
        let other = Arrival { webhook_id: "other".to_owned(), ..arrival(&first) };
        let _given = oracle.judge(0, &[arrival(&first), other]);
    }

    #[test]
    #[should_panic(expected = "does not want it")]
    fn an_event_for_someone_else_is_noticed() {
        let log = Events::new(1, 1).take(1);
        let oracle = Oracle::new(&log, &[Wants::loads("NOT-THIS")]);
        let _given = oracle.judge(0, &[arrival(&log[0])]);
    }

    #[test]
    #[should_panic(expected = "shared id")]
    fn two_events_under_one_id_are_noticed() {
        let (first, second, oracle) = two();
        let shared = Arrival { webhook_id: first.event_id.clone(), ..arrival(&second) };
        let _given = oracle.judge(0, &[arrival(&first), shared]);
    }
}
