//! A cluster and its partitions as the source sees them: the seam between what decides (guard, watchdog, feed) and what
//! talks to a cluster. The tests put a scripted partition behind it.

use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use state::UnixMillis;

use super::tls::TlsFault;

/// A record of a partition, or what stands for several that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogRecord {
    /// Its offset: within a partition they are contiguous.
    pub(super) offset: u64,
    /// The last offset it stands for: `offset` itself, or a later one if those up to there cannot be read.
    pub(super) last: u64,
    /// Its value; the bytes are its own and hold nothing else of the batch. The whole batch if it is unreadable.
    pub(super) bytes: Bytes,
    /// Why it cannot be read, if so.
    pub(super) unreadable: Option<Box<str>>,
    /// When it was produced, if the producer said so.
    pub(super) at: Option<UnixMillis>,
}

impl LogRecord {
    /// The offset to judge it by if the one at `expected` is awaited: that, if it is among those it stands for.
    pub(super) fn place(&self, expected: u64) -> u64 {
        self.offset.max(expected.min(self.last))
    }
}

/// What a partition's log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The first offset that is still there.
    pub(super) start: u64,
    /// The first offset that is not there yet; of what is committed.
    pub(super) end: u64,
}

/// Why a cluster did not do what it was asked. All of it may pass, so all of it is tried again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterFault {
    /// There is no connection, or it broke.
    #[error("{who} cannot be reached: {detail}")]
    Unreachable {
        /// The controller or the leader, with its address.
        who: String,
        /// The system's words, or the client's.
        detail: String,
    },
    /// It closed the connection instead of its first answer.
    #[error("{who} gave no answer: {detail}; {hint}")]
    Unanswered {
        /// The controller or the leader, with its address.
        who: String,
        /// The system's words.
        detail: String,
        /// What to look at, besides the cluster.
        hint: &'static str,
    },
    /// There is no encrypted connection.
    #[error("{who}: {fault}")]
    Tls {
        /// The controller or the leader, with its address.
        who: String,
        /// What is wrong.
        fault: TlsFault,
    },
    /// It did not answer in time.
    #[error("no answer to {what} within {after:?}")]
    Silent {
        /// What was asked.
        what: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// The topic does not exist.
    #[error("topic {topic} does not exist")]
    NoTopic {
        /// The topic.
        topic: String,
    },
    /// The topic has no such partition.
    #[error("topic {topic} has no partition {partition}: it has {count}")]
    NoPartition {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// How many it has, counted from 0.
        count: u32,
    },
    /// The partition's leader is not known to the cluster.
    #[error(
        "partition {partition} of topic {topic} has no leader that is known: SPU {spu} is not registered"
    )]
    NoLeader {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// The leader's id.
        spu: i32,
    },
    /// The cluster refused.
    #[error("the cluster refused {what}: {code}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// Its words.
        code: String,
    },
    /// A response held records, but no whole batch.
    #[error(
        "the batch at offset {at} does not fit into {max_bytes} bytes; raise source.max_bytes well above the producers' batches"
    )]
    BatchTooLong {
        /// Where it stands.
        at: u64,
        /// The bound.
        max_bytes: usize,
    },
    /// A response held whole batches, and nothing from the place asked for on.
    #[error("the leader gives only what stands before offset {at}, although the log has more")]
    Backward {
        /// The place asked for.
        at: u64,
    },
    /// What looks at the log's end has ended, which it never should: the watchdog would see nothing any more.
    #[error("nothing looks at the log's end any more; its task has ended")]
    Unwatched,
    /// The log ends before the place to go on at.
    #[error(
        "the log ends at {end}, before the place to go on at, {at}: its leader has not caught up yet, or the cluster has lost its newest records"
    )]
    EndsEarly {
        /// The place to go on at.
        at: u64,
        /// Where the log ends.
        end: u64,
    },
    /// The stream ended, although a log has no end.
    #[error("the stream ended")]
    Ended,
}

impl ClusterFault {
    /// Whether it is about what stands in the log, and not about the cluster: trying again helps only if somebody does
    /// something about it.
    pub(super) fn is_of_a_batch(&self) -> bool {
        matches!(self, Self::BatchTooLong { .. } | Self::Backward { .. })
    }
}

/// A cluster.
pub(super) trait Cluster: Send + Sync {
    /// One of its partitions.
    type Partition: Partition;

    /// How many partitions `topic` has, as the controller says.
    fn count(&self, topic: &str) -> impl Future<Output = Result<u32, ClusterFault>> + Send;

    /// A partition, not connected yet.
    fn partition(&self, number: u32) -> Self::Partition;
}

/// A partition. None of the calls has a timeout of its own, and each may hang for ever.
pub(super) trait Partition: Send + Sync + 'static {
    /// Its records, without an end; after an error there are no more.
    type Records: Stream<Item = Result<LogRecord, ClusterFault>> + Send + Unpin + 'static;

    /// Makes a new connection to the leader, whoever that is now, in place of the one before.
    fn connect(&self) -> impl Future<Output = Result<Bounds, ClusterFault>> + Send;

    /// Reads from `at` on over the connection.
    fn open(&self, at: u64) -> impl Future<Output = Result<Self::Records, ClusterFault>> + Send;

    /// What the log holds now, asked over the connection.
    fn bounds(&self) -> impl Future<Output = Result<Bounds, ClusterFault>> + Send;

    /// Tells the cluster that everything below `settled` is settled, for its own tools to show. False if it could not be told yet.
    fn mirror(&self, settled: u64) -> impl Future<Output = Result<bool, ClusterFault>> + Send;
}

#[cfg(test)]
mod tests {
    use super::{
        super::guard::{Guard, Judged},
        *,
    };

    #[test]
    fn what_stands_for_several_offsets_is_the_next_one_as_long_as_one_of_them_is_awaited() {
        let bytes = Bytes::new();
        let record = LogRecord { offset: 5, last: 8, bytes, unreadable: Some("cut".into()), at: None };
        for (expected, judged, then) in
            [(4, Judged::Gap, 4), (5, Judged::Next, 9), (7, Judged::Next, 9), (9, Judged::Repeat, 9)]
        {
            let mut guard = Guard::new(expected);
            assert_eq!(guard.judge(record.place(expected)), judged, "{expected} is awaited");
            if judged == Judged::Next {
                guard.skip_to(record.last + 1);
            }
            assert_eq!(guard.expected(), then);
        }
    }
}
