//! A topic as a target: `HOST:PORT/TOPIC` behind the name of its kind of cluster, or the topic that the config's source
//! reads, and what a producer needs to know of it.

use std::time::Duration;

use fluvio_engine::{
    ClusterOptions, FluvioOptions,
    produce::{BATCH_BYTES, ProduceOptions},
};
use kafka_engine::{KafkaOptions, produce as kafka};
use service::config::{is_endpoint, is_fluvio_topic, is_kafka_topic};

/// A kind of cluster, as a target names it.
#[derive(Debug)]
pub struct Scheme {
    name: &'static str,
    example: &'static str,
    takes: fn(&str) -> bool,
    names: &'static str,
}

/// A Fluvio cluster.
pub const FLUVIO: Scheme = Scheme {
    name: "fluvio",
    example: "fluvio:127.0.0.1:9003/shipment-events",
    takes: is_fluvio_topic,
    names: "1 to 63 of a to z, 0 to 9 and -",
};

/// A Kafka cluster.
pub const KAFKA: Scheme = Scheme {
    name: "kafka",
    example: "kafka:127.0.0.1:9092/shipment-events",
    takes: is_kafka_topic,
    names: "1 to 249 of letters, digits, ., _ and -",
};

/// A topic of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicAt {
    /// The public address of Fluvio's controller or of one of Kafka's brokers: host and port.
    pub endpoint: String,
    /// The topic.
    pub topic: String,
}

/// Why it is not known which topic is meant.
#[derive(Debug, thiserror::Error)]
pub enum TopicFault {
    /// There is no topic.
    #[error(
        "--target {}:{text} names no topic: give it like {}, or {}: alone for the one the config reads",
        .scheme.name, .scheme.example, .scheme.name
    )]
    Incomplete {
        /// The kind of cluster.
        scheme: &'static Scheme,
        /// What was given.
        text: String,
    },
    /// The address is none.
    #[error("--target {}:…: {text:?} is not a host and a port; give them like {}", .scheme.name, .scheme.example)]
    Endpoint {
        /// The kind of cluster.
        scheme: &'static Scheme,
        /// What was given.
        text: String,
    },
    /// No cluster takes the name.
    #[error("--target {}:…: {text:?} is not a topic's name; give {}", .scheme.name, .scheme.names)]
    Name {
        /// The kind of cluster.
        scheme: &'static Scheme,
        /// What was given.
        text: String,
    },
    /// The config reads no topic.
    #[error(
        "--target {}: means the topic the config reads, and it reads none of such a cluster; give a config with source.kind = \"{}\", or {}",
        .0.name, .0.name, .0.example
    )]
    NoSource(&'static Scheme),
    /// Without the source's settings it is not known how the cluster is spoken to.
    #[error(
        "--target kafka:HOST:PORT/TOPIC takes TLS, password and times from a config with source.kind = \"kafka\", and this one has another source"
    )]
    NoSettings,
}

impl TopicAt {
    /// Reads `HOST:PORT/TOPIC`.
    ///
    /// # Errors
    /// [`TopicFault`].
    pub fn parse(text: &str, scheme: &'static Scheme) -> Result<Self, TopicFault> {
        let incomplete = || TopicFault::Incomplete { scheme, text: text.to_owned() };
        let (endpoint, topic) = text.split_once('/').ok_or_else(incomplete)?;
        if !is_endpoint(endpoint) {
            return Err(TopicFault::Endpoint { scheme, text: endpoint.to_owned() });
        }
        if !(scheme.takes)(topic) {
            return Err(TopicFault::Name { scheme, text: topic.to_owned() });
        }
        Ok(Self { endpoint: endpoint.to_owned(), topic: topic.to_owned() })
    }
}

/// How to produce to the topic that is named, or else to the one that `source` reads. Connections are encrypted as those
/// of `source` are.
///
/// # Errors
/// [`TopicFault::NoSource`].
pub fn produce_options(
    named: Option<&TopicAt>,
    source: Option<&FluvioOptions>,
    timeout: Duration,
) -> Result<ProduceOptions, TopicFault> {
    let (cluster, topic) = match (named, source) {
        (None, None) => return Err(TopicFault::NoSource(&FLUVIO)),
        (None, Some(source)) => (source.cluster.clone(), source.topic.clone()),
        (Some(TopicAt { endpoint, topic }), source) => {
            let tls = source.and_then(|source| source.cluster.tls.clone());
            (ClusterOptions { endpoint: endpoint.clone(), tls }, topic.clone())
        }
    };
    Ok(ProduceOptions { cluster, topic, batch_bytes: BATCH_BYTES, timeout })
}

/// The same for a topic of a Kafka cluster.
///
/// # Errors
/// [`TopicFault::NoSource`], or [`TopicFault::NoSettings`] if `source` is none.
pub fn kafka_options(
    named: Option<&TopicAt>,
    source: Option<&KafkaOptions>,
    timeout: Duration,
) -> Result<kafka::ProduceOptions, TopicFault> {
    let source = match (named, source) {
        (_, Some(source)) => source,
        (None, None) => return Err(TopicFault::NoSource(&KAFKA)),
        (Some(_), None) => return Err(TopicFault::NoSettings),
    };
    let (mut cluster, mut topic) = (source.cluster.clone(), source.topic.clone());
    if let Some(named) = named {
        (cluster.bootstrap, topic) = (vec![named.endpoint.clone()], named.topic.clone());
    }
    Ok(kafka::ProduceOptions {
        cluster,
        topic,
        batch_bytes: kafka::BATCH_BYTES,
        record_max: source.record_max,
        timeout,
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use fluvio_engine::{Isolation, Partitions, Start, TlsOptions};

    #[test]
    fn a_topic_stands_behind_an_address_and_what_is_wrong_is_named() {
        let there = |endpoint: &str| TopicAt { endpoint: endpoint.to_owned(), topic: "events".to_owned() };
        assert_eq!(TopicAt::parse("127.0.0.1:9003/events", &FLUVIO).unwrap(), there("127.0.0.1:9003"));
        assert_eq!(TopicAt::parse("[::1]:9003/events", &FLUVIO).unwrap(), there("[::1]:9003"));
        for (wrong, value) in [
            ("127.0.0.1:9003", "127.0.0.1:9003"),
            ("events", "events"),
            ("127.0.0.1/events", "127.0.0.1"),
            ("//127.0.0.1:9003/events", "\"\""),
            ("127.0.0.1:0/events", "127.0.0.1:0"),
            ("127.0.0.1:9003/", "\"\""),
            ("127.0.0.1:9003/Events", "Events"),
            ("127.0.0.1:9003/a/b", "a/b"),
        ] {
            let fault = TopicAt::parse(wrong, &FLUVIO).unwrap_err().to_string();
            assert!(fault.contains(value) && fault.contains("give"), "{wrong}: {fault}");
        }
        let kafka = TopicAt::parse("127.0.0.1:9092/Shipment.Events_1", &KAFKA).unwrap();
        assert_eq!(kafka.topic, "Shipment.Events_1");
    }

    #[test]
    fn the_configs_own_topic_is_meant_unless_another_is_named_and_its_certificates_hold_for_both() {
        let tls = TlsOptions {
            domain: "fluvio.example".to_owned(),
            ca_file: PathBuf::from("ca"),
            client: None,
            handshake_timeout: Duration::from_secs(1),
        };
        let source = FluvioOptions {
            cluster: ClusterOptions { endpoint: "fluvio.example:9003".to_owned(), tls: Some(tls.clone()) },
            topic: "own".to_owned(),
            partitions: Partitions::All,
            start: Start::Beginning,
            isolation: Isolation::Committed,
            max_bytes: 1 << 20,
            stall_after: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(1),
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(1),
            mirror: None,
            record_max: 1 << 20,
        };
        let named = TopicAt { endpoint: "127.0.0.1:9003".to_owned(), topic: "other".to_owned() };
        let of = |named, source| produce_options(named, source, Duration::from_secs(9)).unwrap();
        let own = of(None, Some(&source));
        assert_eq!(
            (&own.cluster, &*own.topic, own.timeout),
            (&source.cluster, "own", Duration::from_secs(9))
        );
        let other = of(Some(&named), Some(&source));
        assert_eq!((&*other.cluster.endpoint, &*other.topic), ("127.0.0.1:9003", "other"));
        assert_eq!(other.cluster.tls, Some(tls));
        assert_eq!(of(Some(&named), None).cluster.tls, None);
        assert!(matches!(produce_options(None, None, Duration::ZERO), Err(TopicFault::NoSource(_))));
    }
}
