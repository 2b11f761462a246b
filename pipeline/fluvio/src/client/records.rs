//! A partition's stream of records. Only what has arrived completely is acknowledged; what a response could not hold
//! is sent again with the next.
//!
//! Holds one response, one decompressed batch of it, and the next response.

use std::{sync::Arc, vec};

use fluvio_protocol::record::{Batch, RawRecords};

use fluvio_socket::AsyncResponse;
use fluvio_spu_schema::{Isolation as Level, server::stream_fetch::DefaultStreamFetchRequest};
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::task::JoinSet;

use super::{
    super::{
        options::Isolation,
        partition::{ClusterFault, LogRecord},
    },
    FetchOptions,
    decode::Decoder,
    leader::Leader,
};

/// Opens a stream from `at` on.
pub(super) async fn open(
    leader: Arc<Leader>,
    at: u64,
    options: &FetchOptions,
) -> Result<BoxStream<'static, Result<LogRecord, ClusterFault>>, ClusterFault> {
    let replica = leader.replica();
    let request = DefaultStreamFetchRequest::builder()
        .topic(replica.topic.clone())
        .partition(replica.partition)
        .fetch_offset(i64::try_from(at).unwrap_or(i64::MAX))
        .isolation(match options.isolation {
            Isolation::Committed => Level::ReadCommitted,
            Isolation::Uncommitted => Level::ReadUncommitted,
        })
        .max_bytes(i32::try_from(options.max_bytes).unwrap_or(i32::MAX))
        .consumer_id(options.consumer.clone())
        .build()
        .map_err(|error| ClusterFault::Refused { what: "a stream", code: error.to_string() })?;
    let responses = leader.stream(request).await?;
    let state = Box::new(Reading {
        leader,
        responses,
        decoder: Decoder::new(at, options.max_bytes),
        batches: Vec::new().into_iter(),
        records: None,
        telling: JoinSet::new(),
    });
    Ok(stream::try_unfold(state, |mut state| async move { Ok(Some((state.next().await?, state))) }).boxed())
}

/// A stream being read.
struct Reading {
    leader: Arc<Leader>,
    responses: AsyncResponse<DefaultStreamFetchRequest>,
    decoder: Decoder,
    /// The response's batches that are not decoded yet.
    batches: vec::IntoIter<Batch<RawRecords>>,
    /// The rest of the current batch.
    records: Option<Box<dyn Iterator<Item = LogRecord> + Send>>,
    /// At most one acknowledgement under way. It ends with the stream.
    telling: JoinSet<Result<(), ClusterFault>>,
}

impl Reading {
    async fn next(&mut self) -> Result<LogRecord, ClusterFault> {
        loop {
            if let Some(record) = self.records.as_mut().and_then(Iterator::next) {
                return Ok(record);
            }
            // Frees its bytes before the next batch is decompressed.
            self.records = None;
            match self.batches.next() {
                Some(batch) => self.records = Some(Box::new(self.decoder.records(batch))),
                None => self.respond().await?,
            }
        }
    }

    /// Waits for the next response, after the leader has answered the acknowledgement of the one before.
    async fn respond(&mut self) -> Result<(), ClusterFault> {
        while let Some(told) = self.telling.join_next().await {
            told.unwrap_or(Err(ClusterFault::Ended))?;
        }
        let response = match self.responses.next().await {
            Some(Ok(response)) => response,
            Some(Err(error)) => return Err(self.leader.unreachable(&error)),
            None => return Err(ClusterFault::Ended),
        };
        let session = response.stream_id;
        self.batches = self.decoder.take(response)?.into_iter();
        let (leader, next) = (Arc::clone(&self.leader), self.decoder.next());
        // At once and in a task of its own, so that the next response is under way while these records are processed,
        // and no record here waits for the answer.
        let _handle = self.telling.spawn(async move { leader.acknowledge(session, next).await });
        Ok(())
    }
}
