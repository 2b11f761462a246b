//! The relations between values of different keys, each with its reason; checked once, at start.

use super::{
    BreakerConfig, BrokerConfig, DeadCluster, DeadTopicConfig, DeliveryConfig, HttpConfig, LimitsConfig,
    RetryConfig, SchemaConfig, SourceConfig, SourceKind, StateConfig, SubscriptionsConfig,
    findings::{
        Findings,
        Order::{AtMost, Below},
    },
    follow,
    problem::Refusal,
    units::{DURATION, count, show_duration, show_size, size},
};
use kafka_engine::{FetchOptions, Framing, GroupProtocol, Reading};
use line::READS_SHARE;

/// The sections with relations between them.
pub(super) struct Sections<'c> {
    pub(super) source: Option<&'c SourceConfig>,
    pub(super) state: &'c StateConfig,
    pub(super) dead_topic: Option<&'c DeadTopicConfig>,
    pub(super) limits: &'c LimitsConfig,
    pub(super) delivery: &'c DeliveryConfig,
    pub(super) retry: &'c RetryConfig,
    pub(super) breaker: &'c BreakerConfig,
    pub(super) subscriptions: Option<&'c SubscriptionsConfig>,
}

/// Reports every relation that does not hold.
pub(super) fn check(findings: &mut Findings<'_>, sections: &Sections<'_>) {
    counts(findings, sections);
    sizes(findings, sections);
    durations(findings, sections);
    topics(findings, sections);
    follow::check(findings, sections.source.map(|source| &source.kind), sections.state.follow.as_ref());
}

/// What the schema asks of the source: the header of the event's id, and CloudEvents whose attributes are headers.
pub(super) fn schema(findings: &mut Findings<'_>, source: &mut SourceConfig, schema: &SchemaConfig) {
    let id_header = schema.schema().id_header().map(str::to_owned);
    match &mut source.kind {
        SourceKind::Kafka(kafka) => {
            kafka.id_header = id_header;
            if schema.cloud_events && !findings.is_given("source.framing") {
                kafka.framing = Framing::CloudEvents;
            }
        }
        SourceKind::Http(_) | SourceKind::File { .. } | SourceKind::Stdin | SourceKind::Fluvio(_) => {}
    }
    if let (Some(header), false) = (schema.schema().id_header(), matches!(source.kind, SourceKind::Kafka(_)))
    {
        let problem = "names a header, and this source has none that are kept";
        let remedy = "name a value of the record, or \"digest\"; headers are those of Kafka records";
        findings.refuse("schema.event_id", &format!("header:{header}"), Refusal::new(problem, remedy));
    }
}

/// A topic with its own dead letters would never end.
fn topics(findings: &mut Findings<'_>, Sections { source, dead_topic, .. }: &Sections<'_>) {
    let (Some(source), Some(dead)) = (source, dead_topic) else { return };
    let same = match (&source.kind, &dead.cluster) {
        (SourceKind::Fluvio(source), DeadCluster::Fluvio(cluster)) => {
            dead.topic == source.topic && cluster.endpoint.eq_ignore_ascii_case(&source.cluster.endpoint)
        }
        (SourceKind::Kafka(source), DeadCluster::Kafka(cluster)) => {
            let is_there =
                |broker: &String| cluster.bootstrap.iter().any(|other| other.eq_ignore_ascii_case(broker));
            dead.topic == source.topic && source.cluster.bootstrap.iter().any(is_there)
        }
        _ => false,
    };
    if same && !findings.has_problem("source") {
        let problem = "is the topic that is read: every dead letter would be read, and become another";
        findings.refuse("dead_topic.topic", &dead.topic, Refusal::new(problem, "name another topic"));
    }
}

/// Whoever has to give a partition up ends what is on the wire and commits before it may go on: it must not be put out of
/// the group for that.
pub(super) fn group(
    findings: &mut Findings<'_>,
    (source, state): (Option<&SourceConfig>, &StateConfig),
    delivery: &DeliveryConfig,
    brokers: &[BrokerConfig],
) {
    let Some(SourceConfig { kind: SourceKind::Kafka(kafka), .. }) = source else { return };
    let Reading::Group(group) = &kafka.reading else { return };
    let (poll, session) = ("source.max_poll_interval", "source.session_timeout");
    if group.protocol == GroupProtocol::Classic {
        let small = (session, &group.session_timeout);
        let why = "a member that is silent is put out before one that is slow";
        findings.ordered(Below, small, (poll, &group.max_poll_interval), &DURATION, why);
    }
    let timeouts =
        brokers.iter().enumerate().map(|(n, broker)| (format!("brokers[{n}].timeout"), broker.timeout));
    let own = timeouts.filter(|(key, _)| findings.is_given(key)).max_by_key(|(_, timeout)| *timeout);
    let (exchange, longest) = own
        .filter(|(_, timeout)| *timeout > delivery.timeout)
        .unwrap_or(("delivery.timeout".to_owned(), delivery.timeout));
    // The state topics are told of it as well.
    let (answers, asked) = if state.follow.is_some() {
        (2, "a commit and the state topics may take together")
    } else {
        (1, "a commit may take")
    };
    let (commit, commits) = ("source.connect_timeout", kafka.cluster.timeout * answers);
    let keys = [poll, &exchange, commit];
    if longest + commits < group.max_poll_interval || keys.iter().any(|key| findings.has_problem(key)) {
        return;
    }
    let key = keys.into_iter().find(|key| findings.is_given(key)).unwrap_or(poll);
    let [interval, longest, commits] = [group.max_poll_interval, longest, commits].map(show_duration);
    let value = match key {
        key if key == poll => &interval,
        key if key == commit => &commits,
        _ => &longest,
    };
    let problem = format!(
        "leaves too little time to give a partition up: {exchange} is {longest} and {commit}, which {asked}, is \
         {commits}; together they must be less than {poll}, which is {interval}"
    );
    findings.refuse(key, value, Refusal::new(problem, format!("raise {poll}, or lower one of the others")));
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
        if let SourceKind::Kafka(kafka) = &source.kind {
            fetches(findings, record, &kafka.fetch);
        }
    }
}

fn fetches(findings: &mut Findings<'_>, record: (&str, &u64), fetch: &FetchOptions) {
    let partition = ("source.fetch_partition_max", &(fetch.partition_max as u64));
    let queue = ("source.fetch_queue_max", &(fetch.queue_max as u64));
    findings.ordered(AtMost, record, partition, &size(), "a record is part of a response, which has to fit");
    findings.ordered(AtMost, partition, queue, &size(), "a response is part of what is kept ahead");
}

/// A part of the memory is reserved for reading back from disk, and one record must fit into it.
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
    let Sections { source, state, dead_topic, delivery, retry, breaker, subscriptions, .. } = sections;
    let backoff = source.and_then(|source| match &source.kind {
        SourceKind::Fluvio(fluvio) => Some((&fluvio.backoff_min, &fluvio.backoff_max)),
        SourceKind::Kafka(kafka) => Some((&kafka.cluster.backoff_min, &kafka.cluster.backoff_max)),
        SourceKind::File { .. } | SourceKind::Stdin | SourceKind::Http(_) => None,
    });
    if let Some((min, max)) = backoff {
        let (min, max) = (("source.backoff_min", min), ("source.backoff_max", max));
        findings.ordered(AtMost, min, max, &DURATION, "pauses only grow");
    }
    if let Some(dead) = dead_topic {
        let min = ("dead_topic.backoff_min", &dead.backoff_min);
        let max = ("dead_topic.backoff_max", &dead.backoff_max);
        findings.ordered(AtMost, min, max, &DURATION, "pauses only grow");
    }
    if let Some(SubscriptionsConfig { options, .. }) = subscriptions {
        let min = ("subscriptions.backoff_min", &options.backoff_min);
        let max = ("subscriptions.backoff_max", &options.backoff_max);
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
