//! The state topics of a source: who has which partition's state, and what is appended to it.
//!
//! Guarantees: a partition's changes are appended under the epoch of this process's claim, in the order of the calls;
//! after another claim nothing more of it counts but deliveries that were made. What a partition is given back is complete
//! up to the claim.

use std::{collections::HashMap, fmt, sync::Arc};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use parking_lot::Mutex;
use state::{Checkpoint, PartitionChange, PartitionLog, PartitionLogFault, Restored};
use tokio::sync::{mpsc, oneshot};

use super::{
    appends::{self, Append, Appended, ClaimedPartition, Work},
    options::FollowOptions,
    port::StateWriter,
    reader::Reader,
    restoring::Restoring,
    shared_topics::{ClaimRequest, OnLate, OnSuperseded, SharedTopics, Stamp},
};
use crate::{
    consumer::{Consumer, ReadFrom},
    fault::{FollowFault, KafkaFault},
    name_of, partition_of_name,
};

/// How much of what is restored waits for the line.
const RESTORED_MAX: usize = 256;

/// What is restored of a partition, in the order that [`Restored`] tells.
pub type RestoredStream = BoxStream<'static, Result<Restored, FollowFault>>;

/// The state topics, and the partitions of them that are this process's. A clone is the same.
pub(crate) struct Follower<C: Consumer, W> {
    shared: Arc<SharedTopics<C, W>>,
    held: Arc<Mutex<HashMap<i32, Held<C>>>>,
    /// The last claim that was asked for, of each partition that was not given up since.
    asked: Arc<Mutex<HashMap<i32, u64>>>,
}

impl<C: Consumer, W> Clone for Follower<C, W> {
    fn clone(&self) -> Self {
        let Self { shared, held, asked } = self;
        Self { shared: Arc::clone(shared), held: Arc::clone(held), asked: Arc::clone(asked) }
    }
}

/// A partition that is, or was, this process's.
struct Held<C: Consumer> {
    state: Arc<ClaimedPartition>,
    appends: mpsc::Sender<Append>,
    readers: [Reader<C>; 2],
}

impl<C: Consumer> Held<C> {
    fn end(&self) {
        self.readers.iter().for_each(Reader::end);
    }
}

impl<C: Consumer, W: StateWriter> Follower<C, W> {
    /// Reads by a consumer of each topic and writes by `writer`.
    pub(crate) fn new(options: FollowOptions, ledger: C, waiting: C, writer: W) -> Self {
        let shared = SharedTopics::new(options, ledger, waiting, writer);
        Self { shared: Arc::new(shared), held: Arc::default(), asked: Arc::default() }
    }

    /// Tells from now on which partitions somebody else has claimed.
    pub(crate) fn on_superseded(&self, tell: OnSuperseded) {
        self.shared.on_superseded(tell);
    }

    /// Gives late outcomes from now on.
    pub(crate) fn on_late(&self, tell: OnLate) {
        self.shared.on_late(tell);
    }

    /// Takes a partition up as soon as the stream is polled, unless it has been given up by then: what it has is given
    /// back, and it may be appended to from then on. To be polled on a runtime.
    pub(crate) fn claim(&self, request: ClaimRequest) -> RestoredStream {
        let asked = self.shared.count_claim();
        let _before = self.asked.lock().insert(request.partition, asked);
        let follower = self.clone();
        let begun = async move {
            let (restored, mut given) = mpsc::channel(RESTORED_MAX);
            if follower.asked.lock().get(&request.partition) != Some(&asked) {
                return stream::pending().boxed();
            }
            match follower.begin(request, restored) {
                Ok(()) => stream::poll_fn(move |context| given.poll_recv(context)).boxed(),
                Err(fault) => stream::iter([Err(fault)]).boxed(),
            }
        };
        stream::once(begun).flatten().boxed()
    }

    fn begin(
        &self,
        request: ClaimRequest,
        restored: mpsc::Sender<Result<Restored, FollowFault>>,
    ) -> Result<(), FollowFault> {
        let (shared, partition) = (&self.shared, request.partition);
        if let Some(before) = self.held.lock().remove(&partition) {
            before.end();
        }
        let source = name_of(&shared.options.source_topic, partition);
        let from = request.from.map_or(ReadFrom::Oldest, |stamp| ReadFrom::Offset(stamp.offset));
        let fault = |fault| FollowFault::Cluster(KafkaFault::Client { detail: format!("{fault}") });
        let ledger = Reader::open(&shared.ledger, partition, from).map_err(fault)?;
        let waiting = Reader::open(&shared.waiting, partition, ReadFrom::Oldest).map_err(fault)?;
        let (appends, waits) = mpsc::channel(appends::APPENDS_MAX);
        let state = Arc::new(ClaimedPartition::new(source, partition));
        let readers = [ledger.clone(), waiting.clone()];
        let _none = self.held.lock().insert(partition, Held { state: Arc::clone(&state), appends, readers });
        let restoring = Restoring { shared: Arc::clone(shared), request, state, ledger, waiting, restored };
        // It ends when the partition is given up and nobody appends to it any more.
        let _detached = tokio::spawn(restoring.run(waits));
        Ok(())
    }

    /// Returns once no claim of this process's is on its way: behind that of whoever has the partition next it would take it
    /// away again.
    pub(crate) async fn claim_arrived(&self, partition: i32) {
        let _never_begun = self.asked.lock().remove(&partition);
        let state = self.held.lock().get(&partition).map(|held| Arc::clone(&held.state));
        if let Some(state) = state {
            state.claim_arrived().await;
        }
    }

    /// Gives a partition up in good order: nothing of it is appended any more, and it is settled up to `checkpoint`.
    ///
    /// # Errors
    /// [`PartitionLogFault`]: whoever claims it next takes it for one whose owner has died.
    pub(crate) async fn release(
        &self,
        partition: i32,
        checkpoint: Option<Checkpoint>,
    ) -> Result<(), PartitionLogFault> {
        let _claim = self.asked.lock().remove(&partition);
        let found = {
            let held = self.held.lock();
            held.get(&partition).map(|held| (held.appends.clone(), Arc::clone(&held.state)))
        };
        let Some((appends, state)) = found else { return Ok(()) };
        if state.epoch() == 0 {
            // Nothing of it was even begun.
            self.lose(partition);
            return Ok(());
        }
        let released = match submit(&appends, Work::Released(checkpoint)) {
            Ok(reply) => answer(reply).await,
            Err(fault) => Err(fault),
        };
        if released.is_ok() {
            appends::wait_for_tombstones(&state).await;
        }
        drop(appends);
        if let Some(held) = self.held.lock().remove(&partition) {
            held.end();
        }
        released
    }

    /// Somebody else has the partition, or will in a moment: of what is still appended only deliveries that were made are
    /// written.
    pub(crate) fn lose(&self, partition: i32) {
        let _claim = self.asked.lock().remove(&partition);
        if let Some(held) = self.held.lock().get(&partition) {
            held.state.supersede(0);
            held.end();
        }
    }

    /// Whether everything of a partition has come to its end, as far as the last horizon that was appended says.
    pub(crate) fn is_clean(&self, partition: i32) -> bool {
        self.held.lock().get(&partition).is_some_and(|held| held.state.is_clean())
    }

    /// The epoch of this process's claim of a partition, once it was read back.
    pub(crate) fn epoch(&self, partition: i32) -> Option<u64> {
        self.held.lock().get(&partition).map(|held| held.state.epoch()).filter(|epoch| *epoch > 0)
    }

    /// What a local copy of a partition's outcomes reflects that has everything which was appended before this call and
    /// answered.
    pub(crate) fn stamp(&self, partition: i32) -> Option<Stamp> {
        let held = self.held.lock();
        let state = &held.get(&partition)?.state;
        Some(Stamp { epoch: state.epoch(), offset: state.standing()? })
    }

    /// Whether it was told that the topics take nothing, and they still do not.
    #[cfg(test)]
    pub(crate) fn is_away(&self) -> bool {
        self.shared.sending.is_away()
    }

    fn submit(
        &self,
        source: &Arc<str>,
        changes: Vec<PartitionChange>,
    ) -> Result<oneshot::Receiver<Appended>, PartitionLogFault> {
        let topic = &self.shared.options.source_topic;
        let partition =
            partition_of_name(source).filter(|(found, _)| found == topic).map(|(_, partition)| partition);
        let held = self.held.lock();
        let Some(held) = partition.and_then(|partition| held.get(&partition)) else {
            return Err(PartitionLogFault::Superseded { source_name: Arc::clone(source), epoch: 0 });
        };
        submit(&held.appends, Work::Changes(changes))
    }
}

fn submit(
    appends: &mpsc::Sender<Append>,
    work: Work,
) -> Result<oneshot::Receiver<Appended>, PartitionLogFault> {
    let (reply, answer) = oneshot::channel();
    let full = |_| PartitionLogFault::Failed {
        detail: format!(
            "more than {} appends of a partition are under way, or it cannot be appended to; start again",
            appends::APPENDS_MAX
        )
        .into(),
    };
    appends.try_send(Append { work, reply }).map_err(full)?;
    Ok(answer)
}

async fn answer(reply: oneshot::Receiver<Appended>) -> Appended {
    let ended = |_| PartitionLogFault::Failed {
        detail: "the state of the partition could not be brought here".into(),
    };
    reply.await.map_err(ended)?
}

impl<C: Consumer, W: StateWriter> fmt::Debug for Follower<C, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

impl<C: Consumer, W: StateWriter> PartitionLog for Follower<C, W> {
    fn append(&self, source: &Arc<str>, changes: Vec<PartitionChange>) -> state::Appended {
        let submitted = self.submit(source, changes);
        Box::pin(async move { answer(submitted?).await })
    }
}
