//! What is read from a cluster, and how: plain data, checked by the config.

use std::{path::PathBuf, time::Duration};

/// A topic on a cluster, and how it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FluvioOptions {
    /// Where the cluster is.
    pub cluster: ClusterOptions,
    /// The topic.
    pub topic: String,
    /// Which of its partitions.
    pub partitions: Partitions,
    /// Where a partition begins that has no checkpoint.
    pub start: Start,
    /// Which records are given.
    pub isolation: Isolation,
    /// The most bytes of one response. A partition holds at most about five times as much: one response decoded, one
    /// on its way, and their copies while they are decoded. A batch of the producers must fit, decompressed batches
    /// count as they come out.
    pub max_bytes: usize,
    /// How long a stream may give nothing, although the log has more.
    pub stall_after: Duration,
    /// How long the cluster may take for an answer, and for a connection.
    pub connect_timeout: Duration,
    /// The first pause between two tries.
    pub backoff_min: Duration,
    /// The longest.
    pub backoff_max: Duration,
    /// Under which name settled offsets are told to the cluster, if they are.
    pub mirror: Option<String>,
    /// The longest record that is given whole, in bytes.
    pub record_max: usize,
}

/// Where a cluster is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterOptions {
    /// The controller's public address: host and port.
    pub endpoint: String,
    /// How connections are encrypted; none if they are not.
    pub tls: Option<TlsOptions>,
}

impl ClusterOptions {
    /// The same for whoever waits `timeout` for a connection with its first answer: a handshake takes half of that at
    /// most, so that it is known to be what failed.
    #[must_use]
    pub fn answering_within(mut self, timeout: Duration) -> Self {
        if let Some(tls) = &mut self.tls {
            tls.handshake_timeout = timeout / 2;
        }
        self
    }
}

/// How connections are encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// The name in the controller's certificate; in an SPU's it has the SPU's key and a dot before it.
    pub domain: String,
    /// The certificate authorities that are trusted, PEM.
    pub ca_file: PathBuf,
    /// The certificate and the key with which Loadline shows who it is, PEM.
    pub client: Option<ClientCertificate>,
    /// How long a handshake may take. Shorter than what a connection and its first answer may take together, so that a
    /// port without TLS, which is silent, is told from a cluster that hangs.
    pub handshake_timeout: Duration,
}

/// What shows who Loadline is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate and those between it and its authority.
    pub cert_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
}

/// Which partitions are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partitions {
    /// All the topic has when the run starts.
    All,
    /// These, ascending, each once.
    These(Vec<u32>),
}

/// Where a partition begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At its checkpoint, or else at the oldest record.
    Beginning,
    /// At its checkpoint, or else behind the newest record.
    End,
    /// At its checkpoint and nowhere else.
    Checkpoint,
    /// At its checkpoint, or else at this offset.
    Offset(u64),
}

/// Which records are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Those all replicas that are in sync have.
    Committed,
    /// All the leader has.
    Uncommitted,
}
