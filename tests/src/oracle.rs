//! The oracle: all events and what each broker wants enter; who must have been given what leaves, computed without any
//! of Loadline's code, and the judgement of what really came.
//!
//! Guaranteed, if [`Oracle::judge`] returns: everything that came is one of the broker's own events with its bytes
//! unchanged; an event has one `webhook-id`, and an id one event; the first arrivals of each load are in log order.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

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
    /// Every event's place in the log and its load, by its bytes.
    places: HashMap<Bytes, (usize, String)>,
    /// For each broker the places of its events.
    expected: Vec<HashSet<usize>>,
}

/// What one broker was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Its events that have come.
    pub events: usize,
    /// Its events that have not.
    pub missing: usize,
    /// Arrivals of events that had come before.
    pub repeats: usize,
    /// The most of these that one load had.
    pub repeats_of_a_load: usize,
    /// Arrivals of events after a later one of their load had come: a TMS that takes repeats would have gone back.
    pub backward: usize,
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

    fn takes(&self, event: &ShipmentEvent) -> bool {
        self.prefix.is_none_or(|prefix| event.load_id.starts_with(prefix))
            && self.statuses.as_ref().is_none_or(|statuses| statuses.contains(&event.status))
    }
}

impl Oracle {
    /// An oracle for the events of a log and the brokers' wishes, in the brokers' order. An event that is in the log
    /// again counts where it stood first.
    #[must_use]
    pub fn new(log: &[ShipmentEvent], wants: &[Wants]) -> Self {
        let mut places = HashMap::new();
        let mut expected = vec![HashSet::new(); wants.len()];
        for (place, event) in log.iter().enumerate() {
            if places.contains_key(&event.body) {
                continue;
            }
            places.insert(event.body.clone(), (place, event.load_id.clone()));
            for (broker, _) in wants.iter().enumerate().filter(|(_, wants)| wants.takes(event)) {
                expected[broker].insert(place);
            }
        }
        Self { places, expected }
    }

    /// How many events broker `index` must be given.
    #[must_use]
    pub fn expected(&self, index: usize) -> usize {
        self.expected[index].len()
    }

    /// How many deliveries that makes over all brokers.
    #[must_use]
    pub fn deliveries(&self) -> usize {
        self.expected.iter().map(HashSet::len).sum()
    }

    /// Judges what has come to broker `index`.
    ///
    /// # Panics
    /// If something came that must not have, or not so; the message says what.
    #[must_use]
    pub fn judge(&self, index: usize, arrivals: &[Arrival]) -> Given {
        let expected = &self.expected[index];
        let mut ids: HashMap<&str, usize> = HashMap::new();
        let mut came: HashMap<usize, &str> = HashMap::new();
        let mut last: HashMap<&str, usize> = HashMap::new();
        let mut repeats: HashMap<&str, usize> = HashMap::new();
        let mut backward = 0;
        for arrival in arrivals {
            let Some((place, load)) = self.places.get(&arrival.body) else {
                panic!("broker {index} was given what is not in the log: {:?}", arrival.body);
            };
            assert!(expected.contains(place), "broker {index} does not want {:?}", arrival.body);
            let id = arrival.webhook_id.as_str();
            let owner = *ids.entry(id).or_insert(*place);
            assert_eq!(owner, *place, "broker {index}: two events have the webhook-id {id}");
            let latest = last.entry(load).or_insert(*place);
            match came.insert(*place, id) {
                Some(before) => {
                    assert_eq!(before, id, "broker {index}: the event at {place} has two webhook-ids");
                    *repeats.entry(load).or_default() += 1;
                    backward += usize::from(*place < *latest);
                }
                None => assert!(
                    *place >= *latest,
                    "broker {index}, load {load}: the event at {place} first came after that at {latest}"
                ),
            }
            *latest = (*latest).max(*place);
        }
        Given {
            events: came.len(),
            missing: expected.len() - came.len(),
            repeats: repeats.values().sum(),
            repeats_of_a_load: repeats.into_values().max().unwrap_or(0),
            backward,
        }
    }

    /// Judges what has come to every broker.
    ///
    /// # Panics
    /// As [`judge`](Self::judge), or if a post came whose signature was refused.
    #[must_use]
    pub fn judge_all(&self, fleet: &Fleet) -> Vec<Given> {
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
            assert_eq!(given, Given { events, ..Given::default() }, "broker {index}");
        }
    }

    /// Every broker has been given all of its events, and nothing else; gives what all were given together.
    ///
    /// # Panics
    /// If not, or if a repeat took a load back to where it had been before.
    #[must_use]
    pub fn assert_nothing_lost(&self, fleet: &Fleet) -> Given {
        let mut all = Given::default();
        for (index, given) in self.judge_all(fleet).into_iter().enumerate() {
            assert_eq!((given.missing, given.backward), (0, 0), "broker {index}: missing, backward");
            all.events += given.events;
            all.repeats += given.repeats;
            all.repeats_of_a_load = all.repeats_of_a_load.max(given.repeats_of_a_load);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Events, now};

    fn arrival(event: &ShipmentEvent) -> Arrival {
        Arrival { at: now(), webhook_id: event.event_id.clone(), body: event.body.clone() }
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
        assert_eq!(given, Given { events: 2, ..Given::default() });
        assert_eq!(oracle.judge(0, &[arrival(&first)]).missing, 1);
    }

    #[test]
    fn a_repeat_is_counted_and_one_that_goes_back_is_marked() {
        let (first, second, oracle) = two();
        let given = oracle.judge(0, &[arrival(&first), arrival(&first), arrival(&second)]);
        assert_eq!((given.repeats, given.repeats_of_a_load, given.backward), (1, 1, 0));
        let given = oracle.judge(0, &[arrival(&first), arrival(&second), arrival(&first)]);
        assert_eq!((given.repeats, given.backward), (1, 1));
    }

    #[test]
    #[should_panic(expected = "first came after")]
    fn a_load_out_of_order_is_noticed() {
        let (first, second, oracle) = two();
        let _given = oracle.judge(0, &[arrival(&second), arrival(&first)]);
    }

    #[test]
    #[should_panic(expected = "not in the log")]
    fn a_changed_byte_is_noticed() {
        let (first, _, oracle) = two();
        let body = [&first.body[..], b" "].concat().into();
        let _given = oracle.judge(0, &[Arrival { body, ..arrival(&first) }]);
    }

    #[test]
    #[should_panic(expected = "two webhook-ids")]
    fn a_repeat_under_another_id_is_noticed() {
        let (first, _, oracle) = two();
        let other = Arrival { webhook_id: "other".to_owned(), ..arrival(&first) };
        let _given = oracle.judge(0, &[arrival(&first), other]);
    }

    #[test]
    #[should_panic(expected = "does not want")]
    fn an_event_for_someone_else_is_noticed() {
        let log = Events::new(1, 1).take(1);
        let oracle = Oracle::new(&log, &[Wants::loads("NOT-THIS")]);
        let _given = oracle.judge(0, &[arrival(&log[0])]);
    }
}
