//! What has been asked and answered, for status and metrics. Cheap to read from any thread.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use state::Histogram;
use tokio::time::Instant;

use crate::fault::DatabaseFault;

/// For how long the database has not answered, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// For how long.
    pub length: Duration,
    /// The last error.
    pub error: Arc<str>,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Link {
    Lookups,
    Brokers,
}

#[derive(Debug)]
struct Away {
    since: Instant,
    error: Arc<str>,
}

/// What has been asked and answered.
#[derive(Debug)]
pub struct Counts {
    queries: AtomicU64,
    failures: AtomicU64,
    loads: AtomicU64,
    rows: AtomicU64,
    unknown: AtomicU64,
    last_known: AtomicU64,
    known_loads: AtomicUsize,
    is_bridged: AtomicBool,
    waiting: AtomicUsize,
    times: Histogram,
    away: [Mutex<Option<Away>>; 2],
    brokers: AtomicUsize,
    /// The brokers whose rows are broken, and why.
    rejected: Mutex<BTreeMap<String, String>>,
    as_of: Mutex<Option<Instant>>,
}

impl Default for Counts {
    fn default() -> Self {
        let away = || {
            let error = Arc::from("it has not been connected yet");
            Mutex::new(Some(Away { since: Instant::now(), error }))
        };
        Self {
            queries: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            loads: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            last_known: AtomicU64::new(0),
            known_loads: AtomicUsize::new(0),
            is_bridged: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            times: Histogram::of_steps(),
            away: [away(), away()],
            brokers: AtomicUsize::new(0),
            rejected: Mutex::default(),
            as_of: Mutex::default(),
        }
    }
}

impl Counts {
    /// Look-ups that were answered: one for each block.
    #[must_use]
    pub fn queries(&self) -> u64 {
        self.queries.load(Ordering::Relaxed)
    }

    /// Queries and connections that failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Loads that were looked up.
    #[must_use]
    pub fn loads(&self) -> u64 {
        self.loads.load(Ordering::Relaxed)
    }

    /// Subscriptions that were found.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Subscriptions found whose broker nobody knows: its row is broken, and was never whole.
    #[must_use]
    pub fn unknown(&self) -> u64 {
        self.unknown.load(Ordering::Relaxed)
    }

    /// Events that were routed by what was known last of their load.
    #[must_use]
    pub fn last_known(&self) -> u64 {
        self.last_known.load(Ordering::Relaxed)
    }

    /// Loads of which the last answer is kept.
    #[must_use]
    pub fn known_loads(&self) -> usize {
        self.known_loads.load(Ordering::Relaxed)
    }

    /// Whether events are routed by what was known last, because the database is away.
    #[must_use]
    pub fn is_bridged(&self) -> bool {
        self.is_bridged.load(Ordering::Relaxed)
    }

    /// Events that wait for the answer about their load.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How long answered look-ups took.
    #[must_use]
    pub fn times(&self) -> &Histogram {
        &self.times
    }

    /// Brokers of the table that are in force.
    #[must_use]
    pub fn brokers(&self) -> usize {
        self.brokers.load(Ordering::Relaxed)
    }

    /// The brokers whose rows are broken, and why.
    #[must_use]
    pub fn rejected(&self) -> BTreeMap<String, String> {
        self.rejected.lock().clone()
    }

    /// How old the brokers' copy is; none if there is none yet.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.as_of.lock().map(|as_of| as_of.elapsed())
    }

    /// The outage that goes on, if one does.
    #[must_use]
    pub fn outage(&self) -> Option<Outage> {
        let away = self.away.iter().filter_map(|away| {
            let away = away.lock();
            away.as_ref().map(|away| Outage { length: away.since.elapsed(), error: away.error.clone() })
        });
        away.max_by_key(|outage| outage.length)
    }

    /// So many brokers of the table are in force, and these rows are broken.
    pub fn applied(&self, brokers: usize, rejected: BTreeMap<String, String>) {
        self.brokers.store(brokers, Ordering::Relaxed);
        *self.rejected.lock() = rejected;
    }

    pub(crate) fn found_unknown(&self) {
        self.unknown.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self, loads: usize, rows: usize, took: Duration) {
        self.queries.fetch_add(1, Ordering::Relaxed);
        self.loads.fetch_add(loads as u64, Ordering::Relaxed);
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.times.note(took);
    }

    pub(crate) fn answered_as_known(&self, events: u64) {
        self.last_known.fetch_add(events, Ordering::Relaxed);
    }

    pub(crate) fn known(&self, loads: usize, is_bridged: bool) {
        self.known_loads.store(loads, Ordering::Relaxed);
        self.is_bridged.store(is_bridged, Ordering::Relaxed);
    }

    pub(crate) fn current(&self, as_of: Instant) {
        *self.as_of.lock() = Some(as_of);
    }

    /// Notes a success over `link`; whether it ends an outage.
    pub(crate) fn up(&self, link: Link) -> bool {
        self.away[link as usize].lock().take().is_some()
    }

    /// Notes a failure over `link`; whether it begins an outage.
    pub(crate) fn down(&self, link: Link, fault: &DatabaseFault) -> bool {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut away = self.away[link as usize].lock();
        let begins = away.is_none();
        let since = away.as_ref().map_or_else(Instant::now, |away| away.since);
        *away = Some(Away { since, error: Arc::from(fault.to_string()) });
        begins
    }

    /// One more event waits, until this is dropped.
    pub(crate) fn wait(&self) -> Waits<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waits(&self.waiting)
    }
}

/// One that waits; it may be dropped while it does.
pub(crate) struct Waits<'c>(&'c AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
