//! The traits of a cluster and its partitions, between the logic (continuity, watchdog, reader) and the client. Tests
//! implement them with a scripted partition.

use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use state::UnixMillis;
use topics::RecordMark;

use super::tls::TlsFault;

/// A record of a partition, or one that stands for several unreadable ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogRecord {
    /// Its offset: within a partition they are contiguous.
    pub(super) offset: u64,
    /// The last offset it stands for: `offset`, or a later one if the records up to there cannot be read.
    pub(super) last: u64,
    /// Its value, in a buffer of its own; the whole batch if it is unreadable.
    pub(super) bytes: Bytes,
    /// Why it cannot be read, if it cannot.
    pub(super) unreadable: Option<Box<str>>,
    /// When it was produced, if the producer said so.
    pub(super) at: Option<UnixMillis>,
}

impl LogRecord {
    /// The offset to compare with `expected`: that one itself, if it is among those this stands for.
    pub(super) fn place(&self, expected: u64) -> u64 {
        self.offset.max(expected.min(self.last))
    }
}

/// The mark of `record`, stored once it was read.
pub(super) fn mark_of(record: &LogRecord) -> RecordMark {
    RecordMark::new(record.last, record.at, &record.bytes)
}

/// The bounds of a partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The first offset in the log.
    pub(super) start: u64,
    /// The offset after the last committed record.
    pub(super) end: u64,
}

/// Why a request to a cluster failed. All of these may be temporary, so all are retried.
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
    /// The connection was closed before the first answer.
    #[error("{who} gave no answer: {detail}; {hint}")]
    Unanswered {
        /// The controller or the leader, with its address.
        who: String,
        /// The system's words.
        detail: String,
        /// What to look at, besides the cluster.
        hint: &'static str,
    },
    /// The TLS connection failed.
    #[error("{who}: {fault}")]
    Tls {
        /// The controller or the leader, with its address.
        who: String,
        /// What is wrong.
        fault: TlsFault,
    },
    /// There was no answer in time.
    #[error("no answer to {what} within {after:?}")]
    Silent {
        /// What was asked.
        what: &'static str,
        /// The timeout.
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
        /// How many it has.
        count: u32,
    },
    /// The partition's leader is not registered at the cluster.
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
        /// Its answer.
        code: String,
    },
    /// A response held records, but no whole batch.
    #[error(
        "the batch at offset {at} does not fit into {max_bytes} bytes; raise source.max_bytes well above the producers' batches"
    )]
    BatchTooLong {
        /// Its offset.
        at: u64,
        /// The bound.
        max_bytes: usize,
    },
    /// A response held complete batches, but nothing from the requested offset on.
    #[error("the leader gives only what stands before offset {at}, although the log has more")]
    Backward {
        /// The requested offset.
        at: u64,
    },
    /// The monitor's task has ended, which it never should: the watchdog would see nothing any more.
    #[error("nothing looks at the log's end any more; its task has ended")]
    Unwatched,
    /// The log ends before the offset to resume at.
    #[error(
        "the log ends at {end}, before the place to go on at, {at}: its leader has not caught up yet, or the cluster has lost its newest records"
    )]
    EndsEarly {
        /// The offset to resume at.
        at: u64,
        /// The log's end.
        end: u64,
    },
    /// The stream ended, although a log has no end.
    #[error("the stream ended")]
    Ended,
}

impl ClusterFault {
    /// Whether the cause is a batch in the log, not the cluster: retrying helps only after somebody has acted.
    pub(super) fn is_of_a_batch(&self) -> bool {
        matches!(self, Self::BatchTooLong { .. } | Self::Backward { .. })
    }
}

/// A cluster.
pub(super) trait Cluster: Send + Sync {
    /// One of its partitions.
    type Partition: Partition;

    /// How many partitions `topic` has, according to the controller.
    fn count(&self, topic: &str) -> impl Future<Output = Result<u32, ClusterFault>> + Send;

    /// A partition, not connected yet.
    fn partition(&self, number: u32) -> Self::Partition;
}

/// A partition. None of the calls has a timeout of its own, and each may hang for ever.
pub(super) trait Partition: Send + Sync + 'static {
    /// An endless stream of records; it ends after an error.
    type Records: Stream<Item = Result<LogRecord, ClusterFault>> + Send + Unpin + 'static;

    /// Replaces the connection by a new one to the current leader.
    fn connect(&self) -> impl Future<Output = Result<Bounds, ClusterFault>> + Send;

    /// Reads from `at` on over the connection.
    fn open(&self, at: u64) -> impl Future<Output = Result<Self::Records, ClusterFault>> + Send;

    /// The log's bounds now, over the connection.
    fn bounds(&self) -> impl Future<Output = Result<Bounds, ClusterFault>> + Send;

    /// Reports everything below `settled` as settled, for the cluster's own tools. False if that is not possible yet.
    fn mirror(&self, settled: u64) -> impl Future<Output = Result<bool, ClusterFault>> + Send;
}

#[cfg(test)]
mod tests {
    use super::{
        super::continuity::{Continuity, Sequence},
        *,
    };

    #[test]
    fn what_stands_for_several_offsets_is_the_next_one_as_long_as_one_of_them_is_awaited() {
        let bytes = Bytes::new();
        let record = LogRecord { offset: 5, last: 8, bytes, unreadable: Some("cut".into()), at: None };
        for (expected, judged, then) in
            [(4, Sequence::Gap, 4), (5, Sequence::Next, 9), (7, Sequence::Next, 9), (9, Sequence::Repeat, 9)]
        {
            let mut continuity = Continuity::new(expected);
            assert_eq!(continuity.classify(record.place(expected)), judged, "{expected} is awaited");
            if judged == Sequence::Next {
                continuity.skip_to(record.last + 1);
            }
            assert_eq!(continuity.expected(), then);
        }
    }
}
