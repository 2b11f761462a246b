//! Takes a partition up: claims it in both topics, gives back what the topics know of it, then follows the ledger's topic
//! for as long as the partition is this process's.
//!
//! The claim is written first and both topics are read until it comes by, so that no end has to be asked for, and what
//! somebody else writes meanwhile stands behind it. Nothing is held but names and places of what waits; what is given waits
//! until it is taken.

use std::sync::Arc;

use state::{Horizon, LeftOpen, Restored};
use tokio::sync::mpsc;

use super::{
    appends::{self, Append, ClaimedPartition},
    fence::{Fence, is_delivered},
    port::{StateRecord, StateTopic, StateWriter},
    reader::Reader,
    record::{CLAIM_KEY, Claim, Said, StateValue, WaitingKey},
    shared_topics::{ClaimRequest, SharedTopics},
    waiting_order::{Survey, WaitingOrder},
};
use crate::{
    consumer::{Consumer, LogRecord, Queued, ReadFrom},
    fault::{ClusterFault, FollowFault},
    produce::Deliveries,
};

/// The most bytes of bodies that wait for an earlier delivery of their load.
const BUFFER_MAX: usize = 16 << 20;

/// One partition that is being taken up.
pub(super) struct Restoring<C: Consumer, W> {
    pub(super) shared: Arc<SharedTopics<C, W>>,
    pub(super) request: ClaimRequest,
    pub(super) state: Arc<ClaimedPartition>,
    pub(super) ledger: Reader<C>,
    pub(super) waiting: Reader<C>,
    pub(super) restored: mpsc::Sender<Result<Restored, FollowFault>>,
}

/// The line takes nothing any more, or the partition was given up.
struct Gone;

/// Why a partition is not taken up any further.
enum Stop {
    Gone,
    Fault(FollowFault),
}

impl From<FollowFault> for Stop {
    fn from(fault: FollowFault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Gone> for Stop {
    fn from(Gone: Gone) -> Self {
        Self::Gone
    }
}

impl<C: Consumer, W: StateWriter> Restoring<C, W> {
    /// Takes the partition up and follows it until it is given up.
    pub(super) async fn run(self, appends: mpsc::Receiver<Append>) {
        let next = match self.outcomes().await {
            Ok(next) => next,
            Err(stop) => {
                self.ledger.end();
                return self.stop(stop).await;
            }
        };
        let (shared, state) = (Arc::clone(&self.shared), Arc::clone(&self.state));
        let ledger = self.ledger.clone();
        let restoring = async move {
            match self.deliveries().await {
                Ok(()) => self.waiting.end(),
                Err(stop) => self.stop(stop).await,
            }
        };
        let tail = shared.tail(&ledger, &state, next);
        let ((), (), ()) = futures::join!(appends::run(&shared.sending, &state, appends), tail, restoring);
    }

    async fn stop(&self, stop: Stop) {
        self.waiting.end();
        if let Stop::Fault(fault) = stop {
            self.ledger.end();
            let _told = self.restored.send(Err(fault)).await.is_ok();
        }
    }

    /// Claims the partition and gives what counts before the claim; the place behind it.
    async fn outcomes(&self) -> Result<u64, Stop> {
        let claim = self.claim();
        let written = self.write(StateTopic::Ledger, 0, &claim).await;
        self.state.claim_sent();
        written?;
        let mut fence = Fence::after(self.request.from.map_or(0, |stamp| stamp.epoch));
        let mut met = Met::default();
        if self.request.from.is_some() {
            met.open.had_owner();
        }
        loop {
            let (record, value) = self.next(StateTopic::Ledger).await?;
            let (offset, own) = (record.offset(), Said::Claim(claim.clone()));
            let first = met.begins(offset);
            if value.said == own {
                let epoch = Fence::epoch_at(offset);
                self.check(StateTopic::Ledger, epoch, fence.current(), first == 0)?;
                self.state.claimed(epoch);
                self.state.stands_at(offset + 1);
                self.give(Restored::Left(met.open.left())).await?;
                return Ok(offset + 1);
            }
            let counts = fence.counts(offset, value.epoch, &value.said);
            match value.said {
                Said::Outcome { broker, event_id, entry } if counts => {
                    self.give(Restored::Outcome { broker, event_id, entry }).await?;
                }
                said if counts => met.note(&said),
                _ => {}
            }
        }
    }

    /// Gives what waits.
    async fn deliveries(&self) -> Result<(), Stop> {
        let mut order: Option<WaitingOrder> = None;
        loop {
            let survey = order.as_ref().map(WaitingOrder::again).unwrap_or_default();
            let end = self.survey(survey, &mut order).await?;
            let Some(order) = order.as_mut().filter(|order| order.left() > 0) else { return Ok(()) };
            loop {
                let before = order.left();
                self.restart().await;
                self.read_to(end, order).await?;
                if order.left() == 0 {
                    return Ok(());
                }
                if order.left() == before {
                    // The others were replaced and compacted away meanwhile: they stand behind the claim.
                    break;
                }
            }
            self.restart().await;
        }
    }

    /// Finds out what waits, up to a claim that is written now; where that stands.
    async fn survey(&self, mut survey: Survey, order: &mut Option<WaitingOrder>) -> Result<u64, Stop> {
        let (claim, epoch) = (self.claim(), self.state.epoch());
        self.write(StateTopic::Waiting, epoch, &claim).await?;
        let mut newest = 0;
        loop {
            let record = self.next_waiting().await?;
            let offset = record.offset();
            let Some(value) = self.value_of(StateTopic::Waiting, &record)? else {
                if let Some(key) = record.key.as_deref().and_then(WaitingKey::of_bytes) {
                    survey.done(&key);
                }
                continue;
            };
            match value.said {
                Said::Claim(found) if found == claim => {
                    if order.is_none() {
                        self.check(StateTopic::Waiting, epoch, newest, true)?;
                    }
                    *order = Some(survey.order(order.as_ref(), BUFFER_MAX));
                    return Ok(offset);
                }
                Said::Claim(_) => newest = newest.max(value.epoch),
                Said::Waiting(delivery) => {
                    newest = newest.max(value.epoch);
                    let key = WaitingKey::new(&delivery.broker, &delivery.event.position);
                    survey.put(key, &delivery, offset);
                }
                _ => {}
            }
        }
    }

    /// Gives what may be given of what is read up to the claim at `end`.
    async fn read_to(&self, end: u64, order: &mut WaitingOrder) -> Result<(), Stop> {
        order.rewind();
        let (mut ready, mut newest) = (Vec::new(), 0);
        while order.left() > 0 {
            let record = self.next_waiting().await?;
            let offset = record.offset();
            if offset >= end {
                return Ok(());
            }
            if let Some(StateValue { epoch, said }) = self.value_of(StateTopic::Waiting, &record)? {
                let is_late = epoch < newest;
                newest = newest.max(epoch);
                if let Said::Waiting(mut delivery) = said {
                    // Put back by an earlier owner that lives on: its successor may have sent it meanwhile.
                    delivery.may_repeat |= is_late;
                    order.read(delivery, offset, &mut ready);
                }
            }
            for restored in ready.drain(..) {
                self.give(restored).await?;
            }
        }
        Ok(())
    }

    async fn restart(&self) {
        if let Err(fault) = self.waiting.restart(ReadFrom::Oldest) {
            tracing::debug!(%fault, "the state partition could not be read again");
        }
    }

    /// That what the group has committed under is still there.
    fn check(
        &self,
        topic: StateTopic,
        own: u64,
        newest: u64,
        from_its_beginning: bool,
    ) -> Result<(), FollowFault> {
        let of_copy = self.request.from.map(|stamp| stamp.epoch);
        let Some(expected) = self.request.committed_under.max(of_copy) else { return Ok(()) };
        if own > expected && (newest >= expected || !from_its_beginning) {
            return Ok(());
        }
        let topic = self.shared.sending.name(topic).to_owned();
        let partition = self.request.partition;
        Err(FollowFault::Forgotten { topic, partition, expected, found: newest })
    }

    fn claim(&self) -> Claim {
        let options = &self.shared.options;
        Claim { member: Arc::clone(&options.member), nonce: self.shared.nonce() }
    }

    async fn write(&self, topic: StateTopic, epoch: u64, claim: &Claim) -> Result<(), FollowFault> {
        let value = StateValue { epoch, said: Said::Claim(claim.clone()) };
        let value = value.encode().map_err(|fault| FollowFault::Interrupted { detail: fault.to_string() })?;
        let key = (topic == StateTopic::Waiting).then(|| CLAIM_KEY.to_vec());
        let record = StateRecord { topic, partition: self.request.partition, key, value: Some(value) };
        let deliveries: Arc<Deliveries> = Arc::default();
        self.shared.sending.send(&record, &deliveries).await?;
        self.shared.sending.settled(topic, &deliveries).await
    }

    /// Waits until the line takes it. What was superseded is not given any more: the group takes the partition away.
    async fn give(&self, restored: Restored) -> Result<(), Gone> {
        if self.state.superseded().is_some() {
            self.restored.closed().await;
            return Err(Gone);
        }
        self.restored.send(Ok(restored)).await.map_err(|_| Gone)
    }

    /// The next record of the ledger's topic that says something.
    async fn next(&self, topic: StateTopic) -> Result<(LogRecord, StateValue), Stop> {
        loop {
            let record = self.shared.next(&self.ledger, topic).await.ok_or(Stop::Gone)?;
            if let Some(value) = self.value_of(topic, &record)? {
                return Ok((record, value));
            }
        }
    }

    async fn next_waiting(&self) -> Result<LogRecord, Stop> {
        self.shared.next(&self.waiting, StateTopic::Waiting).await.ok_or(Stop::Gone)
    }

    fn value_of(&self, topic: StateTopic, record: &LogRecord) -> Result<Option<StateValue>, FollowFault> {
        self.shared.value_of(topic, self.request.partition, record)
    }
}

/// What is met on the way to the own claim.
#[derive(Debug, Default)]
struct Met {
    /// The first offset that was read.
    first: Option<u64>,
    open: LeftOpen,
}

impl Met {
    /// The log was read at `offset`; where it was first read.
    fn begins(&mut self, offset: u64) -> u64 {
        if self.first.is_none() && offset > 0 {
            // Where retention has removed records somebody has written them.
            self.open.had_owner();
        }
        *self.first.get_or_insert(offset)
    }

    fn note(&mut self, said: &Said) {
        match said {
            Said::Claim(_) => self.open.claimed(),
            Said::Horizon(horizon) => self.open.may_read(*horizon),
            Said::Released(checkpoint) => {
                let settled = checkpoint.as_ref();
                self.open.released(settled.map(|to| Horizon { epoch: to.epoch, offset: to.offset }));
            }
            Said::Outcome { .. } | Said::Waiting(_) => {}
        }
    }
}

impl<C: Consumer, W: StateWriter> SharedTopics<C, W> {
    /// The next record; none once the reader is ended.
    async fn next(&self, reader: &Reader<C>, topic: StateTopic) -> Option<LogRecord> {
        loop {
            match reader.next().await? {
                Queued::Record(record) => return Some(record),
                Queued::End => {}
                // Retention has overtaken the place; of what it removed nothing counts any more.
                Queued::OutOfRange => {
                    if let Err(fault) = reader.restart(ReadFrom::Oldest) {
                        self.trouble(topic, &fault);
                    }
                }
                Queued::Trouble(fault) => self.trouble(topic, &fault),
            }
        }
    }

    fn trouble(&self, topic: StateTopic, fault: &ClusterFault) {
        tracing::debug!(topic = self.sending.name(topic), %fault, "reading a state topic; retrying");
    }

    fn value_of(
        &self,
        topic: StateTopic,
        partition: i32,
        record: &LogRecord,
    ) -> Result<Option<StateValue>, FollowFault> {
        let Some(value) = &record.value else { return Ok(None) };
        let unreadable = |detail| FollowFault::Unreadable {
            topic: self.sending.name(topic).to_owned(),
            partition,
            offset: record.offset(),
            detail,
        };
        StateValue::decode(value).map(Some).map_err(unreadable)
    }

    /// Follows the ledger's topic behind the own claim until the reader is ended or somebody else claims the partition.
    async fn tail(&self, reader: &Reader<C>, state: &ClaimedPartition, mut next: u64) {
        let (own, mut read_back) = (state.epoch(), 0);
        while let Some(record) = self.next(reader, StateTopic::Ledger).await {
            let offset = record.offset();
            if offset < next {
                continue;
            }
            next = offset + 1;
            let value = match self.value_of(StateTopic::Ledger, state.partition, &record) {
                Ok(Some(value)) => value,
                Ok(None) => continue,
                Err(fault) => {
                    // Whoever claims the partition next is told; this process knows what it has.
                    tracing::error!(source = %state.source, %fault, "a record of a state topic is passed over");
                    continue;
                }
            };
            match value.said {
                Said::Claim(claim) => {
                    let epoch = Fence::epoch_at(offset);
                    tracing::warn!(source = %state.source, member = %claim.member, own, epoch, "another member has claimed the partition");
                    state.supersede(epoch);
                    self.superseded(&state.source);
                    reader.end();
                    return;
                }
                _ if value.epoch == own => {
                    read_back += 1;
                    state.read_back(read_back);
                    state.stands_at(next);
                }
                said if is_delivered(&said) => {
                    if let Said::Outcome { broker, event_id, entry } = said {
                        self.late(&state.source, Restored::Outcome { broker, event_id, entry });
                    }
                }
                _ => {}
            }
        }
    }
}
