//! What can go wrong with the state topics: each fault names the thing, the value and the way out. All of them end the run;
//! a cluster that is away is waited for.

use std::sync::Arc;

use line::SourceFault;
use state::PartitionLogFault;

use crate::fault::{ClusterFault, KafkaFault};

/// A failure of the state topics.
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
