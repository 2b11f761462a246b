//! Compares the settings that cannot change while a process runs: a problem for each such key that differs.
//!
//! Guarantee: every key of these sections is compared, or the code does not compile. A reload applies all others:
//! `[[brokers]]`, with `delivery.timeout`, `delivery.concurrency` and `delivery.proxy`, which are only defaults of theirs,
//! `[schema]`, `[rules]` and `log.level`.

use stages::Egress;

use crate::config::{
    AdminConfig, AdminListen, BreakerConfig, Config, DeadCluster, DeadTopicConfig, DeliveryConfig,
    HttpConfig, LimitsConfig, LogConfig, Problem, RetryConfig, Secret, SourceConfig, SourceKind, StateConfig,
    SubscriptionsConfig, TelemetryConfig,
};
use fluvio_engine::{ClusterOptions, FluvioOptions};
use kafka_engine::{FetchOptions, GroupOptions, KafkaOptions, Reading, SaslOptions};
use subscriptions::{LastKnownOptions, Options};

/// The problems so far.
#[derive(Default)]
struct Differences(Vec<Problem>);

impl Differences {
    fn key<T: PartialEq>(&mut self, key: &str, old: &T, new: &T) {
        if old != new {
            self.0.push(Problem {
                key: key.to_owned(),
                broker: None,
                line: None,
                value: None,
                problem: "is not what the process was started with, and needs a restart".to_owned(),
                remedy: "restart it, or put the key back and reload the rest".to_owned(),
            });
        }
    }
}

/// Compares every field of a section, under its own name.
macro_rules! compare {
    ($into:ident, $section:literal, $old:expr, $new:expr, $Section:ident { $($field:ident),* $(, ..$($rest:ident),+)? }) => {
        let $Section { $($field,)* $($($rest: _),+)? } = $old;
        $($into.key(concat!($section, ".", stringify!($field)), $field, &$new.$field);)*
    };
}

/// Every key that differs between `old` and `new` and cannot change while the process runs.
pub(super) fn differences(old: &Config, new: &Config) -> Vec<Problem> {
    let mut found = Differences::default();
    source(&mut found, &old.source, &new.source);
    compare!(
        found,
        "state",
        &old.state,
        &new.state,
        StateConfig { dir, durability, dedupe_window, cache, commit_max, linger, commit_timeout, follow }
    );
    admin(&mut found, old, new);
    compare!(
        found,
        "limits",
        &old.limits,
        &new.limits,
        LimitsConfig {
            in_flight_max,
            memory_max,
            per_broker_max,
            unsettled_max,
            spill_after,
            spill_broker_max,
            spill_total_max,
            full_letters_max,
            grace,
            drain,
            shards,
            // Only a default for brokers, which are compared by themselves.
            ..when_full
        }
    );
    delivery(&mut found, &old.delivery, &new.delivery);
    compare!(
        found,
        "retry",
        &old.retry,
        &new.retry,
        RetryConfig {
            base,
            cap,
            attempts_max,
            age_max,
            retry_after_max,
            in_place_max,
            budget_ratio,
            budget_min_per_second
        }
    );
    compare!(found, "breaker", &old.breaker, &new.breaker, BreakerConfig { failures, open_min, open_max });
    compare!(
        found,
        "telemetry",
        &old.telemetry,
        &new.telemetry,
        TelemetryConfig { endpoint, headers, service_name, sample_ratio, interval, timeout, queue_max }
    );
    dead_topic(&mut found, old.dead_topic.as_ref(), new.dead_topic.as_ref());
    database(&mut found, old.subscriptions.as_ref(), new.subscriptions.as_ref());
    let LogConfig { format, level: _ } = &old.log;
    found.key("log.format", format, &new.log.format);
    found.0
}

fn database(found: &mut Differences, old: Option<&SubscriptionsConfig>, new: Option<&SubscriptionsConfig>) {
    let (Some(old), Some(new)) = (old, new) else {
        return found.key("subscriptions.source", &old.is_some(), &new.is_some());
    };
    let SubscriptionsConfig { options, secret_prefixes } = old;
    found.key("subscriptions.secret_prefixes", secret_prefixes, &new.secret_prefixes);
    compare!(
        found,
        "subscriptions",
        options,
        &new.options,
        Options {
            connection,
            tls,
            connect_timeout,
            statement_timeout,
            backoff_min,
            backoff_max,
            block_max,
            poll,
            lookup_query,
            brokers_query,
            ..last_known
        }
    );
    let (old, new) = (options.last_known, new.options.last_known);
    found.key("subscriptions.on_outage", &old.is_some(), &new.is_some());
    if let (Some(old), Some(new)) = (old, new) {
        let LastKnownOptions { age_max, memory_max } = old;
        found.key("subscriptions.last_known_age_max", &age_max, &new.age_max);
        found.key("subscriptions.last_known_memory_max", &memory_max, &new.memory_max);
    }
}

fn source(found: &mut Differences, old: &SourceConfig, new: &SourceConfig) {
    let SourceConfig { kind, record_max } = old;
    found.key("source.record_max", record_max, &new.record_max);
    match (kind, &new.kind) {
        (
            SourceKind::File { path, follow, poll, rotated, on_unknown },
            SourceKind::File { path: at, follow: follows, poll: every, rotated: names, on_unknown: unknown },
        ) => {
            found.key("source.path", path, at);
            found.key("source.follow", follow, follows);
            found.key("source.poll", poll, every);
            found.key("source.rotated", rotated, names);
            found.key("source.on_unknown", on_unknown, unknown);
        }
        (SourceKind::Http(old), SourceKind::Http(new)) => http(found, old, new),
        (SourceKind::Fluvio(old), SourceKind::Fluvio(new)) => fluvio(found, old, new),
        (SourceKind::Kafka(old), SourceKind::Kafka(new)) => kafka(found, old, new),
        (SourceKind::Stdin, SourceKind::Stdin) => {}
        _ => found.key("source.kind", &0, &1),
    }
}

fn http(found: &mut Differences, old: &HttpConfig, new: &HttpConfig) {
    compare!(
        found,
        "source",
        old,
        new,
        HttpConfig {
            listen,
            body_max,
            records_max,
            backlog_max,
            backlog_bytes_max,
            retention,
            connections_max,
            strangers_max,
            strangers_timeout,
            idle_timeout,
            body_timeout,
            strict,
            ..token
        }
    );
    found.key("source.token", &text(&old.token), &text(&new.token));
}

fn fluvio(found: &mut Differences, old: &FluvioOptions, new: &FluvioOptions) {
    compare!(
        found,
        "source",
        old,
        new,
        FluvioOptions {
            topic,
            partitions,
            start,
            isolation,
            max_bytes,
            stall_after,
            connect_timeout,
            backoff_min,
            backoff_max,
            ..cluster,
            mirror,
            record_max
        }
    );
    cluster_of(found, "source", &old.cluster, &new.cluster);
    found.key("source.mirror_offsets", &old.mirror.is_some(), &new.mirror.is_some());
}

fn kafka(found: &mut Differences, old: &KafkaOptions, new: &KafkaOptions) {
    compare!(
        found,
        "source",
        old,
        new,
        KafkaOptions {
            topic,
            start,
            isolation,
            on_loss,
            framing,
            commit_every,
            ..id_header,
            cluster,
            reading,
            fetch,
            record_max
        }
    );
    found.key("schema.event_id", &old.id_header, &new.id_header);
    kafka_cluster(found, "source", &old.cluster, &new.cluster);
    found.key("source.connect_timeout", &old.cluster.timeout, &new.cluster.timeout);
    found.key("source.backoff_min", &old.cluster.backoff_min, &new.cluster.backoff_min);
    found.key("source.backoff_max", &old.cluster.backoff_max, &new.cluster.backoff_max);
    let FetchOptions { partition_max, queue_max, wait_max } = &old.fetch;
    found.key("source.fetch_partition_max", partition_max, &new.fetch.partition_max);
    found.key("source.fetch_queue_max", queue_max, &new.fetch.queue_max);
    found.key("source.fetch_wait", wait_max, &new.fetch.wait_max);
    match (&old.reading, &new.reading) {
        (Reading::Group(old), Reading::Group(new)) => {
            let GroupOptions { id, protocol, instance_id, session_timeout, max_poll_interval } = old;
            found.key("source.group", id, &new.id);
            found.key("source.group_protocol", protocol, &new.protocol);
            found.key("source.instance_id", instance_id, &new.instance_id);
            found.key("source.session_timeout", session_timeout, &new.session_timeout);
            found.key("source.max_poll_interval", max_poll_interval, &new.max_poll_interval);
        }
        (Reading::Partitions(old), Reading::Partitions(new)) => found.key("source.partitions", old, new),
        _ => found.key("source.group", &0, &1),
    }
}

/// Compares where a cluster is and how it is spoken to; how long it is waited for has a section's own keys.
fn kafka_cluster(
    found: &mut Differences,
    section: &str,
    old: &kafka_engine::ClusterOptions,
    new: &kafka_engine::ClusterOptions,
) {
    let kafka_engine::ClusterOptions {
        bootstrap,
        tls,
        sasl,
        properties,
        timeout: _,
        backoff_min: _,
        backoff_max: _,
    } = old;
    found.key(&format!("{section}.bootstrap"), bootstrap, &new.bootstrap);
    found.key(&format!("{section}.tls"), tls, &new.tls);
    found.key(&format!("{section}.properties"), properties, &new.properties);
    let (Some(SaslOptions { mechanism, username, password }), Some(new)) = (sasl, &new.sasl) else {
        return found.key(&format!("{section}.sasl"), &sasl.is_some(), &new.sasl.is_some());
    };
    found.key(&format!("{section}.sasl"), mechanism, &new.mechanism);
    found.key(&format!("{section}.username"), username, &new.username);
    found.key(&format!("{section}.password"), password, &new.password);
}

fn cluster_of(found: &mut Differences, section: &str, old: &ClusterOptions, new: &ClusterOptions) {
    let ClusterOptions { endpoint, tls } = old;
    found.key(&format!("{section}.endpoint"), endpoint, &new.endpoint);
    found.key(&format!("{section}.tls"), tls, &new.tls);
}

fn admin(found: &mut Differences, old: &Config, new: &Config) {
    let AdminConfig { listen, token } = &old.admin;
    // Where a socket stands follows `state.dir`, which is compared by itself.
    let place = |listen: &AdminListen, config: &Config| match listen {
        AdminListen::Socket(path) => {
            AdminListen::Socket(path.strip_prefix(&config.state.dir).unwrap_or(path).to_owned())
        }
        AdminListen::Off | AdminListen::Address(_) => listen.clone(),
    };
    found.key("admin.listen", &place(listen, old), &place(&new.admin.listen, new));
    found.key("admin.token", &text(token), &text(&new.admin.token));
}

fn dead_topic(found: &mut Differences, old: Option<&DeadTopicConfig>, new: Option<&DeadTopicConfig>) {
    let (Some(old), Some(new)) = (old, new) else {
        return found.key("dead_topic", &old.is_some(), &new.is_some());
    };
    let DeadTopicConfig { cluster, topic, value_max, timeout, backoff_min, backoff_max, grace } = old;
    match (cluster, &new.cluster) {
        (DeadCluster::Fluvio(old), DeadCluster::Fluvio(new)) => cluster_of(found, "dead_topic", old, new),
        (DeadCluster::Kafka(old), DeadCluster::Kafka(new)) => kafka_cluster(found, "dead_topic", old, new),
        (DeadCluster::Fluvio(_), DeadCluster::Kafka(_)) => found.key("dead_topic.bootstrap", &0, &1),
        (DeadCluster::Kafka(_), DeadCluster::Fluvio(_)) => found.key("dead_topic.endpoint", &0, &1),
    }
    found.key("dead_topic.topic", topic, &new.topic);
    found.key("dead_topic.value_max", value_max, &new.value_max);
    found.key("dead_topic.timeout", timeout, &new.timeout);
    found.key("dead_topic.backoff_min", backoff_min, &new.backoff_min);
    found.key("dead_topic.backoff_max", backoff_max, &new.backoff_max);
    found.key("dead_topic.grace", grace, &new.grace);
}

fn delivery(found: &mut Differences, old: &DeliveryConfig, new: &DeliveryConfig) {
    let DeliveryConfig {
        concurrency: _,
        timeout: _,
        connect_timeout,
        idle_timeout,
        connection_age_max,
        response_max,
        egress,
        ca_file,
        // Only a default for brokers, which are compared by themselves.
        proxy: _,
    } = old;
    found.key("delivery.connect_timeout", connect_timeout, &new.connect_timeout);
    found.key("delivery.idle_timeout", idle_timeout, &new.idle_timeout);
    found.key("delivery.connection_age_max", connection_age_max, &new.connection_age_max);
    found.key("delivery.response_max", response_max, &new.response_max);
    let Egress { allow_http, allow_networks, allow_ports, own_networks: _ } = egress;
    found.key("delivery.allow_http", allow_http, &new.egress.allow_http);
    found.key("delivery.allow_networks", allow_networks, &new.egress.allow_networks);
    found.key("delivery.allow_ports", allow_ports, &new.egress.allow_ports);
    found.key("delivery.ca_file", ca_file, &new.ca_file);
}

fn text(secret: &Option<Secret>) -> Option<&str> {
    secret.as_ref().map(Secret::expose)
}
