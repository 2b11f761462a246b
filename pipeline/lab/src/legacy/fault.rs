//! What stops the model by itself: each fault names the thing and the way out. Nothing that happens to a message or a
//! broker is among them.

use std::{io, path::PathBuf};

use super::LegacyConfigFault;
use crate::kafka::KafkaFault;
use sources::ReadFault;

/// Why the model could not start, or ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum LegacyFault {
    /// It cannot be set up.
    #[error(transparent)]
    Config(#[from] LegacyConfigFault),
    /// The log cannot be followed.
    #[error("the log cannot be followed: {0}")]
    Source(#[from] ReadFault),
    /// A record cannot be read again.
    #[error("{path} cannot be read at byte {at}: {detail}; the log must only grow while the model runs")]
    Log {
        /// The log.
        path: PathBuf,
        /// Where the record begins.
        at: u64,
        /// The system's words.
        detail: io::Error,
    },
    /// The log was rotated or truncated.
    #[error("{path} was rotated or truncated: the log must only grow while the model runs")]
    Rotated {
        /// The log.
        path: PathBuf,
    },
    /// The log of deliveries cannot be made.
    #[error("the log of deliveries {path} cannot be made: {source}; give a path this process may write")]
    Deliveries {
        /// The log.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// There is no HTTP client.
    #[error("the http client cannot be made: {0}; raise the limits on threads and open files")]
    Client(#[from] reqwest::Error),
    /// The cluster of its topic cannot be used.
    #[error(transparent)]
    Kafka(#[from] KafkaFault),
    /// A consumer's task ended by itself.
    #[error("a consumer ended unexpectedly: {0}")]
    Consumer(#[from] tokio::task::JoinError),
}
