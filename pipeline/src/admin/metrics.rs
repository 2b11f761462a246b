//! A status as Prometheus reads it: text format 0.0.4, names by its conventions, labels from bounded sets only (brokers,
//! stages, outcomes, causes, states).
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format> and
//! <https://prometheus.io/docs/practices/naming/>. Written by hand: the maintained client crates keep registries of
//! their own beside the counters there are, and `prometheus-client` writes OpenMetrics, which is another format.

use std::{
    fmt::{Display, Write},
    sync::Arc,
};

use stages::{BUCKETS, models::Broker};

use crate::status::{BrokerStatus, Status};

/// The states a broker can be in: each has its own series, one of which is 1.
const STATES: [&str; 7] = ["healthy", "draining", "limited", "open", "half-open", "paused", "disabled"];

/// One line's label: its name and its value.
type Label<'l> = (&'l str, &'l str);

/// The text being written.
#[derive(Default)]
struct Text(String);

/// The metrics of `status` and of these brokers, which are the same.
pub(super) fn text(status: &Status, brokers: &[Arc<Broker>]) -> String {
    let mut text = Text::default();
    line(&mut text, status);
    partitions(&mut text, status);
    ledger(&mut text, status);
    dead_letters(&mut text, status);
    per_broker(&mut text, &status.brokers);
    attempts(&mut text, &status.brokers);
    states(&mut text, &status.brokers);
    latencies(&mut text, brokers);
    text.0
}

fn line(text: &mut Text, status: &Status) {
    let flag = |value: bool| u64::from(value);
    text.one("loadline_intake_records_total", "counter", "Records read from the source.", status.read);
    text.one("loadline_settled_records_total", "counter", "Records settled.", status.settled);
    text.one(
        "loadline_rejected_records_total",
        "counter",
        "Records that are no valid event.",
        status.rejected,
    );
    text.one("loadline_unrouted_records_total", "counter", "Events no broker wants.", status.unrouted);
    text.one("loadline_in_flight_deliveries", "gauge", "Deliveries in memory.", status.in_flight);
    text.one("loadline_intake_held", "gauge", "Whether backpressure holds the intake.", flag(status.held));
    text.one("loadline_stopping", "gauge", "Whether the run has been asked to stop.", flag(status.stopping));
    let uptime = status.uptime_seconds.unwrap_or(0.0);
    text.one("loadline_uptime_seconds", "gauge", "Since when this run goes on.", uptime);
}

fn partitions(text: &mut Text, status: &Status) {
    let all = |value: fn(&crate::status::PartitionStatus) -> Option<f64>| {
        let values = status.partitions.iter();
        values.filter_map(move |partition| Some((partition.name.as_str(), value(partition)?)))
    };
    let mut family = |name: &str, help: &str, value: fn(&crate::status::PartitionStatus) -> Option<f64>| {
        text.head(name, "gauge", help);
        for (partition, value) in all(value) {
            text.line(name, &[("partition", partition)], value);
        }
    };
    family(
        "loadline_read_position",
        "The place behind the last record read, in the log's unit.",
        |partition| partition.read.map(|place| place as f64),
    );
    family("loadline_watermark_position", "All before this place is settled.", |partition| {
        partition.settled_to.map(|place| place as f64)
    });
    family("loadline_log_end_position", "The log's end, where it is known.", |partition| {
        partition.end.map(|place| place as f64)
    });
    family(
        "loadline_lag_events",
        "Events in the log that are not settled; of a file, estimated.",
        |partition| partition.lag_events.map(|events| events as f64),
    );
    family(
        "loadline_oldest_unsettled_age_seconds",
        "Since when the oldest unsettled record is read.",
        |partition| Some(partition.oldest_seconds.unwrap_or(0.0)),
    );
}

fn ledger(text: &mut Text, status: &Status) {
    let Some(ledger) = &status.ledger else { return };
    let name = "loadline_commit_duration_seconds";
    text.head(name, "summary", "Group commits, each with one flush, and the time they took.");
    text.line("loadline_commit_duration_seconds_sum", &[], ledger.busy_seconds);
    text.line("loadline_commit_duration_seconds_count", &[], ledger.commits);
    text.one("loadline_ledger_records_total", "counter", "Records written to the ledger.", ledger.records);
    let faulted = u64::from(ledger.faulted);
    text.one("loadline_ledger_faulted", "gauge", "Whether the ledger thread has met a fault.", faulted);
}

fn dead_letters(text: &mut Text, status: &Status) {
    let Some(dead) = &status.dead_letters else { return };
    text.head("loadline_dead_letters", "gauge", "Dead letters in the state directory.");
    for cause in &dead.by_cause {
        let labels = [("stage", &*cause.stage), ("cause", &*cause.cause)];
        text.line("loadline_dead_letters", &labels, cause.count);
    }
}

/// What there is of each broker: name, kind, help and value.
type Family = (&'static str, &'static str, &'static str, fn(&BrokerStatus) -> f64);

#[rustfmt::skip]
const PER_BROKER: [Family; 15] = [
    ("loadline_delivered_total", "counter", "Deliveries taken.", |b| b.delivered as f64),
    ("loadline_duplicates_total", "counter", "Deliveries not needed.", |b| b.duplicates as f64),
    ("loadline_conflicts_total", "counter", "Event ids that came again with another body.", |b| b.conflicts as f64),
    ("loadline_dead_lettered_total", "counter", "Deliveries given up.", |b| b.dead_letters as f64),
    ("loadline_retries_total", "counter", "Attempts of deliveries attempted before.", |b| b.retries as f64),
    ("loadline_retries_deferred_total", "counter", "Retries put off by the budget.", |b| b.deferred as f64),
    ("loadline_quota_waits_total", "counter", "Attempts that waited for the quota.", |b| b.quota_waits as f64),
    ("loadline_breaker_opened_total", "counter", "Times the breaker opened.", |b| b.opened as f64),
    ("loadline_queue_deliveries", "gauge", "Deliveries in memory.", |b| b.queued as f64),
    ("loadline_on_wire_deliveries", "gauge", "Deliveries on the wire.", |b| b.on_wire as f64),
    ("loadline_spill_deliveries", "gauge", "Deliveries on disk.", |b| b.spilled as f64),
    ("loadline_spill_bytes", "gauge", "Their bytes, estimated.", |b| b.spilled_bytes as f64),
    ("loadline_oldest_waiting_age_seconds", "gauge", "How long the oldest has waited.", |b| b.oldest_seconds.unwrap_or(0.0)),
    ("loadline_quota_attempts_per_second", "gauge", "Attempts a second allowed.", |b| b.rate_allowed),
    ("loadline_recent_attempts_per_second", "gauge", "Attempts a second, ten seconds' mean.", |b| b.rate_used.unwrap_or(0.0)),
];

fn per_broker(text: &mut Text, brokers: &[BrokerStatus]) {
    for (name, kind, help, value) in PER_BROKER {
        text.head(name, kind, help);
        for broker in brokers {
            text.line(name, &[("broker", &broker.id)], value(broker));
        }
    }
    let name = "loadline_possible_repeats_total";
    text.head(name, "counter", "Attempts that may have repeated one that was taken.");
    for broker in brokers {
        let id = ("broker", &*broker.id);
        text.line(name, &[id, ("cause", "crash")], broker.repeats_after_crash);
        text.line(name, &[id, ("cause", "no-answer")], broker.repeats_after_no_answer);
    }
}

fn attempts(text: &mut Text, brokers: &[BrokerStatus]) {
    let name = "loadline_attempts_total";
    text.head(name, "counter", "Attempts that have ended, by outcome.");
    for broker in brokers {
        let outcomes = [
            ("success", broker.successes),
            ("throttled", broker.throttled),
            ("failure", broker.failures.saturating_sub(broker.throttled)),
        ];
        for (outcome, count) in outcomes {
            text.line(name, &[("broker", &broker.id), ("outcome", outcome)], count);
        }
    }
}

fn states(text: &mut Text, brokers: &[BrokerStatus]) {
    let name = "loadline_broker_state";
    text.head(name, "gauge", "1 for the state the broker is in.");
    for broker in brokers {
        for state in STATES {
            let is = u64::from(broker.state == state);
            text.line(name, &[("broker", &broker.id), ("state", state)], is);
        }
    }
}

fn latencies(text: &mut Text, brokers: &[Arc<Broker>]) {
    let name = "loadline_delivery_latency_seconds";
    text.head(name, "histogram", "From an event's being read to its being taken.");
    for broker in brokers {
        let (id, read) = (("broker", &*broker.id), broker.tally.latency.read());
        for (bound, count) in BUCKETS.iter().zip(read.at_most) {
            let bound = (*bound as f64 / 1e3).to_string();
            text.line("loadline_delivery_latency_seconds_bucket", &[id, ("le", &bound)], count);
        }
        text.line("loadline_delivery_latency_seconds_bucket", &[id, ("le", "+Inf")], read.count);
        text.line("loadline_delivery_latency_seconds_sum", &[id], read.sum as f64 / 1e3);
        text.line("loadline_delivery_latency_seconds_count", &[id], read.count);
    }
}

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _written = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[Label<'_>], value: impl Display) {
        self.0 += name;
        for (number, (label, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _written = write!(self.0, "{}{label}=\"{value}\"", if number == 0 { '{' } else { ',' });
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _written = writeln!(self.0, "{close} {value}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.head(name, kind, help);
        self.line(name, &[], value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{DeadCause, DeadStatus, PartitionStatus};

    #[test]
    fn every_family_has_its_head_once_and_text_from_outside_stays_in_its_quotes() {
        let broker = |id: &str| BrokerStatus {
            id: id.to_owned(),
            state: "open".to_owned(),
            failures: 5,
            throttled: 2,
            ..BrokerStatus::default()
        };
        let partition =
            PartitionStatus { name: "file:a\"\\\nb".to_owned(), read: Some(7), ..PartitionStatus::default() };
        let cause = DeadCause { stage: "decode".to_owned(), cause: "not-json".to_owned(), count: 3 };
        let status = Status {
            partitions: vec![partition],
            brokers: vec![broker("acme"), broker("blue")],
            dead_letters: Some(DeadStatus { by_cause: vec![cause], ..DeadStatus::default() }),
            ..Status::default()
        };
        let text = text(&status, &[]);
        for line in [
            "loadline_read_position{partition=\"file:a\\\"\\\\\\nb\"} 7",
            "loadline_dead_letters{stage=\"decode\",cause=\"not-json\"} 3",
            "loadline_attempts_total{broker=\"blue\",outcome=\"failure\"} 3",
            "loadline_broker_state{broker=\"acme\",state=\"open\"} 1",
            "loadline_broker_state{broker=\"acme\",state=\"healthy\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        let mut heads: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
        let count = heads.len();
        heads.sort_unstable();
        heads.dedup();
        assert_eq!(heads.len(), count);
    }
}
