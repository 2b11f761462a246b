//! What can go wrong with a topic on Kafka: each fault names the thing, the value and the way out. A [`ClusterFault`] may
//! pass and is tried again; a [`KafkaFault`] ends the run. Nothing that was settled is lost by either.

use std::{sync::Arc, time::Duration};

use line::SourceFault;
use state::{PartitionLogFault, StateFault};

/// Why a cluster did not do what it was asked. All of it may pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterFault {
    /// No broker can be reached.
    #[error("no broker can be reached: {detail}")]
    Unreachable {
        /// The client's words.
        detail: String,
    },
    /// There is no encrypted connection.
    #[error(
        "TLS failed: {detail}; check that the listener speaks TLS, and tls_ca_file, tls_cert_file and tls_key_file"
    )]
    Tls {
        /// The client's words.
        detail: String,
    },
    /// The cluster does not take the name and the password.
    #[error(
        "authentication was refused: {detail}; check sasl, username and password, and that the listener asks for them"
    )]
    Authentication {
        /// The client's words.
        detail: String,
    },
    /// This user may not do it.
    #[error(
        "the cluster does not allow it: {detail}; give this user Read and Describe on the topic and Read on the group"
    )]
    Unauthorized {
        /// The client's words.
        detail: String,
    },
    /// The topic does not exist.
    #[error("topic {topic} does not exist")]
    NoTopic {
        /// The topic.
        topic: String,
    },
    /// The topic has no such partition.
    #[error("topic {topic} has no partition {partition}: it has {count}, counted from 0")]
    NoPartition {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// How many it has.
        count: i32,
    },
    /// It did not answer in time.
    #[error("no answer to {what} within {after:?}")]
    Silent {
        /// What was asked.
        what: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// It answered otherwise than it was asked.
    #[error("{what} failed: {detail}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// The client's words.
        detail: String,
    },
    /// The group is handing partitions out anew, and takes commits again once that is done.
    #[error("the group is being rebalanced: {detail}")]
    Rebalancing {
        /// The client's words.
        detail: String,
    },
    /// A commit or a heartbeat was refused because the partitions are somebody else's by now.
    #[error("this process is no longer the group's member that had these partitions: {detail}")]
    Fenced {
        /// The client's words.
        detail: String,
    },
}

/// A failure of a Kafka source, or of what else speaks to a cluster.
#[derive(Clone, Debug, thiserror::Error)]
pub enum KafkaFault {
    /// The state failed.
    #[error(transparent)]
    State(#[from] StateFault),
    /// The state topics failed.
    #[error(transparent)]
    Follow(Arc<FollowFault>),
    /// This build cannot talk to a cluster.
    #[error(
        "this build of Loadline has no Kafka client: build it with the feature kafka, which is on by default"
    )]
    NoClient,
    /// The client does not take its settings.
    #[error("the Kafka client cannot be made: {detail}; check [source], its files and [source.properties]")]
    Settings {
        /// The client's words.
        detail: String,
    },
    /// The cluster did not answer, or has no such topic or partition, and is not waited for.
    #[error("the cluster at {bootstrap}: {fault}; check [source], or wait for it: leave out --fail-fast")]
    Cluster {
        /// The brokers to begin with.
        bootstrap: String,
        /// What went wrong.
        fault: ClusterFault,
    },
    /// The checkpoint's mark is not one of this partition.
    #[error(
        "the checkpoint of {source_name} has a mark of {len} bytes that is not this partition's: it was written by another kind of source or a newer version; run that one, or remove the checkpoint to read from the start"
    )]
    ForeignMark {
        /// The source's name.
        source_name: Arc<str>,
        /// The length of the mark in bytes.
        len: usize,
    },
    /// There is neither a committed offset nor a checkpoint, and the config asks for one.
    #[error(
        "{source_name} has no committed offset and no checkpoint, and source.start = \"committed\" asks for one: check source.group and state.dir, or set source.start to \"beginning\", \"end\" or {{ offset = … }} for the first run"
    )]
    NoPlace {
        /// The source's name.
        source_name: Arc<str>,
    },
    /// Another process has this member's name.
    #[error(
        "another process runs with source.instance_id = \"{instance_id}\" in the group {group}: give each its own"
    )]
    InstanceTaken {
        /// The member's name.
        instance_id: String,
        /// The group.
        group: String,
    },
    /// The client cannot go on.
    #[error("the Kafka client has failed: {detail}; start again, reading resumes at what is settled")]
    Client {
        /// The client's words.
        detail: String,
    },
    /// A thread or a task of this crate was lost.
    #[error("reading the topic was interrupted: {detail}; start again, it resumes at what is settled")]
    Interrupted {
        /// What has ended.
        detail: String,
    },
}

/// A failure of the state topics. Each ends the run; a cluster that is away is waited for.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FollowFault {
    /// A topic is not as it must be.
    #[error("the state topic {topic} {problem}; run: {command}")]
    Topic {
        /// The topic.
        topic: String,
        /// What is the matter.
        problem: String,
        /// What changes that.
        command: String,
    },
    /// A record cannot be read.
    #[error(
        "the record at {offset} of partition {partition} of the state topic {topic} cannot be read: {detail}; if a newer Loadline has written it run that one, otherwise something else writes to this topic: give Loadline topics of its own"
    )]
    Unreadable {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The record's offset.
        offset: u64,
        /// Why.
        detail: String,
    },
    /// What was written there is gone.
    #[error(
        "partition {partition} of the state topic {topic} knows claims up to {found}, and the group has committed offsets under claim {expected}: the topic was deleted and made anew, or is another one. Restore it, or name the one that was used; or, if its state is gone, set the group's offsets with kafka-consumer-groups.sh --reset-offsets while Loadline is stopped, which forgets the claim: what waited there is lost, and what was delivered behind those offsets is sent again"
    )]
    Forgotten {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The epoch that was committed under.
        expected: u64,
        /// The newest that is there; 0 if there is none.
        found: u64,
    },
    /// The cluster does not take a record.
    #[error(
        "the state topic {topic} does not take a record: {fault}; check that it is there, its max.message.bytes and this user's rights (Write and Read on it), and start again"
    )]
    Refused {
        /// The topic.
        topic: String,
        /// The cluster's answer.
        fault: ClusterFault,
    },
    /// The cluster cannot be used at all.
    #[error(transparent)]
    Cluster(#[from] KafkaFault),
    /// A task was lost.
    #[error("the state of a partition could not be brought here: {detail}; start again")]
    Interrupted {
        /// What has ended.
        detail: String,
    },
}

impl From<FollowFault> for KafkaFault {
    fn from(fault: FollowFault) -> Self {
        match fault {
            FollowFault::Cluster(fault) => fault,
            fault => Self::Follow(Arc::new(fault)),
        }
    }
}

impl From<KafkaFault> for SourceFault {
    fn from(fault: KafkaFault) -> Self {
        match fault {
            KafkaFault::State(fault) => Self::State(fault),
            fault => Self::own(fault),
        }
    }
}

impl From<FollowFault> for SourceFault {
    fn from(fault: FollowFault) -> Self {
        match fault {
            FollowFault::Cluster(fault) => fault.into(),
            fault => Self::own(fault),
        }
    }
}

impl From<FollowFault> for PartitionLogFault {
    fn from(fault: FollowFault) -> Self {
        Self::Failed { detail: Arc::from(fault.to_string()) }
    }
}
