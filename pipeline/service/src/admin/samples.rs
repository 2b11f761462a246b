//! Samples of the counts, once a second: for rates of the last ten seconds, and outcomes of the last five minutes.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::{
    status::{RecentBroker, RecentRecords, Status, seconds},
    view::View,
};

/// Samples kept, one a second: rates are over the last ten seconds.
const SAMPLES: usize = 11;
/// Samples kept of the longer past: five minutes in all.
const LONG_SAMPLES: usize = 11;
/// The interval of these samples.
const LONG_APART: Duration = Duration::from_secs(30);

/// Earlier samples, oldest first.
#[derive(Debug)]
pub(super) struct Samples {
    short: VecDeque<Sample>,
    long: VecDeque<Sample>,
}

/// The counts at one time.
#[derive(Debug)]
struct Sample {
    at: Instant,
    records: RecentRecords,
    brokers: FxHashMap<Arc<str>, Counted>,
}

/// The counts of one broker.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    attempts: u64,
    taken: u64,
    failed: u64,
    refused: u64,
    delivered: u64,
    dead_letters: u64,
}

impl Samples {
    pub(super) fn new() -> Self {
        Self { short: VecDeque::with_capacity(SAMPLES), long: VecDeque::with_capacity(LONG_SAMPLES) }
    }

    /// Takes a sample.
    pub(super) fn record(&mut self, view: &View) {
        let now = Instant::now();
        let is_due = |sample: &Sample| now.saturating_duration_since(sample.at) >= LONG_APART;
        if self.long.back().is_none_or(is_due) {
            push(&mut self.long, LONG_SAMPLES, Sample::of(view, now));
        }
        push(&mut self.short, SAMPLES, Sample::of(view, now));
    }

    /// Fills in what needs earlier samples.
    pub(super) fn fill_in(&self, view: &View, status: &mut Status) {
        let now = Sample::of(view, Instant::now());
        if let Some(before) = self.short.front() {
            rates(before, &now, status);
        }
        if let Some(before) = self.long.front() {
            recent(before, &now, status);
        }
    }
}

fn push(samples: &mut VecDeque<Sample>, most: usize, sample: Sample) {
    if samples.len() == most {
        samples.pop_front();
    }
    samples.push_back(sample);
}

fn rates(before: &Sample, now: &Sample, status: &mut Status) {
    let elapsed = now.at.saturating_duration_since(before.at).as_secs_f64();
    for broker in &mut status.brokers {
        let Some((before, now)) = before.and(now, &broker.id) else { continue };
        let made = (now.attempts - before.attempts) as f64;
        // Over less than a second, a burst would look like a rate.
        broker.rate_used = (elapsed >= 1.0).then(|| made / elapsed);
        let (taken, failed) = (now.taken - before.taken, now.failed - before.failed);
        let share = |part: u64| (taken + failed > 0).then(|| part as f64 / (taken + failed) as f64);
        broker.success_ratio = share(taken);
        broker.refused_ratio = share(now.refused - before.refused);
    }
}

fn recent(before: &Sample, now: &Sample, status: &mut Status) {
    let elapsed = seconds(now.at.saturating_duration_since(before.at));
    status.recent = Some(RecentRecords {
        seconds: elapsed,
        read: now.records.read - before.records.read,
        rejected: now.records.rejected - before.records.rejected,
        unrouted: now.records.unrouted - before.records.unrouted,
    });
    for broker in &mut status.brokers {
        let Some((before, now)) = before.and(now, &broker.id) else { continue };
        broker.recent = Some(RecentBroker {
            seconds: elapsed,
            taken: now.taken - before.taken,
            failed: now.failed - before.failed,
            refused: now.refused - before.refused,
            delivered: now.delivered - before.delivered,
            dead_letters: now.dead_letters - before.dead_letters,
        });
    }
}

impl Sample {
    fn of(view: &View, at: Instant) -> Self {
        let brokers = view.brokers.all();
        let counts = brokers.iter().map(|broker| {
            let (counts, tally) = (broker.health.counts(), &broker.tally);
            let counted = Counted {
                attempts: counts.attempts,
                taken: counts.successes,
                failed: counts.failures,
                refused: counts.refused,
                delivered: tally.delivered.get(),
                dead_letters: tally.dead_letters.get(),
            };
            (broker.id.clone(), counted)
        });
        let records = RecentRecords {
            seconds: 0.0,
            read: view.line.partitions().issued(),
            rejected: view.tally.rejected.get(),
            unrouted: view.tally.unrouted.get(),
        };
        Self { at, records, brokers: counts.collect() }
    }

    /// The counts of a broker here and in a later sample; zero here for a broker that was added since.
    fn and(&self, later: &Self, broker: &str) -> Option<(Counted, Counted)> {
        let now = later.brokers.get(broker).copied()?;
        Some((self.brokers.get(broker).copied().unwrap_or_default(), now))
    }
}
