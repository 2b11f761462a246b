//! A topic as a target: `HOST:PORT/TOPIC` and the config's source enter, what the producer needs to know leaves.

use std::time::Duration;

use crate::{
    config::{is_endpoint, is_topic},
    produce::{BATCH_BYTES, ProduceOptions},
    source::{ClusterOptions, FluvioOptions},
};

/// A topic of a Fluvio cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicAt {
    /// The controller's public address: host and port.
    pub endpoint: String,
    /// The topic.
    pub topic: String,
}

/// Why it is not known which topic is meant.
#[derive(Debug, thiserror::Error)]
pub enum TopicFault {
    /// There is no topic.
    #[error(
        "--target fluvio:{0} names no topic: give it like fluvio:127.0.0.1:9003/shipment-events, or fluvio: alone for the one the config reads"
    )]
    Incomplete(String),
    /// The address is none.
    #[error(
        "--target fluvio:…: {0:?} is not a host and a port; give the controller's, like fluvio:127.0.0.1:9003/shipment-events"
    )]
    Endpoint(String),
    /// No cluster takes the name.
    #[error("--target fluvio:…: {0:?} is not a topic's name; give 1 to 63 of a to z, 0 to 9 and -")]
    Name(String),
    /// The config reads no topic.
    #[error(
        "--target fluvio: means the topic the config reads, and it reads none; give a config with source.kind = \"fluvio\", or fluvio:HOST:PORT/TOPIC"
    )]
    NoSource,
}

impl TopicAt {
    /// Reads `HOST:PORT/TOPIC`.
    ///
    /// # Errors
    /// [`TopicFault`].
    pub fn parse(text: &str) -> Result<Self, TopicFault> {
        let (endpoint, topic) =
            text.split_once('/').ok_or_else(|| TopicFault::Incomplete(text.to_owned()))?;
        if !is_endpoint(endpoint) {
            return Err(TopicFault::Endpoint(endpoint.to_owned()));
        }
        if !is_topic(topic) {
            return Err(TopicFault::Name(topic.to_owned()));
        }
        Ok(Self { endpoint: endpoint.to_owned(), topic: topic.to_owned() })
    }
}

/// How to produce to the topic that is named, or else to the one that `source` reads. Connections are encrypted as those
/// of `source` are.
///
/// # Errors
/// [`TopicFault::NoSource`].
pub(super) fn options(
    named: Option<&TopicAt>,
    source: Option<&FluvioOptions>,
    timeout: Duration,
) -> Result<ProduceOptions, TopicFault> {
    let (cluster, topic) = match (named, source) {
        (None, None) => return Err(TopicFault::NoSource),
        (None, Some(source)) => (source.cluster.clone(), source.topic.clone()),
        (Some(TopicAt { endpoint, topic }), source) => {
            let tls = source.and_then(|source| source.cluster.tls.clone());
            (ClusterOptions { endpoint: endpoint.clone(), tls }, topic.clone())
        }
    };
    Ok(ProduceOptions { cluster, topic, batch_bytes: BATCH_BYTES, timeout })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::source::{Isolation, Partitions, Start, TlsOptions};

    #[test]
    fn a_topic_stands_behind_an_address_and_what_is_wrong_is_named() {
        let there = |endpoint: &str| TopicAt { endpoint: endpoint.to_owned(), topic: "events".to_owned() };
        assert_eq!(TopicAt::parse("127.0.0.1:9003/events").unwrap(), there("127.0.0.1:9003"));
        assert_eq!(TopicAt::parse("[::1]:9003/events").unwrap(), there("[::1]:9003"));
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
            let fault = TopicAt::parse(wrong).unwrap_err().to_string();
            assert!(fault.contains(value) && fault.contains("give"), "{wrong}: {fault}");
        }
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
        let of = |named, source| options(named, source, Duration::from_secs(9)).unwrap();
        let own = of(None, Some(&source));
        assert_eq!(
            (&own.cluster, &*own.topic, own.timeout),
            (&source.cluster, "own", Duration::from_secs(9))
        );
        let other = of(Some(&named), Some(&source));
        assert_eq!((&*other.cluster.endpoint, &*other.topic), ("127.0.0.1:9003", "other"));
        assert_eq!(other.cluster.tls, Some(tls));
        assert_eq!(of(Some(&named), None).cluster.tls, None);
        assert!(matches!(options(None, None, Duration::ZERO), Err(TopicFault::NoSource)));
    }
}
