//! Judges the deliveries of one load to one broker: which events were taken more than once, and which came when a newer
//! one had been taken. Pure.
//!
//! Which of two events is newer is decided by the first of these that every delivery of the load has: the producer's
//! number, the time at which the event occurred, the place of its status in the order of statuses. Without any, and between
//! two that are equal in it, the event that was taken first is the older one: then only repeats can be found to set a load
//! back.

use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;
use serde::Serialize;
use state::UnixMillis;

use crate::{
    delivery::{Delivery, Outcome},
    status_order::StatusOrder,
    times,
};

/// What is found out about one load at one broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadFinding {
    /// The broker.
    pub broker: String,
    /// The load; empty if the log does not say.
    pub load_id: String,
    /// By what events were told to be newer or older.
    pub ordered_by: Basis,
    /// The newest event that was taken: what the load's status should be. None if nothing surely was.
    pub last_true: Option<State>,
    /// The event that was taken last: what the load's status is, if the broker believes what it is told.
    pub stands_at: Option<State>,
    /// Whether the last is older than the newest.
    pub stands_wrong: bool,
    /// The events that were taken more than once, in the order of their first time.
    pub duplicates: Vec<Duplicate>,
    /// The deliveries that came after a newer event's, in time.
    pub setbacks: Vec<Setback>,
    /// How many deliveries were taken.
    pub taken: u64,
    /// How many events were taken.
    pub events: u64,
    /// How many deliveries had no answer.
    pub unclear: u64,
    /// How many more duplicates there would be if all of these had been taken.
    pub possible_duplicates: u64,
}

/// By what events are told to be newer or older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Basis {
    /// The producer's number.
    Sequence,
    /// The time at which they occurred.
    OccurredAt,
    /// The place of their status among all.
    StatusOrder,
    /// The order in which they were first taken.
    FirstDelivery,
}

/// A status of a load, and the event that gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The event.
    pub event_id: String,
    /// Its status.
    pub status: String,
    /// When it was taken; the last time, if it was several times.
    #[serde(serialize_with = "times::one")]
    pub delivered_at: UnixMillis,
    /// When it occurred, if known.
    #[serde(serialize_with = "times::perhaps", skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<UnixMillis>,
    /// The producer's number, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
}

/// An event that was taken more than once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Duplicate {
    /// The event.
    pub event_id: String,
    /// Its status.
    pub status: String,
    /// Each time it was taken.
    pub deliveries: Vec<Time>,
    /// Whether its bodies are known to differ: then it is one id for two events.
    pub bodies_differ: bool,
}

/// A time at which an event was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Time {
    /// When.
    #[serde(serialize_with = "times::one")]
    pub at: UnixMillis,
    /// The digest of the body; empty if it is not known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub digest: String,
}

/// A delivery that came when a newer event of its load had been taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Setback {
    /// The event.
    pub event_id: String,
    /// The status it set the load back to.
    pub status: String,
    /// When.
    #[serde(serialize_with = "times::one")]
    pub at: UnixMillis,
    /// Whether the event had been taken before.
    pub repeat: bool,
    /// The newest event that had been taken.
    pub newer_event_id: String,
    /// Its status.
    pub newer_status: String,
}

impl LoadFinding {
    /// Whether something is wrong with it.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        !self.duplicates.is_empty() || !self.setbacks.is_empty()
    }

    /// How often events were taken once more.
    #[must_use]
    pub fn repeats(&self) -> u64 {
        self.taken - self.events
    }
}

/// Judges deliveries that belong together ([`Delivery::is_with`]) and are in time.
#[must_use]
pub fn judge(deliveries: &[Delivery], statuses: &StatusOrder) -> LoadFinding {
    let (taken, unclear): (Vec<&Delivery>, Vec<&Delivery>) =
        deliveries.iter().partition(|delivery| delivery.outcome == Outcome::Taken);
    let (ordered_by, ranks) = ranks(&taken, statuses);
    let ages = ages(&taken, &ranks);
    let (newest, setbacks) = setbacks(&taken, &ages);
    let last = taken.len().checked_sub(1);
    let (duplicates, events) = duplicates(&taken);
    let state = |place: usize| State {
        event_id: taken[place].event.clone(),
        status: taken[place].status.clone(),
        delivered_at: taken[place].at,
        occurred_at: taken[place].occurred_at,
        sequence: taken[place].sequence,
    };
    let name = |of: fn(&Delivery) -> &String| deliveries.first().map(of).cloned().unwrap_or_default();
    LoadFinding {
        broker: name(|delivery| &delivery.broker),
        load_id: name(|delivery| &delivery.load),
        ordered_by,
        stands_wrong: newest.zip(last).is_some_and(|(newest, last)| ages[last] < ages[newest]),
        last_true: newest.map(state),
        stands_at: last.map(state),
        possible_duplicates: possible_duplicates(&taken, &unclear),
        duplicates,
        setbacks,
        taken: taken.len() as u64,
        events,
        unclear: unclear.len() as u64,
    }
}

/// By what the deliveries' events are ordered, and each one's rank in that order: a smaller one is older. Without an order
/// all have the same.
pub(crate) fn ranks(taken: &[&Delivery], statuses: &StatusOrder) -> (Basis, Vec<u64>) {
    let all = |rank: &dyn Fn(&Delivery) -> Option<u64>| {
        taken.iter().map(|delivery| rank(delivery)).collect::<Option<Vec<u64>>>()
    };
    if let Some(ranks) = all(&|delivery| delivery.sequence) {
        return (Basis::Sequence, ranks);
    }
    if let Some(ranks) = all(&|delivery| delivery.occurred_at) {
        return (Basis::OccurredAt, ranks);
    }
    if let Some(ranks) = all(&|delivery| statuses.rank(&delivery.status)) {
        return (Basis::StatusOrder, ranks);
    }
    (Basis::FirstDelivery, vec![0; taken.len()])
}

/// How each delivery's event stands to the others: by its rank, then by the place of its first delivery. A smaller one is
/// older. Without the place, a repeat of the older of two equals would count as the newest event.
fn ages(taken: &[&Delivery], ranks: &[u64]) -> Vec<(u64, usize)> {
    let mut first = FxHashMap::default();
    let places = (0..).zip(taken).map(|(place, delivery)| *first.entry(&*delivery.event).or_insert(place));
    ranks.iter().copied().zip(places).collect()
}

/// The place of the newest event's last delivery, and every delivery that came after a newer one.
fn setbacks(taken: &[&Delivery], ages: &[(u64, usize)]) -> (Option<usize>, Vec<Setback>) {
    let mut newest: Option<usize> = None;
    let mut setbacks = Vec::new();
    let mut before = rustc_hash::FxHashSet::default();
    for (place, delivery) in taken.iter().enumerate() {
        let repeat = !before.insert(&*delivery.event);
        match newest.filter(|newest| ages[*newest] > ages[place]) {
            Some(newer) => setbacks.push(Setback {
                event_id: delivery.event.clone(),
                status: delivery.status.clone(),
                at: delivery.at,
                repeat,
                newer_event_id: taken[newer].event.clone(),
                newer_status: taken[newer].status.clone(),
            }),
            None => newest = Some(place),
        }
    }
    (newest, setbacks)
}

/// The events that were taken more than once, and how many events there are.
fn duplicates(taken: &[&Delivery]) -> (Vec<Duplicate>, u64) {
    let mut events: Vec<Duplicate> = Vec::new();
    // Each event's place, and the first digest that is known of it: two bodies differ only if one differs from that.
    let mut places: FxHashMap<&str, (usize, &str)> = FxHashMap::default();
    for delivery in taken {
        let time = Time { at: delivery.at, digest: delivery.digest.clone() };
        match places.entry(&delivery.event) {
            Entry::Vacant(new) => {
                new.insert((events.len(), &delivery.digest));
                events.push(Duplicate {
                    event_id: delivery.event.clone(),
                    status: delivery.status.clone(),
                    deliveries: vec![time],
                    bodies_differ: false,
                });
            }
            Entry::Occupied(mut known) => {
                let (place, first) = known.get_mut();
                let event = &mut events[*place];
                if first.is_empty() {
                    *first = &delivery.digest;
                }
                event.bodies_differ |= !time.digest.is_empty() && time.digest != *first;
                event.deliveries.push(time);
            }
        }
    }
    let count = events.len() as u64;
    events.retain(|event| event.deliveries.len() > 1);
    (events, count)
}

/// How many repeats more there would be if all that had no answer had been taken.
fn possible_duplicates(taken: &[&Delivery], unclear: &[&Delivery]) -> u64 {
    let mut known: rustc_hash::FxHashSet<&str> = taken.iter().map(|delivery| &*delivery.event).collect();
    unclear.iter().filter(|delivery| !known.insert(&delivery.event)).count() as u64
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
