//! The metrics for Prometheus: names by its conventions, base units (seconds, bytes), labels from bounded sets only
//! (brokers, partitions, stages, outcomes, causes, states).
//!
//! <https://prometheus.io/docs/practices/naming/>. Every family is documented in docs/metrics.md; a test compares both.

mod exposition;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use stages::{Broker, Tally};
use state::Latency;

use self::exposition::{
    Exposition,
    Kind::{self, Counter, Gauge},
};
use crate::{
    status::{
        BrokerStatus, FileStatus, GroupStatus, PartitionStatus, ReadingStatus, Status, SubscriptionsStatus,
    },
    telemetry::SpanCounts,
};

/// The states a broker can be in: each has its own series, one of which is 1.
const STATES: [&str; 8] =
    ["healthy", "draining", "limited", "open", "half-open", "paused", "disabled", "stranded"];

/// Measurements of the line as a whole that are not part of its status.
#[derive(Debug)]
pub(super) struct Timings {
    /// The stages' times.
    pub(super) tally: Arc<Tally>,
    /// How long the ledger's commits took.
    pub(super) commits: Latency,
    /// How long look-ups took in the database with subscriptions, if there is one.
    pub(super) lookups: Option<Latency>,
    /// Counts of exported spans, if traces are configured.
    pub(super) spans: Option<Arc<SpanCounts>>,
}

/// The metrics of `status`, its brokers, and `timings`.
pub(super) fn text(status: &Status, brokers: &[Arc<Broker>], timings: Timings) -> Vec<u8> {
    let mut out = Exposition::default();
    line(&mut out, status);
    partitions(&mut out, &status.partitions);
    readings(&mut out, &status.partitions);
    status.group.iter().for_each(|member| group(&mut out, member));
    status.subscriptions.iter().for_each(|database| subscriptions(&mut out, database));
    timings.lookups.iter().for_each(|times| {
        let help = "How long a look-up of a block of loads took.";
        out.histograms("loadline_subscriptions_lookup_duration_seconds", help, [([], times.clone())]);
    });
    files(&mut out, &status.partitions);
    stages(&mut out, &timings.tally);
    ledger(&mut out, status, timings.commits);
    dead_letters(&mut out, status);
    per_broker(&mut out, &status.brokers);
    by_cause(&mut out, &status.brokers);
    states(&mut out, &status.brokers);
    latencies(&mut out, brokers);
    timings.spans.iter().for_each(|counts| spans(&mut out, counts));
    out.into_bytes()
}

fn line(out: &mut Exposition, status: &Status) {
    let flag = |value: bool| f64::from(u8::from(value));
    let counts = [
        ("loadline_intake_records_total", "Records read from the source.", status.read),
        ("loadline_settled_records_total", "Records settled.", status.settled),
        ("loadline_rejected_records_total", "Records that are no valid event.", status.rejected),
        ("loadline_unrouted_records_total", "Events no broker wants.", status.unrouted),
        (
            "loadline_unknown_status_events_total",
            "Events let through with a status that is not known.",
            status.unknown_statuses,
        ),
    ];
    for (name, help, value) in counts {
        out.one(name, Counter, help, value as f64);
    }
    out.one("loadline_in_flight_deliveries", Gauge, "Deliveries in memory.", status.in_flight as f64);
    let bytes = status.in_flight_bytes as f64;
    out.one("loadline_in_flight_bytes", Gauge, "Bytes of bodies in memory.", bytes);
    out.one("loadline_intake_held", Gauge, "Whether backpressure holds the intake.", flag(status.held));
    out.one("loadline_stopping", Gauge, "Whether the run has been asked to stop.", flag(status.stopping));
    let uptime = status.uptime_seconds.unwrap_or(0.0);
    out.one("loadline_uptime_seconds", Gauge, "For how long this run goes on.", uptime);
}

/// A metric of a partition: name, help, and value if there is one.
type OfPartition = (&'static str, &'static str, fn(&PartitionStatus) -> Option<f64>);

#[rustfmt::skip]
const PER_PARTITION: [OfPartition; 6] = [
    ("loadline_read_position", "The place behind the last record read, in the log's unit.", |p| p.read.map(|at| at as f64)),
    ("loadline_watermark_position", "All before this place is settled.", |p| p.settled_to.map(|at| at as f64)),
    ("loadline_log_end_position", "The log's end, where it is known.", |p| p.end.map(|at| at as f64)),
    ("loadline_lag_events", "Events in the log that are not settled; of a file, estimated.", |p| p.lag_events.map(|events| events as f64)),
    ("loadline_lag_bytes", "Bytes of a file that are not settled.", |p| p.lag_bytes.map(|bytes| bytes as f64)),
    ("loadline_oldest_unsettled_age_seconds", "How long ago the oldest unsettled record was read.", |p| Some(p.oldest_seconds.unwrap_or(0.0))),
];

fn partitions(out: &mut Exposition, partitions: &[PartitionStatus]) {
    for (name, help, value) in PER_PARTITION {
        let series = partitions.iter().filter_map(|p| Some(([("partition", &*p.name)], value(p)?)));
        out.family(name, Gauge, help, series);
    }
}

/// A metric of reading a partition from a cluster: name, kind, help and value.
type OfReading = (&'static str, Kind, &'static str, fn(&ReadingStatus) -> f64);

#[rustfmt::skip]
const PER_READING: [OfReading; 8] = [
    ("loadline_source_connected", Gauge, "Whether the partition can be read: its leader answers.", |r| f64::from(u8::from(r.connected))),
    ("loadline_source_away_seconds", Gauge, "For how long the partition could not be read.", |r| r.away_seconds.unwrap_or(0.0)),
    ("loadline_source_gaps_total", Counter, "Times records were missing and were asked for again.", |r| r.gaps as f64),
    ("loadline_source_repeats_total", Counter, "Records that came again and were left out.", |r| r.repeats as f64),
    ("loadline_source_stalls_total", Counter, "Times nothing came although there was something.", |r| r.stalls as f64),
    ("loadline_source_reconnects_total", Counter, "Times the partition was opened again.", |r| r.reconnects as f64),
    ("loadline_source_lost_records_total", Counter, "Offsets passed over because the cluster no longer had them.", |r| r.lost_records as f64),
    ("loadline_source_halted", Gauge, "Whether the partition is read no further although others are.", |r| f64::from(u8::from(r.halted.is_some()))),
];

fn readings(out: &mut Exposition, partitions: &[PartitionStatus]) {
    for (name, kind, help, value) in PER_READING {
        let read = partitions.iter().filter_map(|p| Some((p, p.reading.as_ref()?)));
        let series = read.map(|(p, reading)| ([("partition", &*p.name)], value(reading)));
        out.family(name, kind, help, series);
    }
}

fn group(out: &mut Exposition, member: &GroupStatus) {
    let GroupStatus { partitions, assigned, rebalances, lost, commits, commits_refused, lag_events, .. } =
        member;
    let counts = [
        ("loadline_group_topic_partitions", Gauge, "Partitions that the topic has.", partitions),
        ("loadline_group_assigned_partitions", Gauge, "Those of them that are read here.", assigned),
        ("loadline_group_rebalances_total", Counter, "Times partitions were given or taken.", rebalances),
        ("loadline_group_lost_partitions_total", Counter, "Partitions lost to other members.", lost),
        ("loadline_group_commits_total", Counter, "Commits that the cluster has taken.", commits),
        ("loadline_group_commits_refused_total", Counter, "Commits that it has refused.", commits_refused),
    ];
    for (name, kind, help, value) in counts {
        out.one(name, kind, help, *value as f64);
    }
    if let Some(events) = lag_events {
        let help = "Offsets in the log that no member of the group has committed.";
        out.one("loadline_group_lag_events", Gauge, help, *events as f64);
    }
}

fn subscriptions(out: &mut Exposition, database: &SubscriptionsStatus) {
    let SubscriptionsStatus { lookups, loads, rows, failures, waiting, brokers, unknown_brokers, .. } =
        database;
    let SubscriptionsStatus { last_known_events, last_known_loads, .. } = database;
    let rejected = database.rejected.len() as u64;
    let counts = [
        ("loadline_subscriptions_lookups_total", Counter, "Look-ups that were answered.", lookups),
        ("loadline_subscriptions_loads_total", Counter, "Loads that were looked up.", loads),
        ("loadline_subscriptions_rows_total", Counter, "Subscriptions that were found.", rows),
        ("loadline_subscriptions_failures_total", Counter, "Queries and connections that failed.", failures),
        (
            "loadline_subscriptions_unknown_brokers_total",
            Counter,
            "Subscriptions found whose broker is not in force.",
            unknown_brokers,
        ),
        (
            "loadline_subscriptions_last_known_events_total",
            Counter,
            "Events routed by what was known last of their load.",
            last_known_events,
        ),
        (
            "loadline_subscriptions_last_known_loads",
            Gauge,
            "Loads of which the last answer is kept.",
            last_known_loads,
        ),
        ("loadline_subscriptions_waiting_events", Gauge, "Events that wait for an answer.", waiting),
        ("loadline_subscriptions_brokers", Gauge, "Brokers of the table that are in force.", brokers),
        ("loadline_subscriptions_rejected_brokers", Gauge, "Brokers whose rows are broken.", &rejected),
    ];
    for (name, kind, help, value) in counts {
        out.one(name, kind, help, *value as f64);
    }
    let away = database.away_seconds.unwrap_or(0.0);
    let help = "For how long the database has not answered.";
    out.one("loadline_subscriptions_away_seconds", Gauge, help, away);
    if let Some(age) = database.brokers_age_seconds {
        let help = "How old the copy of the brokers' table is.";
        out.one("loadline_subscriptions_brokers_age_seconds", Gauge, help, age);
    }
}

/// A metric of a source's files: name, help and value.
type OfFile = (&'static str, &'static str, fn(&FileStatus) -> u64);

#[rustfmt::skip]
const PER_FILE: [OfFile; 4] = [
    ("loadline_source_rotations_total", "Times the next file was begun after the end of one.", |f| f.rotations),
    ("loadline_source_truncations_total", "Times the file was truncated while it was read.", |f| f.truncations),
    ("loadline_source_undecided_total", "Times the names of rotated files did not tell their order.", |f| f.undecided),
    ("loadline_source_losses_total", "Times bytes of a file were lost before they were read.", |f| f.losses),
];

fn files(out: &mut Exposition, partitions: &[PartitionStatus]) {
    for (name, help, value) in PER_FILE {
        let files = partitions.iter().filter_map(|p| Some((p, p.file.as_ref()?)));
        let series = files.map(|(p, file)| ([("partition", &*p.name)], value(file) as f64));
        out.family(name, Counter, help, series);
    }
}

fn stages(out: &mut Exposition, tally: &Tally) {
    let series = tally.times.all().map(|(stage, times)| ([("stage", stage)], times.read()));
    out.histograms("loadline_stage_duration_seconds", "How long a stage took with one payload.", series);
}

fn ledger(out: &mut Exposition, status: &Status, commits: Latency) {
    let name = "loadline_commit_duration_seconds";
    out.histograms(name, "How long a group commit took: writing, flushing and syncing.", [([], commits)]);
    let Some(ledger) = &status.ledger else { return };
    let records = ledger.records as f64;
    out.one("loadline_ledger_records_total", Counter, "Records written to the ledger.", records);
    let faulted = f64::from(u8::from(ledger.faulted));
    out.one("loadline_ledger_faulted", Gauge, "Whether the ledger thread has met a fault.", faulted);
}

fn dead_letters(out: &mut Exposition, status: &Status) {
    let causes = status.dead_letters.iter().flat_map(|dead| &dead.by_cause);
    let series = causes.map(|dead| ([("stage", &*dead.stage), ("cause", &*dead.cause)], dead.count as f64));
    out.family("loadline_dead_letters", Gauge, "Dead letters in the state directory.", series);
    let Some(topic) = &status.dead_topic else { return };
    let (published, unpublished) = (topic.published as f64, topic.unpublished as f64);
    let connected = f64::from(u8::from(topic.connected));
    out.one(
        "loadline_dead_letters_published_total",
        Counter,
        "Dead letters their topic has taken.",
        published,
    );
    out.one(
        "loadline_dead_letters_unpublished",
        Gauge,
        "Dead letters their topic has not taken yet.",
        unpublished,
    );
    out.one(
        "loadline_dead_topic_connected",
        Gauge,
        "Whether the cluster did what it was last asked.",
        connected,
    );
}

/// A metric of a broker: name, kind, help and value.
type OfBroker = (&'static str, Kind, &'static str, fn(&BrokerStatus) -> f64);

#[rustfmt::skip]
const PER_BROKER: [OfBroker; 20] = [
    ("loadline_delivered_total", Counter, "Deliveries taken.", |b| b.delivered as f64),
    ("loadline_duplicates_total", Counter, "Deliveries not needed.", |b| b.duplicates as f64),
    ("loadline_conflicts_total", Counter, "Event ids that came again with another body.", |b| b.conflicts as f64),
    ("loadline_dead_lettered_total", Counter, "Deliveries given up.", |b| b.dead_letters as f64),
    ("loadline_queue_full_total", Counter, "Deliveries given up for want of room on disk.", |b| b.queue_full as f64),
    ("loadline_retries_total", Counter, "Attempts of deliveries attempted before.", |b| b.retries as f64),
    ("loadline_retries_deferred_total", Counter, "Retries put off by the budget.", |b| b.deferred as f64),
    ("loadline_quota_waits_total", Counter, "Attempts that waited for the quota.", |b| b.quota_waits as f64),
    ("loadline_breaker_opened_total", Counter, "Times the breaker opened.", |b| b.opened as f64),
    ("loadline_queue_deliveries", Gauge, "Deliveries in memory.", |b| b.queued as f64),
    ("loadline_on_wire_deliveries", Gauge, "Deliveries on the wire.", |b| b.on_wire as f64),
    ("loadline_spill_deliveries", Gauge, "Deliveries on disk.", |b| b.spilled as f64),
    ("loadline_spill_bytes", Gauge, "Their bytes, estimated.", |b| b.spilled_bytes as f64),
    ("loadline_spill_bytes_max", Gauge, "The most they may be.", |b| b.spilled_bytes_max.unwrap_or(0) as f64),
    ("loadline_oldest_waiting_age_seconds", Gauge, "How long the oldest has waited.", |b| b.oldest_seconds.unwrap_or(0.0)),
    ("loadline_quota_attempts_per_second", Gauge, "Attempts a second allowed.", |b| b.rate_allowed),
    ("loadline_quota_attempts_per_second_whole", Gauge, "Attempts a second allowed to all members together.", |b| b.rate_whole),
    ("loadline_concurrency", Gauge, "Attempts on the wire allowed.", |b| b.concurrency_allowed as f64),
    ("loadline_concurrency_whole", Gauge, "Attempts on the wire allowed to all members together.", |b| b.concurrency_whole as f64),
    ("loadline_recent_attempts_per_second", Gauge, "Attempts a second, ten seconds' mean.", |b| b.rate_used.unwrap_or(0.0)),
];

fn per_broker(out: &mut Exposition, brokers: &[BrokerStatus]) {
    for (name, kind, help, value) in PER_BROKER {
        out.family(name, kind, help, brokers.iter().map(|b| ([("broker", &*b.id)], value(b))));
    }
    let full = brokers.iter().filter_map(|b| Some(([("broker", &*b.id)], b.full_in_seconds?)));
    out.family("loadline_spill_full_seconds", Gauge, "In how long the disk queue is full.", full);
}

/// Metrics with a second label: outcome or cause.
fn by_cause(out: &mut Exposition, brokers: &[BrokerStatus]) {
    let attempts = brokers.iter().flat_map(|b| {
        let outcomes = [
            ("success", b.successes),
            ("throttled", b.throttled),
            ("refused", b.refused),
            ("no-answer", b.unanswered),
            ("unsent", b.unsent),
            ("failure", b.unwell),
        ];
        outcomes.map(|(outcome, count)| ([("broker", &*b.id), ("outcome", outcome)], count as f64))
    });
    out.family("loadline_attempts_total", Counter, "Attempts that have ended, by outcome.", attempts);
    let repeats = brokers.iter().flat_map(|b| {
        let causes = [
            ("crash", b.repeats_after_crash),
            ("no-answer", b.repeats_after_no_answer),
            ("refusal", b.repeats_after_refusal),
        ];
        causes.map(|(cause, count)| ([("broker", &*b.id), ("cause", cause)], count as f64))
    });
    let help = "Attempts that may have repeated one that was taken.";
    out.family("loadline_possible_repeats_total", Counter, help, repeats);
}

fn states(out: &mut Exposition, brokers: &[BrokerStatus]) {
    let series = brokers.iter().flat_map(|b| {
        STATES.map(|state| ([("broker", &*b.id), ("state", state)], f64::from(u8::from(b.state == state))))
    });
    out.family("loadline_broker_state", Gauge, "1 for the state the broker is in.", series);
}

fn latencies(out: &mut Exposition, brokers: &[Arc<Broker>]) {
    let series = brokers.iter().map(|b| ([("broker", &*b.id)], b.tally.latency.read()));
    let help = "From an event's being read to its being taken.";
    out.histograms("loadline_delivery_latency_seconds", help, series);
}

fn spans(out: &mut Exposition, counts: &SpanCounts) {
    let outcomes =
        [("exported", counts.exported()), ("dropped", counts.dropped()), ("failed", counts.failed())];
    let series = outcomes.map(|(outcome, count)| ([("outcome", outcome)], count as f64));
    out.family("loadline_trace_spans_total", Counter, "Spans of attempts, by what became of them.", series);
}
