//! A member of the group whose partitions' state follows them: what it asks of the state topics when partitions come and
//! go. The tests put scripted topics behind it.
//!
//! Guarantees: the topics have room for a partition before it is read; what they have of it is given to the line before
//! anything is read; a partition is said to be given up in good order only if the line says that nothing of it is in
//! doubt, and behind its commit; it is not given up while a claim of it is on its way, which would come behind the next
//! member's.

use std::{collections::HashMap, sync::Arc};

use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, join_all},
    stream::BoxStream,
};
use line::SourceFault;
use state::{Checkpoint, PartitionLogFault, Restored};
use tokio::time::timeout;
use topics::Checkpoints;

use super::{
    follower::{Follower, RestoredStream},
    port::StateWriter,
    shared_topics::ClaimRequest,
    topics::StateTopics,
};
use crate::{
    consumer::Consumer,
    drain::Drained,
    fault::{FollowFault, KafkaFault},
    member::{Held, Member},
};

/// The state topics, as a member sees them.
pub(crate) trait PartitionState: Send + Sync + 'static {
    /// As [`StateTopics::cover`].
    fn cover(&self, partitions: i32) -> BoxFuture<'_, Result<(), FollowFault>>;

    /// As [`StateTopics::claim`].
    fn claim(&self, request: ClaimRequest) -> RestoredStream;

    /// As [`StateTopics::claim_arrived`].
    fn claim_arrived(&self, partition: i32) -> BoxFuture<'_, ()>;

    /// As [`StateTopics::release`].
    fn release(
        &self,
        partition: i32,
        checkpoint: Option<Checkpoint>,
    ) -> BoxFuture<'_, Result<(), PartitionLogFault>>;

    /// As [`StateTopics::lose`].
    fn lose(&self, partition: i32);

    /// As [`StateTopics::epoch`].
    fn epoch(&self, partition: i32) -> Option<u64>;
}

impl PartitionState for StateTopics {
    fn cover(&self, partitions: i32) -> BoxFuture<'_, Result<(), FollowFault>> {
        Self::cover(self, partitions, false).boxed()
    }

    fn claim(&self, request: ClaimRequest) -> RestoredStream {
        Self::claim(self, request)
    }

    fn claim_arrived(&self, partition: i32) -> BoxFuture<'_, ()> {
        Self::claim_arrived(self, partition).boxed()
    }

    fn release(
        &self,
        partition: i32,
        checkpoint: Option<Checkpoint>,
    ) -> BoxFuture<'_, Result<(), PartitionLogFault>> {
        Self::release(self, partition, checkpoint).boxed()
    }

    fn lose(&self, partition: i32) {
        Self::lose(self, partition);
    }

    fn epoch(&self, partition: i32) -> Option<u64> {
        Self::epoch(self, partition)
    }
}

impl<C: Consumer, W: StateWriter> PartitionState for Follower<C, W> {
    fn cover(&self, _: i32) -> BoxFuture<'_, Result<(), FollowFault>> {
        std::future::ready(Ok(())).boxed()
    }

    fn claim(&self, request: ClaimRequest) -> RestoredStream {
        Self::claim(self, request)
    }

    fn claim_arrived(&self, partition: i32) -> BoxFuture<'_, ()> {
        Self::claim_arrived(self, partition).boxed()
    }

    fn release(
        &self,
        partition: i32,
        checkpoint: Option<Checkpoint>,
    ) -> BoxFuture<'_, Result<(), PartitionLogFault>> {
        Self::release(self, partition, checkpoint).boxed()
    }

    fn lose(&self, partition: i32) {
        Self::lose(self, partition);
    }

    fn epoch(&self, partition: i32) -> Option<u64> {
        Self::epoch(self, partition)
    }
}

impl<C: Consumer, K: Checkpoints> Member<C, K> {
    /// Sees to it that the state topics have every partition that the source has.
    pub(crate) async fn cover(&self) -> Result<(), KafkaFault> {
        let Some(follow) = &self.follow else { return Ok(()) };
        let partitions = i32::try_from(self.counts.partitions()).unwrap_or(i32::MAX);
        Ok(follow.cover(partitions).await?)
    }

    /// What the state topics have of a partition whose offset was committed under the claim `committed_under`; none if
    /// its state does not follow it.
    pub(crate) fn restored(
        &self,
        partition: i32,
        committed_under: Option<u64>,
    ) -> Option<BoxStream<'static, Result<Restored, SourceFault>>> {
        let follow = self.follow.as_ref()?;
        let restored = follow.claim(ClaimRequest { partition, committed_under, from: None });
        Some(restored.map(|item| item.map_err(SourceFault::from)).boxed())
    }

    /// How the line has left these, which has ended; of nothing if their state does not follow them.
    pub(crate) async fn drained_at_the_end(&self, taken: &[Held<C::Queue>]) -> HashMap<Arc<str>, Drained> {
        let (Some(drain), true) = (self.drain(), self.follow.is_some()) else { return HashMap::new() };
        let within = self.options.cluster.timeout;
        let each = taken.iter().map(|held| async move {
            let source = held.counts.source();
            // It has ended, so that it answers at once.
            let drained = timeout(within, drain.release(source)).await.ok()?;
            Some((Arc::clone(source), drained))
        });
        join_all(each).await.into_iter().flatten().collect()
    }

    /// Tells whoever claims these next how they were given up: in good order, or not.
    pub(crate) async fn give_up_state(
        &self,
        taken: &[Held<C::Queue>],
        drained: &HashMap<Arc<str>, Drained>,
        committed: bool,
    ) {
        let Some(follow) = &self.follow else { return };
        let each = taken.iter().map(|held| async move {
            let partition = held.partition;
            let source = held.counts.source();
            let within = self.options.cluster.timeout;
            if timeout(within, follow.claim_arrived(partition)).await.is_err() {
                tracing::warn!(%source, "the state topic did not take the claim while the partition was given up: it may be taken from whoever reads it next");
            }
            let Some(drained) = drained.get(source).filter(|drained| drained.clean && committed) else {
                // Whoever claims it next takes it for one whose owner has died, and what is late of it is still told.
                return follow.lose(partition);
            };
            let checkpoint = drained.cursor.as_ref().map(Into::into);
            let released = timeout(within, follow.release(partition, checkpoint)).await;
            let Ok(released) = released else {
                tracing::warn!(%source, "the state topic did not answer while the partition was given up: whoever reads it next counts what it sends again as possible repeats");
                return follow.lose(partition);
            };
            if let Err(fault) = released {
                tracing::warn!(%source, %fault, "the partition was given up, and the state topic does not say so: whoever reads it next counts what it sends again as possible repeats");
            }
        });
        let _each: Vec<()> = join_all(each).await;
    }
}
