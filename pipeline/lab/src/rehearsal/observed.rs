//! What is seen of one simulation: how far the log lags, what waits where, which limits are reached, and when.

use std::{sync::Arc, time::Duration};

use line::LineHandle;
use serde::{Serialize, Serializer};
use stages::{Broker, BrokerTally};

use super::{
    bounds::{Bounds, Limit},
    plan::{BEFORE, Plan},
};

/// What was seen.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Observed {
    /// The most events that were in the log and not settled.
    pub peak_lag: u64,
    /// The most time for which one was.
    #[serde(rename = "peak_age_ms", serialize_with = "millis")]
    pub peak_age: Duration,
    /// How long after the surge the log lagged by more than a second of the base load; none if it did not end.
    #[serde(rename = "drained_ms", serialize_with = "some_millis")]
    pub drained: Option<Duration>,
    /// How long after the surge anything waited on disk; none if that did not end.
    #[serde(rename = "disk_drained_ms", serialize_with = "some_millis")]
    pub disk_drained: Option<Duration>,
    /// For how long the source had something to read and was not read.
    #[serde(rename = "held_ms", serialize_with = "millis")]
    pub held: Duration,
    /// The most deliveries in memory at a time.
    pub peak_in_flight: usize,
    /// The most bytes on disk at a time, estimated as the bounds count them.
    pub peak_spilled_bytes: u64,
    /// Deliveries made.
    pub delivered: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// What was reached, the first one first; one of each kind.
    pub broken: Vec<Broken>,
    /// Each broker, in the config's order.
    pub brokers: Vec<BrokerObserved>,
}

/// A limit that was reached.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Broken {
    /// Which.
    pub limit: Limit,
    /// By what waited for this broker, if it is one broker's.
    pub broker: Option<usize>,
    /// How long after the beginning of the surge.
    #[serde(rename = "at_ms", serialize_with = "millis")]
    pub at: Duration,
}

/// What was seen of a broker.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BrokerObserved {
    /// The most deliveries that waited for it, in memory, on disk or for an answer.
    pub peak_waiting: u64,
    /// The most that waited on disk.
    pub peak_spilled: u64,
    /// Their bytes, estimated as the bounds count them.
    pub peak_spilled_bytes: u64,
    /// How long after the surge more waited for it than comes in a second; none if that did not end.
    #[serde(rename = "drained_ms", serialize_with = "some_millis")]
    pub drained: Option<Duration>,
    /// Deliveries that it took.
    pub delivered: u64,
    /// Dead letters.
    pub dead_letters: u64,
}

/// How often a simulation is looked at.
pub(super) const EVERY: Duration = Duration::from_millis(100);

/// What a delivery takes on disk beside its body, in bytes, at most.
const OVERHEAD: u64 = 512;

/// Looks at one simulation.
pub(super) struct Observer {
    plan: Arc<Plan>,
    bounds: Bounds,
    seen: Observed,
    /// When something was last not drained: the log, the disk, each broker.
    log_over: Duration,
    disk_over: Duration,
    brokers_over: Vec<Duration>,
}

/// Whether a simulation goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goes {
    On,
    /// Everything is drained.
    Drained,
}

impl Observer {
    pub(super) fn new(plan: Arc<Plan>, bounds: Bounds) -> Self {
        let brokers = plan.brokers.len();
        let seen = Observed { brokers: vec![BrokerObserved::default(); brokers], ..Observed::default() };
        let (log_over, disk_over) = (Duration::ZERO, Duration::ZERO);
        Self { plan, bounds, seen, log_over, disk_over, brokers_over: vec![Duration::ZERO; brokers] }
    }

    /// Looks at the line at time `at`.
    pub(super) fn look(&mut self, at: Duration, line: &LineHandle, brokers: &[Arc<Broker>]) -> Goes {
        let spilled_bytes = self.brokers(at, brokers);
        if line.spilled() > 0 {
            self.disk_over = at;
        }
        self.log(at, line);
        let seen = &mut self.seen;
        seen.peak_in_flight = seen.peak_in_flight.max(line.in_flight());
        seen.peak_spilled_bytes = seen.peak_spilled_bytes.max(spilled_bytes);
        let is_lasting = |over: &Duration| at.saturating_sub(*over) < EVERY * 2;
        let mut over = self.brokers_over.iter().chain([&self.log_over, &self.disk_over]);
        if at > self.plan.surge_end() && !over.any(is_lasting) { Goes::Drained } else { Goes::On }
    }

    /// What was seen by the end.
    pub(super) fn end(mut self, at: Duration, brokers: &[Arc<Broker>]) -> Observed {
        let surge_end = self.plan.surge_end();
        let after = |over: Duration| (over + EVERY < at).then(|| (over + EVERY).saturating_sub(surge_end));
        // What was over before the surge's end took no time.
        let drained = |over: Duration| if over == Duration::ZERO { Some(over) } else { after(over) };
        self.seen.drained = drained(self.log_over);
        self.seen.disk_drained = drained(self.disk_over);
        for ((seen, broker), over) in self.seen.brokers.iter_mut().zip(brokers).zip(&self.brokers_over) {
            seen.drained = drained(*over);
            seen.delivered = broker.tally.delivered.get();
            seen.dead_letters = broker.tally.dead_letters.get();
        }
        self.seen.delivered = self.seen.brokers.iter().map(|broker| broker.delivered).sum();
        self.seen.dead_letters = self.seen.brokers.iter().map(|broker| broker.dead_letters).sum();
        self.seen
    }

    /// Looks at the brokers; gives the bytes on disk of all.
    fn brokers(&mut self, at: Duration, brokers: &[Arc<Broker>]) -> u64 {
        let total: u64 = brokers.iter().map(|broker| broker.tally.gauges.spilled_bytes.get()).sum();
        for (place, broker) in brokers.iter().enumerate() {
            let BrokerTally { gauges, queue_full, dead_letters, .. } = &broker.tally;
            let (spilled, bytes) = (gauges.spilled.get(), gauges.spilled_bytes.get());
            // What is read back is on disk still until its outcome is on record.
            let in_memory = gauges.queued.get() + gauges.on_wire.get();
            let waiting = in_memory.max(spilled + gauges.no_room.get());
            let seen = &mut self.seen.brokers[place];
            seen.peak_waiting = seen.peak_waiting.max(waiting);
            seen.peak_spilled = seen.peak_spilled.max(spilled);
            seen.peak_spilled_bytes = seen.peak_spilled_bytes.max(bytes);
            let second = self.plan.rate_at(at) * self.plan.brokers[place].share;
            let on_its_way = second * self.plan.brokers[place].latency.as_secs_f64();
            if waiting as f64 > (second + on_its_way).max(1.0) {
                self.brokers_over[place] = at;
            }
            let limits = &self.bounds.limits;
            let next = self.plan.body as u64 + OVERHEAD;
            // Also full if what is in memory has not been moved for want of room.
            let is_full = bytes + next > limits.spill_broker_max || total + next > limits.spill_total_max;
            if (is_full && bytes > 0) || gauges.no_room.get() > 0 || queue_full.get() > 0 {
                let of_broker = limits.spill_broker_max.saturating_sub(bytes);
                let of_all = limits.spill_total_max.saturating_sub(total);
                let limit = if of_all < of_broker { Limit::SpillTotal } else { Limit::SpillBroker };
                self.broken(limit, Some(place), at);
            }
            if dead_letters.get() > queue_full.get() {
                self.broken(Limit::Attempts, Some(place), at);
            }
        }
        total
    }

    /// Looks at the log.
    fn log(&mut self, at: Duration, line: &LineHandle) {
        let appended = self.plan.appended_by(at);
        let partitions = line.partitions().snapshot();
        let Some(partition) = partitions.first() else { return };
        let tickets = &partition.tickets;
        let lag = appended.saturating_sub(tickets.settled());
        let reached = tickets.watermark().map_or(0, |cursor| cursor.offset);
        if reached < appended {
            let age = at.saturating_sub(self.plan.appended_at(reached));
            self.seen.peak_age = self.seen.peak_age.max(age);
        }
        self.seen.peak_lag = self.seen.peak_lag.max(lag);
        if lag > (self.plan.base as u64).max(1) {
            self.log_over = at;
        }
        let unread = appended.saturating_sub(tickets.issued());
        if unread > 1 && line.is_held() {
            self.seen.held += EVERY;
        }
        // More than what comes in a second: it waits for good, not for a moment.
        if unread as f64 > self.plan.rate_at(at).max(1.0) {
            let limits = &self.bounds.limits;
            let bytes = line.in_flight_bytes() + 2 * self.plan.body as u64;
            let limit = match () {
                () if tickets.is_full() => Limit::Unsettled,
                () if bytes > limits.memory_max - limits.memory_max / line::READS_SHARE as u64 => {
                    Limit::Memory
                }
                () => Limit::InFlight,
            };
            self.broken(limit, None, at);
        }
    }

    fn broken(&mut self, limit: Limit, broker: Option<usize>, at: Duration) {
        if self.seen.broken.iter().all(|broken| broken.limit != limit) {
            self.seen.broken.push(Broken { limit, broker, at: at.saturating_sub(BEFORE) });
        }
    }

    /// Whether this limit was reached.
    pub(super) fn has_broken(&self, limits: &[Limit]) -> bool {
        self.seen.broken.iter().any(|broken| limits.contains(&broken.limit))
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn millis<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn some_millis<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => millis(duration, to),
        None => to.serialize_none(),
    }
}
