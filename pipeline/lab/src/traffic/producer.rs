//! Whoever appends a run's traffic: to a file, to an intake over HTTP or to a topic, each record in its time.

use std::{io, sync::Arc};

use super::{
    Traffic,
    appended::Appended,
    clock::RunClock,
    kafka_publish::KafkaPublisher,
    log_file::LogFile,
    post::{PostFault, Poster},
    publish::Publisher,
};
use fluvio_engine::produce::{ProduceFault, Sent};

/// Whoever appends.
#[derive(Debug)]
pub enum Producer {
    /// To a file.
    File(LogFile),
    /// To an intake over HTTP.
    Http(Poster),
    /// To a topic of a Fluvio cluster.
    Topic(Publisher),
    /// To a topic of a Kafka cluster.
    KafkaTopic(Box<KafkaPublisher>),
}

/// Why nothing more is appended.
#[derive(Debug, thiserror::Error)]
pub enum ProducerFault {
    /// The log cannot be written.
    #[error("the log of the run cannot be written: {0}; make room on its disk")]
    File(#[from] io::Error),
    /// The intake does not take it.
    #[error(transparent)]
    Post(#[from] PostFault),
    /// The cluster does not take it.
    #[error(transparent)]
    Produce(#[from] ProduceFault),
    /// The Kafka cluster does not take it.
    #[error(transparent)]
    KafkaProduce(#[from] kafka_engine::produce::ProduceFault),
    /// It came to grief.
    #[error("the producer of the simulated events ended unexpectedly")]
    Ended,
}

impl Producer {
    /// What has been appended so far.
    #[must_use]
    pub fn appended(&self) -> Appended {
        match self {
            Self::File(log) => log.appended(),
            Self::Http(poster) => poster.appended(),
            Self::Topic(publisher) => publisher.appended(),
            Self::KafkaTopic(publisher) => publisher.appended(),
        }
    }

    /// What it has sent to a cluster so far, if that is where it appends.
    #[must_use]
    pub fn sent(&self) -> Option<Arc<Sent>> {
        match self {
            // An idempotent producer writes nothing twice.
            Self::File(_) | Self::Http(_) | Self::KafkaTopic(_) => None,
            Self::Topic(publisher) => Some(publisher.sent()),
        }
    }

    /// Appends all of `traffic`, each record in its time.
    ///
    /// # Errors
    /// [`ProducerFault`].
    pub async fn play(&mut self, traffic: &Traffic, clock: &RunClock) -> Result<(), ProducerFault> {
        match self {
            Self::File(log) => Ok(log.play(traffic, clock).await?),
            Self::Http(poster) => Ok(poster.play(traffic, clock).await?),
            Self::Topic(publisher) => Ok(publisher.play(traffic, clock).await?),
            Self::KafkaTopic(publisher) => Ok(publisher.play(traffic, clock).await?),
        }
    }
}
