//! A connection to a partition's leader: questions enter, answers leave. One connection carries the stream, its
//! acknowledgements and the questions about the log's end.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use fluvio_protocol::{
    link::ErrorCode,
    record::{Batch, RawRecords, ReplicaKey},
};
use fluvio_socket::{
    AsyncResponse, ClientConfig, MultiplexerSocket, SerialFrame, SocketError, VersionedSerialSocket,
};
use fluvio_spu_schema::{
    Isolation,
    produce::{DefaultPartitionRequest, DefaultProduceRequest, DefaultTopicRequest},
    server::{
        consumer_offset::UpdateConsumerOffsetRequest,
        fetch_offset::FetchOffsetsRequest,
        stream_fetch::DefaultStreamFetchRequest,
        update_offset::{OffsetUpdate, UpdateOffsetsRequest},
    },
};

use super::{
    super::partition::{Bounds, ClusterFault},
    hangup::HangUp,
    trouble::{self, Protection},
};

/// Responses that may wait to be decoded. The leader sends the next only when one is acknowledged.
const RESPONSES: usize = 1;
/// How long the leader may take to have a batch committed.
const PRODUCE_TIMEOUT: Duration = Duration::from_secs(4);
/// No session yet.
const NONE: u32 = u32::MAX;

/// A partition's leader.
pub(crate) struct Leader {
    socket: VersionedSerialSocket,
    replica: ReplicaKey,
    /// The session of the stream, once its first response has come.
    session: AtomicU32,
    /// Last, so that the connection ends after what uses it.
    _hang_up: HangUp,
}

impl Leader {
    pub(super) async fn connect(
        (config, hang_up): (ClientConfig, HangUp),
        replica: ReplicaKey,
        protection: Protection,
    ) -> Result<Self, ClusterFault> {
        let who = who(config.addr());
        let connected = config.connect().await;
        let connected = connected.map_err(|error| trouble::unopened(who, &error, protection))?;
        let (socket, config, versions) = connected.split();
        let socket = VersionedSerialSocket::new(MultiplexerSocket::shared(socket), config, versions);
        Ok(Self { socket, replica, session: AtomicU32::new(NONE), _hang_up: hang_up })
    }

    pub(super) fn replica(&self) -> &ReplicaKey {
        &self.replica
    }

    /// What the log holds.
    pub(super) async fn bounds(&self) -> Result<Bounds, ClusterFault> {
        let ReplicaKey { topic, partition } = &self.replica;
        let asked = FetchOffsetsRequest::new(topic.clone(), *partition, None);
        let answer = self.socket.send_receive(asked).await.map_err(|error| self.unreachable(&error))?;
        let what = "the log's bounds";
        let Some(found) = answer.find_partition(&self.replica) else {
            return Err(ClusterFault::Refused { what, code: "it is not this partition's leader".to_owned() });
        };
        accepted(what, &found.error_code)?;
        let place = |offset: i64| u64::try_from(offset).unwrap_or(0);
        Ok(Bounds { start: place(found.start_offset), end: place(found.last_stable_offset) })
    }

    /// Opens a stream.
    pub(super) async fn stream(
        &self,
        request: DefaultStreamFetchRequest,
    ) -> Result<AsyncResponse<DefaultStreamFetchRequest>, ClusterFault> {
        let version = self.socket.lookup_version::<DefaultStreamFetchRequest>();
        let message = self.socket.new_request(request, version);
        self.socket.create_stream(message, RESPONSES).await.map_err(|error| self.unreachable(&error))
    }

    /// Says that everything before `next` has arrived: the leader sends what follows.
    pub(super) async fn acknowledge(&self, session: u32, next: u64) -> Result<(), ClusterFault> {
        self.session.store(session, Relaxed);
        let offset = i64::try_from(next).unwrap_or(i64::MAX);
        let asked = UpdateOffsetsRequest::new(vec![OffsetUpdate { offset, session_id: session }]);
        let answer = self.socket.send_receive(asked).await.map_err(|error| self.unreachable(&error))?;
        answer.status.iter().try_for_each(|status| accepted("an acknowledgement", &status.error))
    }

    /// Adds a batch to the log; returns once it is committed.
    pub(crate) async fn produce(&self, batch: Batch<RawRecords>) -> Result<(), ClusterFault> {
        let mut partition =
            DefaultPartitionRequest { partition_index: self.replica.partition, ..Default::default() };
        partition.records.batches.push(batch);
        let mut topic = DefaultTopicRequest { name: self.replica.topic.clone(), ..Default::default() };
        topic.partitions.push(partition);
        let mut asked = DefaultProduceRequest { isolation: Isolation::ReadCommitted, ..Default::default() };
        asked.timeout = PRODUCE_TIMEOUT;
        asked.topics.push(topic);
        let answer = self.socket.send_receive(asked).await.map_err(|error| self.unreachable(&error))?;
        let mut partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
        match partitions.next() {
            Some(partition) => accepted("a batch", &partition.error_code),
            None => Err(ClusterFault::Refused {
                what: "a batch",
                code: "it has said nothing about it".to_owned(),
            }),
        }
    }

    /// Says that everything before `settled` is settled, if the stream was opened under a consumer's name. False if it
    /// could not be said, because no response has come over this connection yet: only they name the session.
    pub(super) async fn mirror(&self, settled: u64) -> Result<bool, ClusterFault> {
        // The cluster keeps the last offset that was consumed; before the first there is none.
        let Some(last) = settled.checked_sub(1) else { return Ok(true) };
        let session = self.session.load(Relaxed);
        if session == NONE {
            return Ok(false);
        }
        let asked = UpdateConsumerOffsetRequest::new(i64::try_from(last).unwrap_or(i64::MAX), session);
        let answer = self.socket.send_receive(asked).await.map_err(|error| self.unreachable(&error))?;
        accepted("a consumer's offset", &answer.error_code)?;
        Ok(true)
    }

    pub(super) fn unreachable(&self, error: &SocketError) -> ClusterFault {
        trouble::lost(who(self.socket.config().addr()), error)
    }
}

/// Whether the leader has done what it was asked.
pub(super) fn accepted(what: &'static str, code: &ErrorCode) -> Result<(), ClusterFault> {
    match code {
        ErrorCode::None => Ok(()),
        refused => Err(ClusterFault::Refused { what, code: refused.to_string() }),
    }
}

fn who(addr: &str) -> String {
    format!("the leader at {addr}")
}
