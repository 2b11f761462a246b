//! An index of what was issued, over the appended part of the log: every event's first record and its load, and the records
//! that are faulty. A record is what its bytes say, not what its [`Form`](crate::traffic::Form) says; memory is linear in
//! the log.

use rustc_hash::FxHashMap;

use super::evidence::Evidence;
use crate::{
    report::Issued,
    traffic::{Entry, SimEvent},
};

/// What a record is, by its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// An event as it was made.
    Genuine(u32),
    /// Other bytes under an event's id.
    Conflict(u32),
    /// No event.
    Garbage,
}

/// The index.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    /// What was appended.
    pub log: &'a [Entry],
    pub events: &'a [SimEvent],
    /// For each event, the places of its first record and how many it has.
    occurrences: Vec<Occurrences>,
    /// For each event, its load's number.
    loads: Vec<u32>,
    /// How many loads there are.
    pub load_count: usize,
    /// The places of the records nobody may be given.
    pub faulty: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Occurrences {
    first: Option<usize>,
    records: u64,
}

impl<'a> Expected<'a> {
    pub(super) fn of(evidence: &'a Evidence) -> Self {
        let log = evidence.traffic.log.get(..evidence.appended).unwrap_or(&evidence.traffic.log);
        let events = &*evidence.traffic.events;
        let mut occurrences = vec![Occurrences { first: None, records: 0 }; events.len()];
        let mut faulty = Vec::new();
        for (place, entry) in log.iter().enumerate() {
            match record(entry, events) {
                Record::Genuine(event) => {
                    let occurrences = &mut occurrences[event as usize];
                    occurrences.first.get_or_insert(place);
                    occurrences.records += 1;
                }
                Record::Conflict(_) | Record::Garbage => faulty.push(place),
            }
        }
        let mut numbers: FxHashMap<&str, u32> = FxHashMap::default();
        let mut number = |load: &'a str| {
            let next = numbers.len() as u32;
            *numbers.entry(load).or_insert(next)
        };
        let loads = events.iter().map(|event| number(&event.load_id)).collect();
        Self { log, events, occurrences, loads, load_count: numbers.len(), faulty }
    }

    /// The event at `place`, if there is one.
    pub(super) fn event(&self, place: u32) -> Option<&'a SimEvent> {
        self.events.get(place as usize)
    }

    /// Where the event first stands in what was appended.
    pub(super) fn first(&self, event: u32) -> Option<usize> {
        self.occurrences.get(event as usize)?.first
    }

    /// How often the event stands in what was appended.
    pub(super) fn records(&self, event: u32) -> u64 {
        self.occurrences.get(event as usize).map_or(0, |occurrences| occurrences.records)
    }

    /// The number of an event's load, below [`load_count`](Self::load_count).
    pub(super) fn load(&self, event: u32) -> usize {
        self.loads[event as usize] as usize
    }

    /// What the record at `place` of what was appended is.
    pub(super) fn record(&self, place: usize) -> Record {
        record(&self.log[place], self.events)
    }

    /// Whether the broker wants the event.
    pub(super) fn wants(&self, broker: u16, event: u32) -> bool {
        self.event(event).is_some_and(|event| event.wanted_by.binary_search(&broker).is_ok())
    }

    /// Every appended event a broker wants, with the place of its first record, in their own order.
    pub(super) fn owed(&self, broker: u16) -> impl Iterator<Item = (u32, usize)> + '_ {
        let wanted = self.events.iter().zip(&self.occurrences).zip(0..);
        wanted.filter_map(move |((event, occurrences), place)| {
            event.wanted_by.binary_search(&broker).ok()?;
            Some((place, occurrences.first?))
        })
    }

    pub(super) fn issued(&self) -> Issued {
        let appended = || {
            self.events.iter().zip(&self.occurrences).filter(|(_, occurrences)| occurrences.first.is_some())
        };
        let (events, records, faulty) =
            (appended().count() as u64, self.log.len() as u64, self.faulty.len() as u64);
        Issued {
            events,
            records,
            duplicates: records - faulty - events,
            faulty,
            deliveries: appended().map(|(event, _)| event.wanted_by.len() as u64).sum(),
        }
    }
}

fn record(entry: &Entry, events: &[SimEvent]) -> Record {
    match entry.event.and_then(|place| Some((place, events.get(place as usize)?))) {
        None => Record::Garbage,
        Some((place, event)) if event.body == entry.body => Record::Genuine(place),
        Some((place, _)) => Record::Conflict(place),
    }
}
