//! A rebalance: partitions that are given are taken up where they were left, partitions that are taken are brought to an
//! end first. Both run on the thread that polls and return when it is done, because the group waits for them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, join_all},
    stream::{self, FuturesUnordered},
};
use line::SourcePartition;
use state::{Checkpoint, StateFault};
use tokio::time::{sleep, timeout};
use topics::{Backoff, Checkpoints, Mark, PartitionCounts};

use crate::{
    assignment::Assignment,
    commit_mark::CommitMark,
    consumer::{Bounds, Consumer, Offset, Wanted},
    drain::Drained,
    fault::{ClusterFault, KafkaFault},
    loss::Loss,
    loss_search::LossSearch,
    member::Member,
    name_of,
    place::{Known, Place},
    reader::{PartitionReader, ReadOptions},
    value::ValueForm,
};

/// How far ahead the horizon is promised, in records: as many as a broker's deliveries on disk.
const HORIZON_STEP: u64 = 1024;
/// How many partitions the cluster is asked about at a time.
const ASKED_MAX: usize = 16;

/// A partition that is taken up, and the claim under which its offset was committed.
type TakenUp<Q> = (Arc<Assignment<Q>>, Option<u64>);

impl<C: Consumer, K: Checkpoints> Member<C, K> {
    /// Takes these partitions up. Nothing of them is read before their places are known, and those that are new are on
    /// record.
    ///
    /// # Errors
    /// [`KafkaFault::NoPlace`], [`KafkaFault::ForeignMark`], a fault of the state, or of the client.
    pub(crate) async fn assign(&self, partitions: &[i32]) -> Result<(), KafkaFault> {
        self.counts.rebalanced();
        let mut assignments = Vec::with_capacity(partitions.len());
        if !partitions.is_empty() {
            let Some(group) = self.group_offsets(partitions).await else { return Ok(()) };
            self.cover().await?;
            let bounds = self.all_bounds(partitions).await;
            for (partition, bounds) in partitions.iter().zip(bounds) {
                let known = self.known(*partition, &group)?;
                let claimed = known.committed.and_then(|(_, mark)| mark?.claim);
                assignments.push((Arc::new(self.take_up(*partition, known, bounds)?), claimed));
            }
            self.pin(&assignments).await?;
        }
        let places: Vec<_> =
            assignments.iter().map(|(assignment, _)| (assignment.partition, assignment.place.from)).collect();
        self.consumer.assign(&places).map_err(|fault| self.fault(fault))?;
        let mut held = self.held.lock();
        for (assignment, _) in &assignments {
            assignment.counts.set_connected(true);
            held.insert(assignment.partition, Arc::clone(assignment));
        }
        self.counts.set_assigned(held.len());
        drop(held);
        self.counted.hold(partitions.iter().copied());
        assignments.into_iter().for_each(|(assignment, claimed)| self.give(assignment, claimed));
        if let Some(lease) = &self.lease {
            lease.want();
        }
        Ok(())
    }

    /// Gives these partitions up. Their streams end first; then, unless they are `lost`, what is under way comes to its
    /// end and what is settled is committed; a partition whose commit is refused is as good as lost.
    pub(crate) async fn revoke(&self, partitions: &[i32], lost: bool) {
        self.counts.rebalanced();
        if lost {
            self.lose(partitions);
        } else {
            self.release(partitions).await;
        }
        if let Err(fault) = self.consumer.unassign(partitions) {
            tracing::debug!(%fault, "partitions were given up already");
        }
    }

    async fn release(&self, partitions: &[i32]) {
        let taken = self.take(partitions);
        let known_to_line = taken.iter().filter(|held| !self.given.take_back(held.counts.source()));
        let within = self.release_within();
        let each = known_to_line.filter_map(|held| {
            let (drain, source) = (Arc::clone(self.drain()?), Arc::clone(held.counts.source()));
            Some(async move {
                let drained = match timeout(within, drain.release(&source)).await {
                    Ok(drained) => drained,
                    Err(_) => {
                        tracing::error!(%source, ?within, "deliveries of a partition that another member waits for have not come to an end in time: those that are under way may be sent again there");
                        let settled = drain.settled().into_iter().find(|(name, _)| *name == source);
                        drain.lose(&source);
                        Drained { cursor: settled.map(|(_, cursor)| cursor), clean: false }
                    }
                };
                (source, drained)
            })
        });
        let drained: HashMap<_, _> = join_all(each).await.into_iter().collect();
        let settled = drained
            .iter()
            .filter_map(|(source, drained)| Some((Arc::clone(source), drained.cursor.clone()?)))
            .collect();
        // Also if there is nothing to commit: none may be on its way when they are somebody else's.
        let committed = self.commit(self.news(&taken, &settled), "when partitions were given up").await;
        if !committed {
            self.counts.lose(taken.len());
        }
        self.give_up_state(&taken, &drained, committed).await;
        // Only now: what was on its way until here was permitted by it.
        self.counted.give_up(partitions);
        for held in &taken {
            tracing::info!(source = %held.counts.source(), "the partition was given up");
        }
    }

    /// What the group has committed of each partition; none if the run has ended while the cluster did not answer.
    async fn group_offsets(&self, partitions: &[i32]) -> Option<BTreeMap<i32, Offset>> {
        let cluster = &self.options.cluster;
        let mut backoff = Backoff::new(cluster.backoff_min, cluster.backoff_max);
        while !self.is_closing() {
            let highest = partitions.iter().max().map_or(0, |highest| highest + 1);
            let asked = async {
                let count = self.consumer.count().await?.max(highest);
                Ok((count, self.consumer.committed((0..count).collect()).await?))
            };
            match asked.await {
                Ok((count, offsets)) => {
                    self.set_partitions(count);
                    self.outage.over();
                    return Some(offsets.into_iter().map(|offset| (offset.partition, offset)).collect());
                }
                Err(fault) => self.outage.trouble(fault),
            }
            sleep(backoff.pause()).await;
        }
        None
    }

    /// What each partition's log holds; none of one whose leader does not answer, which holds up no other.
    pub(crate) fn all_bounds(&self, partitions: &[i32]) -> BoxFuture<'static, Vec<Option<Bounds>>> {
        let ask = |partition: &i32| {
            let (consumer, partition) = (Arc::clone(&self.consumer), *partition);
            async move { consumer.bounds(partition).await.ok() }.boxed()
        };
        let asked: Vec<_> = partitions.iter().map(ask).collect();
        stream::iter(asked).buffered(ASKED_MAX).collect().boxed()
    }

    fn known(&self, partition: i32, group: &BTreeMap<i32, Offset>) -> Result<Known, KafkaFault> {
        let source_name = name_of(&self.options.topic, partition);
        let number = u32::try_from(partition).unwrap_or_default();
        let checkpoint = match self.checkpoints.checkpoint(&source_name)? {
            None => None,
            Some(Checkpoint { offset, mark, .. }) => {
                let foreign =
                    || KafkaFault::ForeignMark { source_name: Arc::clone(&source_name), len: mark.len() };
                let own = Mark::new(&self.options.topic, number).decode(&mark).ok_or_else(foreign)?;
                Some((offset, own.last()))
            }
        };
        let marks = group.values().filter_map(|offset| CommitMark::decode(&offset.metadata));
        let known_partitions = marks.map(|mark| mark.partitions).max();
        let committed = group.get(&partition);
        let committed = committed.map(|found| (found.offset, CommitMark::decode(&found.metadata)));
        let grown = committed.is_none() && known_partitions.is_some_and(|known| partition >= known);
        if let (Some((committed, _)), Some((checkpoint, _))) = (committed, checkpoint)
            && checkpoint > committed
        {
            tracing::info!(source = %source_name, committed, checkpoint, "this state directory has settled more than the group has committed: going on at the checkpoint");
        }
        if grown {
            tracing::warn!(source = %source_name, "the partition was added to the topic: it is read from its beginning. Its producers spread loads over more partitions now, so events of a load that moved here may arrive before earlier ones that are still unread elsewhere");
        }
        Ok(Known { committed, checkpoint, grown })
    }

    fn take_up(
        &self,
        partition: i32,
        known: Known,
        bounds: Option<Bounds>,
    ) -> Result<Assignment<C::Queue>, KafkaFault> {
        let source = name_of(&self.options.topic, partition);
        let place = Place::find(self.options.start, self.options.on_loss, known, bounds)
            .ok_or_else(|| KafkaFault::NoPlace { source_name: Arc::clone(&source) })?;
        let at = place.at.unwrap_or(0);
        let number = u32::try_from(partition).unwrap_or_default();
        let counts =
            PartitionCounts::new(Arc::clone(&source), number, at, bounds.map_or(at, |bounds| bounds.end));
        if let Some((first, last)) = place.passed {
            counts.lose(last - first + 1);
            self.losses.add(&source, self.clock.now(), Loss::Removed { first, last }.phrase());
            tracing::error!(%source, first, last, "records were removed from the log before they were read; reading goes on without them");
        }
        tracing::info!(%source, position = ?place.at, end = ?bounds.map(|bounds| bounds.end), "reading the partition");
        Assignment::new(&*self.consumer, partition, Arc::new(counts), place)
            .map_err(|fault| self.fault(fault))
    }

    /// Puts places on record that are on no record yet, so that a run that ends before anything is settled changes
    /// nothing about what is still to be read.
    async fn pin(&self, assignments: &[TakenUp<C::Queue>]) -> Result<(), KafkaFault> {
        let assignments: Vec<_> = assignments.iter().map(|(assignment, _)| assignment).collect();
        if self.in_group() {
            let new = assignments.iter().filter(|assignment| !assignment.place.committed).copied();
            let news = self.news(new, &HashMap::new());
            let _taken = self.commit(news, "where reading begins").await;
            return Ok(());
        }
        let pinned: FuturesUnordered<_> =
            assignments.iter().map(|assignment| self.begin(assignment)).collect();
        let pinned: Vec<Result<(), StateFault>> = pinned.collect().await;
        Ok(pinned.into_iter().collect::<Result<(), _>>()?)
    }

    async fn begin(&self, assignment: &Assignment<C::Queue>) -> Result<(), StateFault> {
        let source = assignment.counts.source();
        let (Some(offset), None) = (assignment.place.at, self.checkpoints.checkpoint(source)?) else {
            return Ok(());
        };
        let mark = Mark::new(&self.options.topic, assignment.counts.partition()).encode().to_vec();
        self.checkpoints.begin(Arc::clone(source), Checkpoint { epoch: 0, offset, mark }).await
    }

    fn give(&self, assignment: Arc<Assignment<C::Queue>>, claimed: Option<u64>) {
        let (source, restored) =
            (Arc::clone(assignment.counts.source()), self.restored(assignment.partition, claimed));
        let options = ReadOptions {
            topic: Arc::from(&*self.options.topic),
            form: ValueForm { framing: self.options.framing, record_max: self.options.record_max },
            wanted: Wanted {
                record_max: self.options.record_max,
                id_header: self.options.id_header.as_deref().map(Arc::from),
            },
            on_loss: self.options.on_loss,
        };
        let cluster = &self.options.cluster;
        let search = LossSearch::new(Arc::clone(&self.consumer), cluster.backoff_min, cluster.backoff_max);
        let reader =
            PartitionReader::new(assignment, options, search, Arc::clone(&self.losses), self.clock.clone());
        let partition = SourcePartition::new(source, reader.boxed()).with_horizon_step(HORIZON_STEP);
        self.given.give(match restored {
            Some(restored) => partition.restoring(restored),
            None => partition,
        });
    }

    pub(crate) fn fault(&self, fault: ClusterFault) -> KafkaFault {
        KafkaFault::Cluster { bootstrap: self.options.cluster.bootstrap.join(","), fault }
    }
}
