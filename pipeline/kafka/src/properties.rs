//! Which of librdkafka's properties a site may set, and why not the others.
//!
//! Everything that a promise rests on is Loadline's own to set, or another key's of the config. What is left tunes
//! buffers, sockets and retries. A secret is never a property: properties stand in the config as they are.

use std::collections::BTreeMap;

/// What Loadline sets itself, and what would break otherwise.
const OWN: [(&str, &str); 36] = [
    ("enable.auto.commit", "offsets are committed only over what is settled"),
    ("auto.commit.interval.ms", "offsets are committed only over what is settled: set source.commit_every"),
    ("auto.commit.enable", "offsets are committed only over what is settled"),
    ("enable.auto.offset.store", "offsets are committed only over what is settled"),
    ("offset.store.method", "offsets are committed to the group only"),
    ("offset.store.path", "offsets are committed to the group only"),
    (
        "auto.offset.reset",
        "a lost place is named and never left silently: set source.start and source.on_loss",
    ),
    ("enable.partition.eof", "it tells that all has been read"),
    ("check.crcs", "records are checked on arrival"),
    ("consume.callback.max.messages", "records are taken one by one, as the line has room"),
    ("rebalance_cb", "partitions are given up only when they are settled"),
    ("offset_commit_cb", "a refused commit must be seen"),
    ("group.remote.assignor", "partitions must move one by one"),
    ("partition.assignment.strategy", "partitions must move one by one: cooperative-sticky, of all members"),
    ("topic.metadata.propagation.max.ms", "a node that has come back may not know a topic for long"),
    ("allow.auto.create.topics", "a misspelt topic would be made: create it with the cluster's tools"),
    ("topic.blacklist", "one topic is read: set source.topic"),
    ("enable.random.seed", "it is the process's own affair"),
    ("statistics.interval.ms", "nobody reads these statistics: see the metrics"),
    ("debug", "the log is Loadline's: set the level of librdkafka in log.level"),
    ("log_level", "the log is Loadline's: set the level of librdkafka in log.level"),
    ("log.queue", "the log is Loadline's: set the level of librdkafka in log.level"),
    ("background_event_cb", "events are served by one thread"),
    ("plugin.library.paths", "a plugin could change every promise"),
    ("ssl.engine.location", "an engine is a library of its own"),
    ("ssl.providers", "a provider is a library of its own"),
    ("enable.idempotence", "order per load, and once to the topic, rest on it"),
    ("acks", "what is written must outlive a broker"),
    ("request.required.acks", "what is written must outlive a broker"),
    ("max.in.flight", "order per load rests on it"),
    ("max.in.flight.requests.per.connection", "order per load rests on it"),
    ("partitioner", "order per load rests on it: one partition for each load, by every producer's rule"),
    ("transactional.id", "nothing is written in transactions"),
    ("delivery.report.only.error", "what has been written must be known"),
    ("internal.termination.signal", "signals are the process's own affair"),
    ("test.mock.num.brokers", "it makes a cluster that keeps nothing"),
];

/// What another key of the config sets.
const KEYS: [(&str, &str); 24] = [
    ("bootstrap.servers", "set source.bootstrap"),
    ("metadata.broker.list", "set source.bootstrap"),
    ("group.id", "set source.group"),
    ("group.instance.id", "set source.instance_id"),
    ("group.protocol", "set source.group_protocol"),
    ("session.timeout.ms", "set source.session_timeout"),
    ("max.poll.interval.ms", "set source.max_poll_interval"),
    ("isolation.level", "set source.isolation"),
    ("security.protocol", "set source.tls and source.sasl"),
    ("sasl.mechanism", "set source.sasl"),
    ("sasl.mechanisms", "set source.sasl"),
    ("sasl.username", "set source.username"),
    ("sasl.password", "set source.password, which is kept out of the log"),
    ("ssl.ca.location", "set source.tls_ca_file"),
    ("ssl.ca.pem", "set source.tls_ca_file"),
    ("ssl.certificate.location", "set source.tls_cert_file"),
    ("ssl.certificate.pem", "set source.tls_cert_file"),
    ("ssl.key.location", "set source.tls_key_file"),
    ("ssl.key.pem", "set source.tls_key_file, which is kept out of the log"),
    ("fetch.message.max.bytes", "set source.fetch_partition_max"),
    ("max.partition.fetch.bytes", "set source.fetch_partition_max"),
    ("queued.max.messages.kbytes", "set source.fetch_queue_max"),
    ("fetch.wait.max.ms", "set source.fetch_wait"),
    ("enable.ssl.certificate.verification", "a cluster is known by its certificate: set source.tls_ca_file"),
];

/// Why a site may not set the property `name`; none if it may. Case and surrounding space do not count.
#[must_use]
pub fn refused_property(name: &str) -> Option<&'static str> {
    let name = name.trim().to_ascii_lowercase();
    let listed = OWN.iter().chain(&KEYS).find(|(refused, _)| *refused == name).map(|(_, reason)| *reason);
    listed.or_else(|| refused_family(&name))
}

fn refused_family(name: &str) -> Option<&'static str> {
    if name.starts_with("sasl.") {
        return Some(
            "set source.sasl, source.username and source.password: other mechanisms are not built in",
        );
    }
    if ["ssl.ca.", "ssl.certificate.", "ssl.key.", "ssl.keystore.", "ssl_"]
        .iter()
        .any(|tls| name.starts_with(tls))
    {
        return Some(
            "set source.tls_ca_file, source.tls_cert_file and source.tls_key_file; the key has no password",
        );
    }
    if name.ends_with("_cb") {
        return Some("only a program can set it");
    }
    ["password", "passphrase", "secret"]
        .iter()
        .any(|word| name.contains(word))
        .then_some("a secret must not stand in the config")
}

/// What librdkafka itself has against `properties`, each under its name: one that it does not know, a value out of its
/// bounds. Asks no cluster; empty in a build without a client.
#[must_use]
pub fn invalid_properties(properties: &BTreeMap<String, String>) -> Vec<(String, String)> {
    properties.iter().filter_map(|(name, value)| Some((name.clone(), invalid(name, value)?))).collect()
}

#[cfg(feature = "client")]
fn invalid(name: &str, value: &str) -> Option<String> {
    use rdkafka::{ClientConfig, error::KafkaError};
    match ClientConfig::new().set(name, value).create_native_config() {
        Ok(_) => None,
        Err(KafkaError::ClientConfig(_, words, _, _)) => Some(words),
        Err(other) => Some(other.to_string()),
    }
}

#[cfg(not(feature = "client"))]
fn invalid(_name: &str, _value: &str) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_promise_rests_on_is_refused_and_the_rest_is_the_sites() {
        for own in [
            "enable.auto.commit",
            "Auto.Offset.Reset ",
            "group.id",
            "ssl.key.pem",
            "ssl.key.password",
            "sasl.password",
            "sasl.oauthbearer.config",
            "partitioner",
            "rebalance_cb",
        ] {
            assert!(refused_property(own).is_some(), "{own}");
        }
        for free in ["socket.keepalive.enable", "client.rack", "fetch.min.bytes", "ssl.cipher.suites"] {
            assert_eq!(refused_property(free), None, "{free}");
        }
    }

    #[test]
    fn every_reason_stands_once() {
        let names: std::collections::BTreeSet<_> = OWN.iter().chain(&KEYS).map(|(name, _)| name).collect();
        assert_eq!(names.len(), OWN.len() + KEYS.len());
        assert!(names.iter().all(|name| **name == name.to_ascii_lowercase()));
    }

    #[cfg(feature = "client")]
    #[test]
    fn librdkafka_is_asked_about_names_and_values() {
        let properties = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        assert_eq!(invalid_properties(&properties("client.rack", "eu-1a")), []);
        let unknown = invalid_properties(&properties("client.rak", "eu-1a"));
        assert!(unknown.len() == 1 && unknown[0].1.contains("client.rak"), "{unknown:?}");
        let beyond = invalid_properties(&properties("socket.timeout.ms", "1"));
        assert!(beyond.len() == 1 && beyond[0].0 == "socket.timeout.ms", "{beyond:?}");
    }
}
