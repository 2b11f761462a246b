//! A partition's stream: the leader's responses enter, records leave. What has arrived whole is acknowledged, and nothing
//! else: what a response could not hold comes again with the next.
//!
//! Held are one response as it came, of it one batch in plain bytes, and the next response.

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
    Wants,
    decode::Decoder,
    leader::Leader,
};

/// Opens a stream from `at` on.
pub(super) async fn open(
    leader: Arc<Leader>,
    at: u64,
    wants: &Wants,
) -> Result<BoxStream<'static, Result<LogRecord, ClusterFault>>, ClusterFault> {
    let replica = leader.replica();
    let request = DefaultStreamFetchRequest::builder()
        .topic(replica.topic.clone())
        .partition(replica.partition)
        .fetch_offset(i64::try_from(at).unwrap_or(i64::MAX))
        .isolation(match wants.isolation {
            Isolation::Committed => Level::ReadCommitted,
            Isolation::Uncommitted => Level::ReadUncommitted,
        })
        .max_bytes(i32::try_from(wants.max_bytes).unwrap_or(i32::MAX))
        .consumer_id(wants.consumer.clone())
        .build()
        .map_err(|error| ClusterFault::Refused { what: "a stream", code: error.to_string() })?;
    let responses = leader.stream(request).await?;
    let state = Box::new(Reading {
        leader,
        responses,
        decoder: Decoder::new(at, wants.max_bytes),
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
    /// Those of the response that nobody has looked into yet.
    batches: vec::IntoIter<Batch<RawRecords>>,
    /// Those left of the batch before.
    records: Option<Box<dyn Iterator<Item = LogRecord> + Send>>,
    /// The acknowledgement on its way: at most one. It ends with the stream.
    telling: JoinSet<Result<(), ClusterFault>>,
}

impl Reading {
    async fn next(&mut self) -> Result<LogRecord, ClusterFault> {
        loop {
            if let Some(record) = self.records.as_mut().and_then(Iterator::next) {
                return Ok(record);
            }
            // Its bytes go before those of the next come.
            self.records = None;
            match self.batches.next() {
                Some(batch) => self.records = Some(Box::new(self.decoder.records(batch))),
                None => self.respond().await?,
            }
        }
    }

    /// Waits for the next response, once the leader has answered to the acknowledgement of the one before.
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
        // At once, so that the next is on its way while these are worked on, and beside them: whoever waits for a record
        // that is here does not wait for an answer.
        let _handle = self.telling.spawn(async move { leader.acknowledge(session, next).await });
        Ok(())
    }
}
