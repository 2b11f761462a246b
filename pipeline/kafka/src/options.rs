//! What is read from a cluster, and how: plain data, checked by the config.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

/// A topic on a cluster, and how it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaOptions {
    /// Where the cluster is.
    pub cluster: ClusterOptions,
    /// The topic.
    pub topic: String,
    /// By which partitions, and who decides on them.
    pub reading: Reading,
    /// Where a partition begins that has neither a committed offset nor a checkpoint.
    pub start: Start,
    /// Which records are given.
    pub isolation: Isolation,
    /// What is done about records that the cluster no longer has.
    pub on_loss: OnLoss,
    /// How a record's value is framed.
    pub framing: Framing,
    /// The header that is the event's id, if one is, in small letters.
    pub id_header: Option<String>,
    /// How much is fetched ahead.
    pub fetch: FetchOptions,
    /// How often settled offsets are committed while the line runs.
    pub commit_every: Duration,
    /// The longest record that is given whole, in bytes.
    pub record_max: usize,
}

/// Where a cluster is, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterOptions {
    /// Brokers to begin with, each a host and a port.
    pub bootstrap: Vec<String>,
    /// How connections are encrypted; none if they are not.
    pub tls: Option<TlsOptions>,
    /// Who Loadline is to the cluster; none if it is not asked.
    pub sasl: Option<SaslOptions>,
    /// How long the cluster may take for an answer, and for a connection.
    pub timeout: Duration,
    /// The first pause between two tries to connect.
    pub backoff_min: Duration,
    /// The longest.
    pub backoff_max: Duration,
    /// Properties of librdkafka that a site needs besides; none of those that would break a promise.
    pub properties: BTreeMap<String, String>,
}

/// How connections are encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// The certificate authorities that are trusted, PEM; none for those of the system.
    pub ca_file: Option<PathBuf>,
    /// The certificate and the key with which Loadline shows who it is, PEM.
    pub client: Option<ClientCertificate>,
}

/// What shows who Loadline is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate and those between it and its authority.
    pub cert_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
}

/// A name and a password, and how they are shown to the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaslOptions {
    /// How.
    pub mechanism: SaslMechanism,
    /// The name.
    pub username: String,
    /// The password.
    pub password: Password,
}

/// How a password is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    /// As it is: only over TLS.
    Plain,
    /// By a challenge, with SHA-256.
    ScramSha256,
    /// By a challenge, with SHA-512.
    ScramSha512,
}

/// A password, which is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Hides `password`.
    #[must_use]
    pub fn new(password: impl Into<String>) -> Self {
        Self(password.into())
    }

    /// The password, for the client.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// By which partitions a topic is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Those that the group gives this member, which change while it runs.
    Group(GroupOptions),
    /// These, ascending, each once, without a group.
    Partitions(Vec<i32>),
}

/// A consumer group, and this member of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupOptions {
    /// The group's name.
    pub id: String,
    /// How the group agrees on who reads what.
    pub protocol: GroupProtocol,
    /// The name under which this member keeps its partitions over a restart; none for a member without one.
    pub instance_id: Option<String>,
    /// How long a member may be silent before its partitions are given to others. With
    /// [`GroupProtocol::Consumer`] the cluster decides it, and this is not sent.
    pub session_timeout: Duration,
    /// How long a rebalance may wait for this member to give partitions up.
    pub max_poll_interval: Duration,
}

/// How a group agrees on who reads what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupProtocol {
    /// The members agree, partitions move one by one (cooperative-sticky). Every cluster knows it.
    Classic,
    /// The cluster decides (KIP-848). Apache Kafka 4.0 and later.
    Consumer,
}

/// Where a partition begins that has neither a committed offset nor a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record.
    Beginning,
    /// Behind the newest record.
    End,
    /// Nowhere: it is a fault.
    Committed,
    /// At this offset.
    Offset(u64),
}

/// Which records are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Those of committed transactions, and those of none.
    Committed,
    /// All.
    Uncommitted,
}

/// What is done about records that the cluster no longer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLoss {
    /// The partition is read no further, and its loss is named.
    Stop,
    /// The loss is named and counted, and reading goes on at the oldest record. A log that is another one, or ends before
    /// the place to go on at, stops its partition all the same.
    Continue,
}

/// How a record's value is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// It is the event.
    None,
    /// A zero byte and a schema's number of four bytes stand before it, as schema registries have it.
    SchemaRegistry,
    /// It is the data of a CloudEvent whose attributes are headers (binary mode): given as one object (structured mode).
    CloudEvents,
}

/// How much is fetched ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchOptions {
    /// The most bytes that one response has of one partition; a longer batch comes alone.
    pub partition_max: usize,
    /// The most bytes that are kept ahead for one partition.
    pub queue_max: usize,
    /// How long the cluster may wait for more before it answers.
    pub wait_max: Duration,
}
