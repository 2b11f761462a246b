//! Why a run of the surge simulator failed. That a system did badly is no failure of the run.

use std::{io, time::Duration};

use service::config::SecretFault;
use state::StateFault;

use crate::{
    kafka::KafkaFault,
    process::ProcessFault,
    receiver::FleetFault,
    traffic::{ProducerFault, TopicFault},
};

/// Why a run failed. That the system did badly is no failure of the run.
#[derive(Debug, thiserror::Error)]
pub enum SurgeFault {
    /// The brokers could not be simulated.
    #[error(transparent)]
    Fleet(#[from] FleetFault),
    /// The system could not be run.
    #[error(transparent)]
    System(#[from] ProcessFault),
    /// A file of the run could not be written or read.
    #[error("the run's directory {dir}: {error}")]
    Files {
        /// The directory.
        dir: String,
        /// The system's words.
        error: io::Error,
    },
    /// The profile makes a config Loadline does not take.
    #[error("the profile's [loadline] section: {0}")]
    Config(String),
    /// What Loadline left behind cannot be read.
    #[error("the state directory after the run: {0}")]
    State(#[from] StateFault),
    /// The producer came to grief.
    #[error(transparent)]
    Producer(#[from] ProducerFault),
    /// The pipeline that runs already cannot be put through it.
    #[error(transparent)]
    Target(#[from] TargetFault),
    /// The cluster of the run cannot be used.
    #[error(transparent)]
    Kafka(#[from] KafkaFault),
    /// The group does not come to rest before the run begins.
    #[error("the group did not settle within {0:?} of its start: see its members' logs, with --keep")]
    Unsettled(Duration),
    /// It was asked to end while it waited for what it appends to.
    #[error("the run was stopped before it began")]
    Stopped,
}

/// Why a pipeline cannot be put through a profile.
#[derive(Debug, thiserror::Error)]
pub enum TargetFault {
    /// It is not known what to append to.
    #[error(
        "--target {0} is neither http://…, file:PATH, fluvio:HOST:PORT/TOPIC, kafka:HOST:PORT/TOPIC, nor fluvio: or kafka: for the config's own topic"
    )]
    Unknown(String),
    /// It is no topic.
    #[error(transparent)]
    Topic(#[from] TopicFault),
    /// A broker is somewhere else.
    #[error(
        "broker {broker} is at {url}: only an address of this machine and a port, over http, can be simulated"
    )]
    NotHere {
        /// The broker.
        broker: String,
        /// Its URL.
        url: String,
    },
    /// A secret cannot be had.
    #[error("a secret of broker {broker} {fault}")]
    Secret {
        /// The broker.
        broker: String,
        /// Why.
        fault: SecretFault,
    },
    /// Its dead letters would have to be known.
    #[error(
        "the profile has records nobody may be given: their dead letters cannot be seen from here, choose another"
    )]
    Faults,
}
