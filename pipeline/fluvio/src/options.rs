//! What is read from a cluster, and how: plain data, validated by the config.

use std::{path::PathBuf, time::Duration};

/// A topic on a cluster, and how it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FluvioOptions {
    /// The cluster.
    pub cluster: ClusterOptions,
    /// The topic.
    pub topic: String,
    /// The partitions to read.
    pub partitions: Partitions,
    /// Where a partition without a checkpoint starts.
    pub start: Start,
    /// Which records are read.
    pub isolation: Isolation,
    /// The most bytes of one response. A partition holds at most about five times as much: one response decoded, one
    /// under way, and copies during decoding. A producer's batch must fit; of a compressed batch the decompressed
    /// size counts.
    pub max_bytes: usize,
    /// How long a stream may give nothing although the log has more.
    pub stall_after: Duration,
    /// The timeout of an answer and of a connection.
    pub connect_timeout: Duration,
    /// The first pause between two tries.
    pub backoff_min: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// The consumer name for mirroring settled offsets, if they are mirrored.
    pub mirror: Option<String>,
    /// The longest complete record, in bytes; a longer one is cut.
    pub record_max: usize,
}

/// The address of a cluster, and its TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterOptions {
    /// The controller's public address: host and port.
    pub endpoint: String,
    /// How connections are encrypted; none if they are not.
    pub tls: Option<TlsOptions>,
}

impl ClusterOptions {
    /// These options for a caller that waits `timeout` for a connection with its first answer: limits a handshake to
    /// half of that, so that a handshake that hangs is recognised as such.
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
    /// The client certificate and key, PEM.
    pub client: Option<ClientCertificate>,
    /// The timeout of a handshake. Shorter than that of a connection with its first answer, so that a port without
    /// TLS, which is silent, is distinguished from a cluster that hangs.
    pub handshake_timeout: Duration,
}

/// A client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate chain.
    pub cert_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
}

/// Which partitions are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partitions {
    /// All partitions at the start of the run.
    All,
    /// These, ascending, each once.
    These(Vec<u32>),
}

/// Where reading a partition starts.
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
    /// Committed records: those that all in-sync replicas have.
    Committed,
    /// All records that the leader has.
    Uncommitted,
}
