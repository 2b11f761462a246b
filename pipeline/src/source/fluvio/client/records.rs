//! A partition's stream: the leader's responses enter, records leave. What was decoded is acknowledged, and nothing
//! else: what a response could not hold comes again with the next.

use std::{sync::Arc, vec};

use fluvio_socket::AsyncResponse;
use fluvio_spu_schema::{Isolation as Level, server::stream_fetch::DefaultStreamFetchRequest};
use futures::{StreamExt, stream, stream::BoxStream};

use super::{
    super::{
        options::Isolation,
        partition::{ClusterFault, LogRecord},
    },
    Wants,
    decode::{Decoded, Decoder},
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
        block: Vec::new().into_iter(),
        then: None,
    });
    Ok(stream::try_unfold(state, |mut state| async move { Ok(Some((state.next().await?, state))) }).boxed())
}

/// A stream being read.
struct Reading {
    leader: Arc<Leader>,
    responses: AsyncResponse<DefaultStreamFetchRequest>,
    decoder: Decoder,
    block: vec::IntoIter<LogRecord>,
    /// Told once the records before it are given.
    then: Option<ClusterFault>,
}

impl Reading {
    async fn next(&mut self) -> Result<LogRecord, ClusterFault> {
        loop {
            if let Some(record) = self.block.next() {
                return Ok(record);
            }
            if let Some(fault) = self.then.take() {
                return Err(fault);
            }
            let response = match self.responses.next().await {
                Some(Ok(response)) => response,
                Some(Err(error)) => return Err(self.leader.unreachable(&error)),
                None => return Err(ClusterFault::Ended),
            };
            let session = response.stream_id;
            let Decoded { records, then } = self.decoder.decode(response)?;
            (self.block, self.then) = (records.into_iter(), then);
            if self.then.is_none() {
                // At once, so that the next is on its way while these are worked on.
                self.leader.acknowledge(session, self.decoder.next()).await?;
            }
        }
    }
}
