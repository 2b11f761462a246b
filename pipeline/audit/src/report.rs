//! What an audit has found, as figures for each broker, with the first findings as examples.

use serde::Serialize;
use state::UnixMillis;

use crate::{
    bad_lines::BadLine,
    fault::AuditFault,
    judge::{Basis, Duplicate, LoadFinding, Setback},
    reading::Counts,
    times,
};

/// The most brokers: far beyond what a site has.
const BROKERS_MAX: usize = 10_000;
/// How many findings of each kind are kept as examples for each broker.
pub const SHOWN: usize = 3;
/// How many times of one event are kept in an example: a load may have 200,000 repeats of it.
pub const TIMES_SHOWN: usize = 5;

/// What an audit has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// How lines became deliveries.
    pub counts: Counts,
    /// Each broker, by name.
    pub brokers: Vec<BrokerReport>,
    /// How many correction events were written; none if none were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correction_events: Option<u64>,
    /// How many loads stand wrong and have no status that could be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without_status: Option<u64>,
    /// The first lines that could not be read.
    #[serde(skip)]
    pub bad_lines: Vec<BadLine>,
}

/// What was found at one broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BrokerReport {
    /// The broker.
    pub broker: String,
    /// Deliveries that were taken.
    pub taken: u64,
    /// Events that were taken.
    pub events: u64,
    /// Loads they are of, if the log says.
    pub loads: u64,
    /// How often events were taken once more.
    pub duplicates: u64,
    /// Events that were taken more than once.
    pub duplicated_events: u64,
    /// Of these, with bodies that differ.
    pub bodies_differ: u64,
    /// Deliveries that came after a newer event's.
    pub setbacks: u64,
    /// Loads whose last status is not their newest.
    pub loads_wrong: u64,
    /// Deliveries without an answer.
    pub unclear: u64,
    /// How many more duplicates there would be if all of these had been taken.
    pub possible_duplicates: u64,
    /// Loads in which nothing says which event is newer, so that only repeats are found to set them back.
    pub loads_without_order: u64,
    /// The first delivery.
    #[serde(serialize_with = "times::perhaps")]
    pub first_at: Option<UnixMillis>,
    /// The last.
    #[serde(serialize_with = "times::perhaps")]
    pub last_at: Option<UnixMillis>,
    /// The first duplicates.
    #[serde(skip)]
    pub first_duplicates: Vec<DuplicateExample>,
    /// The first setbacks, each with its load.
    #[serde(skip)]
    pub first_setbacks: Vec<(String, Setback)>,
}

/// An event that was taken more than once, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuplicateExample {
    /// Its load; empty if the log does not say.
    pub load_id: String,
    /// The event.
    pub event_id: String,
    /// Whether its bodies are known to differ.
    pub bodies_differ: bool,
    /// How often it was taken.
    pub taken: usize,
    /// The first times at which it was, at most [`TIMES_SHOWN`].
    pub first_times: Vec<UnixMillis>,
}

impl Report {
    /// Whether duplicates or setbacks were found.
    #[must_use]
    pub fn has_findings(&self) -> bool {
        self.brokers.iter().any(|broker| broker.duplicates + broker.setbacks > 0)
    }

    /// Adds a load, after all of brokers that come before; `span` is when its first and its last delivery were.
    pub(crate) fn add(
        &mut self,
        load: &LoadFinding,
        span: (UnixMillis, UnixMillis),
    ) -> Result<(), AuditFault> {
        if self.brokers.last().is_none_or(|last| last.broker != load.broker) {
            if self.brokers.len() == BROKERS_MAX {
                return Err(AuditFault::TooManyBrokers { broker: load.broker.clone(), max: BROKERS_MAX });
            }
            self.brokers.push(BrokerReport { broker: load.broker.clone(), ..BrokerReport::default() });
        }
        if let Some(broker) = self.brokers.last_mut() {
            broker.add(load, span);
        }
        Ok(())
    }
}

impl BrokerReport {
    fn add(&mut self, load: &LoadFinding, (first, last): (UnixMillis, UnixMillis)) {
        self.taken += load.taken;
        self.events += load.events;
        self.loads += u64::from(!load.load_id.is_empty() && load.taken > 0);
        self.duplicates += load.repeats();
        self.duplicated_events += load.duplicates.len() as u64;
        self.bodies_differ +=
            load.duplicates.iter().filter(|duplicate| duplicate.bodies_differ).count() as u64;
        self.setbacks += load.setbacks.len() as u64;
        self.loads_wrong += u64::from(load.stands_wrong);
        self.unclear += load.unclear;
        self.possible_duplicates += load.possible_duplicates;
        self.loads_without_order += u64::from(load.ordered_by == Basis::FirstDelivery && load.taken > 0);
        self.first_at = Some(self.first_at.map_or(first, |at| at.min(first)));
        self.last_at = self.last_at.max(Some(last));
        let id = &load.load_id;
        keep(&mut self.first_duplicates, &load.duplicates, |duplicate| DuplicateExample::of(id, duplicate));
        keep(&mut self.first_setbacks, &load.setbacks, |setback| (id.clone(), setback.clone()));
    }
}

impl DuplicateExample {
    fn of(load: &str, duplicate: &Duplicate) -> Self {
        let times = duplicate.deliveries.iter().take(TIMES_SHOWN).map(|time| time.at);
        Self {
            load_id: load.to_owned(),
            event_id: duplicate.event_id.clone(),
            bodies_differ: duplicate.bodies_differ,
            taken: duplicate.deliveries.len(),
            first_times: times.collect(),
        }
    }
}

fn keep<T, E>(kept: &mut Vec<E>, more: &[T], example: impl Fn(&T) -> E) {
    let room = SHOWN.saturating_sub(kept.len());
    kept.extend(more.iter().take(room).map(example));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::Time;

    #[test]
    fn an_example_of_a_duplicate_has_its_first_times_and_how_many_there_are() {
        let time = |at| Time { at, digest: String::new() };
        let duplicate = Duplicate {
            event_id: "e-1".into(),
            status: "delivered".into(),
            deliveries: (1..=200).map(time).collect(),
            bodies_differ: false,
        };
        let example = DuplicateExample::of("L-1", &duplicate);
        assert_eq!((example.taken, example.first_times), (200, vec![1, 2, 3, 4, 5]));
    }
}
