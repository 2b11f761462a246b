//! A connection to a partition's leader. One connection carries the stream, its acknowledgements and the requests for
//! the log's end.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use fluvio_protocol::{link::ErrorCode, record::ReplicaKey};
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
use state::UnixMillis;

use super::{
    super::partition::{Bounds, ClusterFault},
    close_on_drop::CloseOnDrop,
    encode::encode,
    errors::{self, Protection},
};
use crate::produce::BatchBuilder;

/// Responses that may wait to be decoded. The leader sends the next only when one is acknowledged.
const RESPONSES: usize = 1;
/// How long the leader may take to have a batch committed.
const PRODUCE_TIMEOUT: Duration = Duration::from_secs(4);
/// No session yet.
const NONE: u32 = u32::MAX;

/// A partition's leader.
pub struct Leader {
    socket: VersionedSerialSocket,
    replica: ReplicaKey,
    /// The stream's session, once its first response has come.
    session: AtomicU32,
    /// Last, so that the connection is closed after what uses it.
    _hang_up: CloseOnDrop,
}

impl Leader {
    pub(super) async fn connect(
        (config, hang_up): (ClientConfig, CloseOnDrop),
        replica: ReplicaKey,
        protection: Protection,
    ) -> Result<Self, ClusterFault> {
        let who = who(config.addr());
        let connected = config.connect().await;
        let connected = connected.map_err(|error| errors::unopened(who, &error, protection))?;
        let (socket, config, versions) = connected.split();
        let socket = VersionedSerialSocket::new(MultiplexerSocket::shared(socket), config, versions);
        Ok(Self { socket, replica, session: AtomicU32::new(NONE), _hang_up: hang_up })
    }

    pub(super) fn replica(&self) -> &ReplicaKey {
        &self.replica
    }

    /// The first offset and the end of the log.
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

    /// Acknowledges everything before `next`; the leader then sends what follows.
    pub(super) async fn acknowledge(&self, session: u32, next: u64) -> Result<(), ClusterFault> {
        self.session.store(session, Relaxed);
        let offset = i64::try_from(next).unwrap_or(i64::MAX);
        let asked = UpdateOffsetsRequest::new(vec![OffsetUpdate { offset, session_id: session }]);
        let answer = self.socket.send_receive(asked).await.map_err(|error| self.unreachable(&error))?;
        answer.status.iter().try_for_each(|status| accepted("an acknowledgement", &status.error))
    }

    /// Adds a batch to the log; returns once it is committed.
    ///
    /// # Errors
    /// The batch may be in the log all the same.
    pub async fn produce(&self, batch: &BatchBuilder, now: UnixMillis) -> Result<(), ClusterFault> {
        let mut partition =
            DefaultPartitionRequest { partition_index: self.replica.partition, ..Default::default() };
        partition.records.batches.push(encode(batch, now)?);
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

    /// Reports everything before `settled` as settled, if the stream was opened with a consumer's name. False if that
    /// was not possible, because the session is known only after the first response on this connection.
    pub(super) async fn mirror(&self, settled: u64) -> Result<bool, ClusterFault> {
        // The cluster stores the last consumed offset; there is none before the first.
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
        errors::lost(who(self.socket.config().addr()), error)
    }
}

/// An error if the leader refused the request.
pub(super) fn accepted(what: &'static str, code: &ErrorCode) -> Result<(), ClusterFault> {
    match code {
        ErrorCode::None => Ok(()),
        refused => Err(ClusterFault::Refused { what, code: refused.to_string() }),
    }
}

fn who(addr: &str) -> String {
    format!("the leader at {addr}")
}
