//! What must hold between the values of different keys, each with its reason; checked once, at start.

use super::{
    BreakerConfig, DeadTopicConfig, DeliveryConfig, HttpConfig, LimitsConfig, RetryConfig, SourceConfig,
    SourceKind, StateConfig,
    findings::{
        Findings,
        Order::{AtMost, Below},
    },
    problem::Refusal,
    units::{DURATION, count, show_size, size},
};
use crate::line::READS_SHARE;

/// The sections that have something to do with one another.
pub(super) struct Sections<'c> {
    pub(super) source: Option<&'c SourceConfig>,
    pub(super) state: &'c StateConfig,
    pub(super) dead_topic: Option<&'c DeadTopicConfig>,
    pub(super) limits: &'c LimitsConfig,
    pub(super) delivery: &'c DeliveryConfig,
    pub(super) retry: &'c RetryConfig,
    pub(super) breaker: &'c BreakerConfig,
}

/// Reports every relation that does not hold.
pub(super) fn check(findings: &mut Findings<'_>, sections: &Sections<'_>) {
    counts(findings, sections);
    sizes(findings, sections);
    durations(findings, sections);
    topics(findings, sections);
}

/// A topic that held its own dead letters would never end.
fn topics(findings: &mut Findings<'_>, Sections { source, dead_topic, .. }: &Sections<'_>) {
    if let (Some(SourceConfig { kind: SourceKind::Fluvio(fluvio), .. }), Some(dead)) = (source, dead_topic)
        && dead.topic == fluvio.topic
        && dead.cluster.endpoint.eq_ignore_ascii_case(&fluvio.cluster.endpoint)
        && !findings.has_problem("source")
    {
        let problem = "is the topic that is read: every dead letter would be read, and become another";
        findings.refuse("dead_topic.topic", &dead.topic, Refusal::new(problem, "name another topic"));
    }
}

fn counts(findings: &mut Findings<'_>, Sections { limits, delivery, .. }: &Sections<'_>) {
    let in_flight = ("limits.in_flight_max", &limits.in_flight_max);
    let per_broker = ("limits.per_broker_max", &limits.per_broker_max);
    let unsettled = ("limits.unsettled_max", &limits.unsettled_max);
    let concurrency = ("delivery.concurrency", &delivery.concurrency);
    findings.ordered(AtMost, per_broker, in_flight, &count(), "one broker's share is part of the whole");
    findings.ordered(AtMost, in_flight, unsettled, &count(), "what is in flight is unsettled");
    findings.ordered(AtMost, concurrency, per_broker, &count(), "what is on the wire is held in memory");
}

fn sizes(findings: &mut Findings<'_>, Sections { source, limits, .. }: &Sections<'_>) {
    let broker = ("limits.spill_broker_max", &limits.spill_broker_max);
    let total = ("limits.spill_total_max", &limits.spill_total_max);
    findings.ordered(AtMost, broker, total, &size(), "one broker's share is part of the whole");
    if let Some(source) = source {
        let record = ("source.record_max", &(source.record_max as u64));
        findings.ordered(AtMost, record, broker, &size(), "a record that does not fit could never spill");
        bodies(findings, source.record_max as u64, limits.memory_max);
        if let SourceKind::Http(http) = &source.kind {
            posts(findings, source.record_max, http);
        }
        if let SourceKind::Fluvio(fluvio) = &source.kind {
            let max_bytes = ("source.max_bytes", &(fluvio.max_bytes as u64));
            findings.ordered(
                Below,
                record,
                max_bytes,
                &size(),
                "a record is part of a batch, which has to fit",
            );
        }
    }
}

/// What is read back from disk has a part of the memory to itself, and one record must fit into it.
fn bodies(findings: &mut Findings<'_>, record_max: u64, memory_max: u64) {
    let (record, memory) = ("source.record_max", "limits.memory_max");
    let least = record_max * READS_SHARE as u64;
    if memory_max >= least || findings.has_problem(record) || findings.has_problem(memory) {
        return;
    }
    let key = if findings.is_given(memory) { memory } else { record };
    let value = if key == memory { memory_max } else { record_max };
    let problem = format!(
        "leaves no room for a record that is read back from disk: {memory} is {}, {record} is {}",
        show_size(memory_max),
        show_size(record_max)
    );
    let remedy = format!("give {memory} at least {}, {READS_SHARE} times {record}", show_size(least));
    findings.refuse(key, &show_size(value), Refusal::new(problem, remedy));
}

fn posts(findings: &mut Findings<'_>, record_max: usize, http: &HttpConfig) {
    let record = ("source.record_max", &(record_max as u64));
    let body = ("source.body_max", &(http.body_max as u64));
    let backlog_bytes = ("source.backlog_bytes_max", &http.backlog_bytes_max);
    findings.ordered(AtMost, record, body, &size(), "a record is part of a body");
    findings.ordered(
        AtMost,
        body,
        backlog_bytes,
        &size(),
        "a body that does not fit could never be accepted",
    );
    let records = ("source.records_max", &(http.records_max as u64));
    let backlog = ("source.backlog_max", &http.backlog_max);
    findings.ordered(AtMost, records, backlog, &count(), "a body that does not fit could never be accepted");
}

fn durations(findings: &mut Findings<'_>, sections: &Sections<'_>) {
    let Sections { source, state, dead_topic, delivery, retry, breaker, .. } = sections;
    if let Some(SourceConfig { kind: SourceKind::Fluvio(fluvio), .. }) = source {
        let min = ("source.backoff_min", &fluvio.backoff_min);
        let max = ("source.backoff_max", &fluvio.backoff_max);
        findings.ordered(AtMost, min, max, &DURATION, "pauses only grow");
    }
    if let Some(dead) = dead_topic {
        let min = ("dead_topic.backoff_min", &dead.backoff_min);
        let max = ("dead_topic.backoff_max", &dead.backoff_max);
        findings.ordered(AtMost, min, max, &DURATION, "pauses only grow");
    }
    let connect = ("delivery.connect_timeout", &delivery.connect_timeout);
    let timeout = ("delivery.timeout", &delivery.timeout);
    findings.ordered(Below, connect, timeout, &DURATION, "the connection is part of the exchange");

    let base = ("retry.base", &retry.base);
    let cap = ("retry.cap", &retry.cap);
    let age = ("retry.age_max", &retry.age_max);
    let in_place = ("retry.in_place_max", &retry.in_place_max);
    let retry_after = ("retry.retry_after_max", &retry.retry_after_max);
    findings.ordered(AtMost, base, cap, &DURATION, "pauses only grow");
    findings.ordered(AtMost, in_place, cap, &DURATION, "no pause is longer than the cap");
    findings.ordered(AtMost, cap, age, &DURATION, "a delivery would be too old after one pause");
    findings.ordered(AtMost, retry_after, age, &DURATION, "a delivery would be too old after one pause");

    let window = ("state.dedupe_window", &state.dedupe_window);
    findings.ordered(
        Below,
        age,
        window,
        &DURATION,
        "the ledger must not forget a delivery that is still tried",
    );

    let open_min = ("breaker.open_min", &breaker.open_min);
    let open_max = ("breaker.open_max", &breaker.open_max);
    findings.ordered(AtMost, open_min, open_max, &DURATION, "the first pause is the shortest");
}
