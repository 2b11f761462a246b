//! Why something could not be measured: each fault names the part, what is wrong with it and where to look.

use std::{io, path::PathBuf};

use kafka_engine::produce::ProduceFault;
use state::StateFault;

use crate::{kafka::KafkaFault, process::ProcessFault};

/// Something could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchFault {
    /// A part cannot be started, or ended, or stands still.
    #[error(transparent)]
    Process(#[from] ProcessFault),
    /// A part said something else than was expected.
    #[error("{what} said {said:?}, which is not {expected}")]
    Answer {
        /// The part.
        what: String,
        /// What was expected.
        expected: &'static str,
        /// What it said.
        said: String,
    },
    /// What was delivered is not what should have been: figures of it would mean nothing.
    #[error("{what} did not deliver exactly what it should have: {counts}")]
    Inexact {
        /// The part.
        what: String,
        /// The counts.
        counts: String,
    },
    /// A file cannot be written or read.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// A port cannot be had.
    #[error("a port on loopback cannot be had: {0}")]
    Port(io::Error),
    /// The state directory failed.
    #[error(transparent)]
    State(#[from] StateFault),
    /// The cluster cannot be used.
    #[error(transparent)]
    Kafka(#[from] KafkaFault),
    /// The cluster does not take the events.
    #[error(transparent)]
    Produce(#[from] ProduceFault),
    /// A section needs a cluster.
    #[error("the section kafka is measured over a cluster: name one with --bootstrap HOST:PORT")]
    NoCluster,
    /// A stage that is measured alone did not do what it does in the line.
    #[error("the stage {stage} did not take an event of the corpus")]
    Stage {
        /// The stage.
        stage: &'static str,
    },
}

impl BenchFault {
    /// For `map_err`: `path` cannot be written or read.
    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::File { path, error }
    }
}
