//! Sends records to the state topics. A cluster that is away is waited for as long as it takes, and that is told once, and
//! once when it is over; a record that is refused is a fault, and nothing is sent after it.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::{
    options::FollowOptions,
    port::{StateRecord, StateTopic, StateWriter},
};
use crate::{
    fault::{ClusterFault, FollowFault},
    produce::Deliveries,
};

/// The pause between two looks at a full buffer: short beside the time a batch takes.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How long the cluster may take before that is told.
const TELL_AFTER: Duration = Duration::from_secs(5);

/// Sends to both topics.
pub(crate) struct Sending<W> {
    writer: W,
    ledger: String,
    waiting: String,
    /// Why nothing more is sent.
    refused: OnceLock<FollowFault>,
    /// Since when nothing was taken, once that was told.
    away: Mutex<Option<Instant>>,
}

impl<W: StateWriter> Sending<W> {
    pub(crate) fn new(writer: W, options: &FollowOptions) -> Self {
        let (ledger, waiting) = (options.ledger_topic.clone(), options.waiting_topic.clone());
        Self { writer, ledger, waiting, refused: OnceLock::new(), away: Mutex::default() }
    }

    /// The name of a topic.
    pub(crate) fn name(&self, topic: StateTopic) -> &str {
        match topic {
            StateTopic::Ledger => &self.ledger,
            StateTopic::Waiting => &self.waiting,
        }
    }

    /// Why nothing more is sent, if that is so.
    pub(crate) fn fault(&self) -> Option<FollowFault> {
        self.refused.get().cloned()
    }

    /// Takes a record on its way if there is room.
    pub(crate) fn offer(
        &self,
        record: &StateRecord,
        deliveries: &Arc<Deliveries>,
    ) -> Result<bool, FollowFault> {
        if let Some(fault) = self.fault() {
            return Err(fault);
        }
        self.writer.offer(record, deliveries).map_err(|fault| self.refuse(record.topic, fault))
    }

    /// Takes a record on its way as soon as there is room.
    pub(crate) async fn send(
        &self,
        record: &StateRecord,
        deliveries: &Arc<Deliveries>,
    ) -> Result<(), FollowFault> {
        let began = Instant::now();
        while !self.offer(record, deliveries)? {
            sleep(LOOK_AGAIN).await;
            self.waited_since(began);
        }
        Ok(())
    }

    /// Waits until the cluster has everything of `topic` that `deliveries` tell of.
    pub(crate) async fn settled(
        &self,
        topic: StateTopic,
        deliveries: &Deliveries,
    ) -> Result<(), FollowFault> {
        let began = Instant::now();
        loop {
            tokio::select! {
                // In this order, so that a run can be repeated.
                biased;
                settled = deliveries.settled() => {
                    settled.map_err(|fault| self.refuse(topic, fault))?;
                    if deliveries.taken() > 0 {
                        self.over();
                    }
                    return Ok(());
                }
                () = sleep(TELL_AFTER) => self.waited_since(began),
            }
        }
    }

    fn refuse(&self, topic: StateTopic, fault: ClusterFault) -> FollowFault {
        let topic = self.name(topic).to_owned();
        self.refused.get_or_init(|| FollowFault::Refused { topic, fault }).clone()
    }

    fn waited_since(&self, began: Instant) {
        let mut away = self.away.lock();
        if began.elapsed() < TELL_AFTER || away.is_some() {
            return;
        }
        *away = Some(began);
        let cause = self.writer.trouble();
        let cause = cause.map_or_else(|| "no answer".to_owned(), |cause| cause.to_string());
        tracing::warn!(ledger = %self.ledger, waiting = %self.waiting, cause, "the state topics take nothing: nothing is settled until they do, and reading stops when memory is full");
    }

    fn over(&self) {
        if let Some(since) = self.away.lock().take() {
            tracing::info!(away = ?since.elapsed(), "the state topics take records again");
        }
    }

    /// Whether an outage was told that is not over.
    #[cfg(test)]
    pub(crate) fn is_away(&self) -> bool {
        self.away.lock().is_some()
    }
}
