//! What is appended of one partition, on its way to both topics.
//!
//! Guarantees: changes reach a topic in the order in which they were appended; a waiting delivery is acknowledged before
//! its outcome is sent; a delivery that is done is removed only behind its final outcome. Several appends are on their way
//! at once: those of the ledger's topic follow each other without waiting for acknowledgements.
//!
//! What is held: what the caller has appended and was not told of yet, at most [`APPENDS_MAX`] appends, and what the
//! client's buffer holds.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use futures::future::join3;
use parking_lot::Mutex;
use state::{Checkpoint, PartitionChange, PartitionLogFault};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::{Duration, sleep, timeout},
};

use super::{
    fence::is_delivered,
    port::{StateRecord, StateTopic, StateWriter},
    record::{Said, StateValue, WaitingKey},
    sending::Sending,
    tombstones::Tombstones,
};
use crate::{fault::FollowFault, produce::Deliveries};

/// How many appends of a partition may be under way: each is a group commit, and a caller has a few.
pub(super) const APPENDS_MAX: usize = 256;
/// The pause after a full buffer, for what nobody waits for.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How long a partition that is given up waits for its last tombstones. What is left costs room and nothing else.
const LAST_TOMBSTONES: Duration = Duration::from_secs(2);

/// How an append ends.
pub(super) type Appended = Result<(), PartitionLogFault>;

/// What is appended.
#[derive(Debug)]
pub(super) enum Work {
    Changes(Vec<PartitionChange>),
    Released(Option<Checkpoint>),
}

/// An append, and whom to tell.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) work: Work,
    pub(super) reply: oneshot::Sender<Appended>,
}

/// What is known of a partition while this process has it.
#[derive(Debug)]
pub(crate) struct ClaimedPartition {
    pub(super) source: Arc<str>,
    pub(super) partition: i32,
    /// Whether the claim is in the topic, or will never be.
    claim_sent: AtomicBool,
    /// Known once the claim was read back.
    epoch: OnceLock<u64>,
    /// The epoch of a later claim by somebody else; 0 if the group has said so and nothing was read.
    superseded: OnceLock<u64>,
    tombstones: Mutex<Tombstones>,
    removable: Notify,
    arrived: Notify,
    /// How far the ledger's topic was read back.
    read_to: AtomicU64,
    /// The last horizon that was appended says that nothing is under way.
    clean: AtomicBool,
}

impl ClaimedPartition {
    pub(super) fn new(source: Arc<str>, partition: i32) -> Self {
        Self {
            source,
            partition,
            claim_sent: AtomicBool::new(false),
            epoch: OnceLock::new(),
            superseded: OnceLock::new(),
            tombstones: Mutex::default(),
            removable: Notify::new(),
            arrived: Notify::new(),
            read_to: AtomicU64::new(0),
            clean: AtomicBool::new(false),
        }
    }

    /// The claim is in the topic, or will never be.
    pub(super) fn claim_sent(&self) {
        self.claim_sent.store(true, Ordering::Release);
        self.arrived.notify_waiters();
    }

    /// Returns once no claim is on its way any more.
    pub(super) async fn claim_arrived(&self) {
        loop {
            let arrived = self.arrived.notified();
            if self.claim_sent.load(Ordering::Acquire) {
                return;
            }
            arrived.await;
        }
    }

    /// The claim was read back.
    pub(super) fn claimed(&self, epoch: u64) {
        let _first = self.epoch.set(epoch).is_ok();
    }

    /// Its epoch; 0 until the claim was read back.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.get().copied().unwrap_or(0)
    }

    /// Somebody else has the partition.
    pub(super) fn supersede(&self, epoch: u64) {
        let _first = self.superseded.set(epoch).is_ok();
    }

    pub(super) fn superseded(&self) -> Option<PartitionLogFault> {
        let source_name = Arc::clone(&self.source);
        self.superseded.get().map(|epoch| PartitionLogFault::Superseded { source_name, epoch: *epoch })
    }

    /// So many records of this epoch have been read back, before any other claim.
    pub(super) fn read_back(&self, count: u64) {
        self.tombstones.lock().read_back(count);
        self.removable.notify_one();
    }

    /// Whether everything has come to its end, as far as horizons say.
    pub(super) fn is_clean(&self) -> bool {
        self.clean.load(Ordering::Acquire)
    }

    /// Everything of the ledger's topic before `next` has been read back.
    pub(super) fn stands_at(&self, next: u64) {
        self.read_to.store(next, Ordering::Release);
    }

    /// The first offset of the ledger's topic that was not read back; none before anything was.
    pub(super) fn standing(&self) -> Option<u64> {
        Some(self.read_to.load(Ordering::Acquire)).filter(|next| *next > 0)
    }
}

/// An append on its way.
struct Moving {
    number: u64,
    /// Each with whether it counts whoever has the partition.
    ledger: Vec<(bool, StateRecord)>,
    deliveries: Arc<Deliveries>,
    outcome: Appended,
    reply: oneshot::Sender<Appended>,
}

/// Carries out what comes through `appends`, until nobody appends any more.
pub(super) async fn run<W: StateWriter>(
    sending: &Sending<W>,
    state: &ClaimedPartition,
    appends: mpsc::Receiver<Append>,
) {
    let (to_ledger, from_waiting) = mpsc::channel(APPENDS_MAX);
    let (to_reply, from_ledger) = mpsc::channel(APPENDS_MAX);
    let appender = Appender { sending, state };
    tokio::select! {
        // In this order, so that a run can be repeated.
        biased;
        ((), (), ()) = join3(
            appender.send_waiting(appends, to_ledger),
            appender.send_ledger(from_waiting, to_reply),
            appender.reply(from_ledger),
        ) => {}
        () = appender.remove() => {}
    }
}

struct Appender<'a, W> {
    sending: &'a Sending<W>,
    state: &'a ClaimedPartition,
}

impl<W: StateWriter> Appender<'_, W> {
    async fn send_waiting(&self, mut appends: mpsc::Receiver<Append>, next: mpsc::Sender<Moving>) {
        let mut number = 0;
        while let Some(Append { work, reply }) = appends.recv().await {
            number += 1;
            let (ledger, deliveries) = (Vec::new(), Arc::default());
            let mut moving = Moving { number, ledger, deliveries, outcome: Ok(()), reply };
            if let Err(fault) = self.begin(work, &mut moving).await {
                moving.outcome = Err(fault.into());
            }
            if next.send(moving).await.is_err() {
                return;
            }
        }
    }

    /// Sends what waits; the rest is for the next stage.
    async fn begin(&self, work: Work, moving: &mut Moving) -> Result<(), FollowFault> {
        let is_superseded = self.state.superseded().is_some();
        let changes = match work {
            Work::Changes(changes) => changes,
            Work::Released(checkpoint) => {
                moving.ledger.push((false, self.ledger_record(Said::Released(checkpoint))?));
                return Ok(());
            }
        };
        for change in changes {
            match change {
                PartitionChange::Outcome { broker, event_id, entry } => {
                    let said = Said::Outcome { broker, event_id, entry };
                    moving.ledger.push((is_delivered(&said), self.ledger_record(said)?));
                }
                PartitionChange::Horizon(horizon) => {
                    self.state.clean.store(horizon.is_none(), Ordering::Release);
                    moving.ledger.push((false, self.ledger_record(Said::Horizon(horizon))?));
                }
                PartitionChange::Waiting(_) | PartitionChange::Done { .. } if is_superseded => {}
                PartitionChange::Waiting(delivery) => {
                    let key = WaitingKey::new(&delivery.broker, &delivery.event.position);
                    self.state.tombstones.lock().waits(&key);
                    let value = self.value(Said::Waiting(delivery))?;
                    let record = self.waiting_record(&key, Some(value));
                    self.sending.send(&record, &moving.deliveries).await?;
                }
                PartitionChange::Done { broker, position } => {
                    let key = WaitingKey::new(&broker, &position);
                    self.state.tombstones.lock().done(moving.number, key);
                }
            }
        }
        Ok(())
    }

    async fn send_ledger(&self, mut moving: mpsc::Receiver<Moving>, next: mpsc::Sender<Moving>) {
        let mut sent = 0;
        while let Some(mut append) = moving.recv().await {
            if append.outcome.is_ok()
                && let Err(fault) = self.outcomes(&mut append, &mut sent).await
            {
                append.outcome = Err(fault.into());
            }
            if next.send(append).await.is_err() {
                return;
            }
        }
    }

    /// Sends the records of the ledger's topic, once what waits is there.
    async fn outcomes(&self, append: &mut Moving, sent: &mut u64) -> Result<(), FollowFault> {
        self.sending.settled(StateTopic::Waiting, &append.deliveries).await?;
        append.deliveries = Arc::default();
        let superseded = self.state.superseded();
        for (counts_always, record) in append.ledger.drain(..) {
            if superseded.is_none() || counts_always {
                self.sending.send(&record, &append.deliveries).await?;
                *sent += 1;
            }
        }
        self.state.tombstones.lock().appended(append.number, *sent);
        // What is to be removed may stand behind nothing that is still to be read back.
        self.state.removable.notify_one();
        if let Some(fault) = superseded {
            append.outcome = Err(fault);
        }
        Ok(())
    }

    async fn reply(&self, mut moving: mpsc::Receiver<Moving>) {
        while let Some(append) = moving.recv().await {
            let settled = self.sending.settled(StateTopic::Ledger, &append.deliveries).await;
            let superseded = || self.state.superseded().map_or(Ok(()), Err);
            let outcome = append.outcome.and(settled.map_err(Into::into)).and_then(|()| superseded());
            // Whoever has gone needs no answer.
            let _told = append.reply.send(outcome).is_ok();
        }
    }

    /// Removes what waits no longer; ends only when nothing can be sent any more.
    async fn remove(&self) {
        let deliveries = Arc::default();
        loop {
            // Looked at again at each try: it may wait again by now.
            let key = self.state.tombstones.lock().next().cloned();
            let Some(key) = key.filter(|_| self.state.superseded().is_none()) else {
                self.state.removable.notified().await;
                continue;
            };
            match self.sending.offer(&self.waiting_record(&key, None), &deliveries) {
                Ok(true) => self.state.tombstones.lock().take(),
                Ok(false) => sleep(LOOK_AGAIN).await,
                // Told by whoever appends; those that wait for an answer get it.
                Err(_) => return std::future::pending().await,
            }
        }
    }

    fn ledger_record(&self, said: Said) -> Result<StateRecord, FollowFault> {
        let (topic, partition, value) = (StateTopic::Ledger, self.state.partition, self.value(said)?);
        Ok(StateRecord { topic, partition, key: None, value: Some(value) })
    }

    fn waiting_record(&self, key: &WaitingKey, value: Option<Vec<u8>>) -> StateRecord {
        let (topic, partition) = (StateTopic::Waiting, self.state.partition);
        StateRecord { topic, partition, key: Some(key.as_bytes().to_vec()), value }
    }

    fn value(&self, said: Said) -> Result<Vec<u8>, FollowFault> {
        let value = StateValue { epoch: self.state.epoch(), said };
        value.encode().map_err(|fault| FollowFault::Interrupted { detail: fault.to_string() })
    }
}

/// Waits until nothing is left to be removed, for a while.
pub(super) async fn wait_for_tombstones(state: &ClaimedPartition) {
    let none_left = async {
        while !state.tombstones.lock().is_empty() {
            sleep(LOOK_AGAIN).await;
        }
    };
    if timeout(LAST_TOMBSTONES, none_left).await.is_err() {
        tracing::debug!(source = %state.source, "some deliveries that are done stay in the state topic until the partition is claimed again");
    }
}
