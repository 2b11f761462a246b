//! What was last looked up, for the time in which the database does not answer. Pure: no clock.
//!
//! Guarantees: it answers only while the database is away, which is from the second failure in a row on and until the next
//! success, and only for a load whose look-up began within the bound; it takes no more memory than it may, and forgets first
//! what was looked up longest ago.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use stages::Subscriber;
use tokio::time::Instant;

use crate::{block::Found, fault::DatabaseFault, options::LastKnownOptions};

/// How many failures in a row make an outage: after one the connection may just have been a stale one.
const FAILURES_MIN: u32 = 2;
/// About the bytes of an entry in both maps, and of what it points to, without texts.
const ENTRY: usize = 256;
/// About the bytes of a subscription, without texts.
const SUBSCRIBER: usize = 64;
/// The bytes of a status, without its text.
const STATUS: usize = 40;

/// Who subscribed to each load when that was last asked.
#[derive(Debug)]
pub(crate) struct LastKnown {
    /// None if it is not wanted: then it keeps nothing and never answers.
    options: Option<LastKnownOptions>,
    loads: HashMap<Arc<str>, Known>,
    /// The loads in the order in which they were looked up.
    order: BTreeMap<u64, Arc<str>>,
    next: u64,
    bytes: usize,
    failures: u32,
}

#[derive(Debug)]
struct Known {
    found: Found,
    asked_at: Instant,
    turn: u64,
    bytes: usize,
}

impl LastKnown {
    pub(crate) fn new(options: Option<LastKnownOptions>) -> Self {
        let (loads, order) = (HashMap::new(), BTreeMap::new());
        Self { options, loads, order, next: 0, bytes: 0, failures: 0 }
    }

    /// Whether the database is away, and what was known last is wanted then.
    pub(crate) fn answers(&self) -> bool {
        self.options.is_some() && self.failures >= FAILURES_MIN
    }

    /// The loads that are known.
    pub(crate) fn len(&self) -> usize {
        self.loads.len()
    }

    /// A query or a connection has failed. A database that refuses what it is asked is not away.
    pub(crate) fn failed(&mut self, fault: &DatabaseFault) {
        self.failures = if fault.is_definite() { 0 } else { self.failures.saturating_add(1) };
    }

    /// A query that began at `asked_at` has found this.
    pub(crate) fn found(&mut self, found: Vec<(Arc<str>, Found)>, asked_at: Instant) {
        self.failures = 0;
        let Some(LastKnownOptions { age_max, memory_max }) = self.options else { return };
        for (load, found) in found {
            self.forget(&load);
            let bytes = bytes(&load, &found);
            let turn = self.next;
            self.next += 1;
            self.bytes += bytes;
            self.order.insert(turn, load.clone());
            self.loads.insert(load, Known { found, asked_at, turn, bytes });
        }
        while let Some(oldest) = self.order.first_entry().map(|first| first.get().clone()) {
            let is_old = self.loads.get(&oldest).is_some_and(|known| is_over(known, asked_at, age_max));
            if !is_old && self.bytes <= memory_max {
                return;
            }
            self.forget(&oldest);
        }
    }

    /// Who subscribes to a load, if that may be answered now.
    pub(crate) fn of(&self, load: &str, now: Instant) -> Option<Found> {
        let age_max = self.options.filter(|_| self.answers())?.age_max;
        let known = self.loads.get(load).filter(|known| !is_over(known, now, age_max))?;
        Some(known.found.clone())
    }

    fn forget(&mut self, load: &Arc<str>) {
        if let Some(Known { turn, bytes, .. }) = self.loads.remove(load) {
            self.order.remove(&turn);
            self.bytes -= bytes;
        }
    }
}

fn is_over(known: &Known, now: Instant, age_max: Duration) -> bool {
    now.duration_since(known.asked_at) > age_max
}

/// About the bytes that an entry takes.
fn bytes(load: &str, found: &[Subscriber]) -> usize {
    let of_one = |subscriber: &Subscriber| {
        let statuses = subscriber.statuses.iter().flat_map(|statuses| statuses.iter());
        SUBSCRIBER + subscriber.broker.len() + statuses.map(|status| STATUS + status.len()).sum::<usize>()
    };
    ENTRY + load.len() + found.iter().map(of_one).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn away() -> DatabaseFault {
        DatabaseFault::Away { why: "it is".into() }
    }

    fn memory(memory_max: usize) -> LastKnown {
        LastKnown::new(Some(LastKnownOptions { age_max: 10 * SECOND, memory_max }))
    }

    fn found(load: &str, row: i64) -> Vec<(Arc<str>, Found)> {
        let subscriber = Subscriber { broker: "acme".into(), statuses: None, row };
        vec![(load.into(), [subscriber].into())]
    }

    fn row(memory: &LastKnown, load: &str, now: Instant) -> Option<i64> {
        memory.of(load, now).map(|found| found[0].row)
    }

    #[test]
    fn it_answers_from_the_second_failure_in_a_row_until_the_next_success_and_not_for_a_refusal() {
        let (mut memory, now) = (memory(1 << 20), Instant::now());
        memory.found(found("a", 1), now);
        assert_eq!(row(&memory, "a", now), None, "the database answers");
        memory.failed(&away());
        assert_eq!(row(&memory, "a", now), None, "once is no outage");
        memory.failed(&away());
        assert_eq!((row(&memory, "a", now), row(&memory, "b", now)), (Some(1), None));
        memory.found(found("a", 2), now);
        assert_eq!(row(&memory, "a", now), None);
        [away(), away(), DatabaseFault::Query { what: "the look-up", why: "no".into() }]
            .iter()
            .for_each(|fault| memory.failed(fault));
        assert_eq!(row(&memory, "a", now), None, "it answers, if only to refuse");
    }

    #[test]
    fn nothing_older_than_the_bound_is_answered_and_a_load_is_known_as_it_was_last() {
        let (mut memory, now) = (memory(1 << 20), Instant::now());
        memory.found(found("a", 1), now);
        memory.found(found("b", 2), now + 5 * SECOND);
        memory.found(found("a", 3), now + 6 * SECOND);
        memory.failed(&away());
        memory.failed(&away());
        let at = |load, seconds: u32| row(&memory, load, now + seconds * SECOND);
        assert_eq!((at("a", 16), at("b", 15)), (Some(3), Some(2)));
        assert_eq!((at("a", 17), at("b", 16)), (None, None));
        memory.found(found("c", 4), now + 16 * SECOND);
        assert_eq!(memory.len(), 2, "b is over and forgotten");
    }

    #[test]
    fn what_was_looked_up_longest_ago_goes_first_and_the_bound_holds() {
        let of_one = bytes("a", &found("a", 1)[0].1);
        let (mut memory, now) = (memory(2 * of_one), Instant::now());
        for load in ["a", "b", "a", "c"] {
            memory.found(found(load, 1), now);
            assert!(memory.bytes <= 2 * of_one);
        }
        memory.failed(&away());
        memory.failed(&away());
        assert_eq!(["a", "b", "c"].map(|load| row(&memory, load, now)), [Some(1), None, Some(1)]);
        let long = "l".repeat(2 * of_one);
        memory.found(found(&long, 1), now);
        assert_eq!(
            (memory.len(), memory.bytes, memory.order.len()),
            (0, 0, 0),
            "one that has no room at all"
        );
    }

    #[test]
    fn unless_it_is_wanted_it_keeps_nothing_and_answers_nothing() {
        let (mut memory, now) = (LastKnown::new(None), Instant::now());
        memory.found(found("a", 1), now);
        memory.failed(&away());
        memory.failed(&away());
        assert_eq!((memory.len(), memory.answers(), row(&memory, "a", now)), (0, false, None));
    }
}
