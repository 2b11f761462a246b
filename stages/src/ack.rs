//! A verdict enters with what it is about; it leaves as the proof that it is on record, durably.
//!
//! Every verdict passes here exactly once, gets one log line and is counted. A dead letter's line is a warning only if it
//! is the first of its kind. The record takes its place in the ledger's
//! order of writes when the method is called, not when its answer is awaited.

use std::{future::Future, sync::Arc, time::Duration};

use state::{
    Clock, DeadLetter, Disabled, History, Ledger, Record, Recorded, SpillSeq, SpilledDelivery, StageName,
    StateFault, Word,
};
use tokio::time::Instant;

use crate::{
    letter_log::{LetterLog, Untold},
    models::{Delivery, Fault, RawRecord, Receipt, Rejection, Undeliverable, Verdict},
    tally::Tally,
};

/// What [`Ack`] gives for the end of a delivery's run through the stages.
#[derive(Debug)]
pub enum Settled {
    /// Its way has ended, and that is on record.
    Recorded(Recorded),
    /// It must wait on disk.
    Spilled {
        /// The attempts made.
        history: History,
        /// Not before this moment; none if only the broker's own state holds it back.
        not_before: Option<Instant>,
    },
}

/// What has to be recorded of the end of a delivery's way.
enum End {
    One(Record),
    Many(Vec<Record>),
    Spilled(Settled),
}

/// The same on its way to the disk.
enum Submitted<One, Many> {
    One(One),
    Many(Many),
    Spilled(Settled),
}

/// Puts verdicts on record. Clones share everything.
#[derive(Clone, Debug)]
pub struct Ack(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    ledger: Ledger,
    clock: Clock,
    tally: Arc<Tally>,
    letters: LetterLog,
}

impl Ack {
    /// Records in `ledger`.
    #[must_use]
    pub fn new(ledger: &Ledger, clock: Clock) -> Self {
        let (tally, letters) = (Arc::default(), LetterLog::default());
        Self(Arc::new(Parts { ledger: ledger.clone(), clock, tally, letters }))
    }

    /// What has been counted for records that never became deliveries.
    #[must_use]
    pub fn tally(&self) -> Arc<Tally> {
        self.0.tally.clone()
    }

    /// Where the time comes from.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The ledger the verdicts go to.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    /// Records what became of a record as a whole: rejected, or wanted by no broker.
    ///
    /// # Errors
    /// The fault that keeps it from being recorded.
    pub fn settle_record(
        &self,
        raw: RawRecord,
        rejection: Option<Rejection>,
    ) -> impl Future<Output = Result<Recorded, Fault>> + Send + use<> {
        let record = match rejection {
            None => {
                self.0.tally.unrouted.add(1);
                tracing::debug!(position = %raw.position, verdict = "unrouted");
                Record::Noted { spilled: None }
            }
            Some(rejection) => {
                self.0.tally.rejected.add(1);
                self.log_rejected(&raw, &rejection);
                Record::DeadLettered {
                    letter: Box::new(self.rejected(raw, rejection)),
                    key: None,
                    spilled: None,
                }
            }
        };
        let (started, tally) = (Instant::now(), self.0.tally.clone());
        let recorded = self.0.ledger.record(record);
        async move {
            let recorded = recorded.await?;
            tally.times.ack.note(started.elapsed());
            Ok(recorded)
        }
    }

    /// Records the end of a delivery's way: taken, not needed, or given up. A spilled delivery's way has not ended:
    /// that verdict comes back, for the line to find it a place on disk.
    ///
    /// # Errors
    /// The fault that keeps it from being recorded.
    pub fn settle(
        &self,
        delivery: &Delivery,
        end: Result<Receipt, Verdict>,
    ) -> impl Future<Output = Result<Settled, Fault>> + Send + use<> {
        let (started, tally) = (Instant::now(), self.0.tally.clone());
        let submitted = match self.record_of(delivery, end) {
            End::One(record) => Submitted::One(self.0.ledger.record(record)),
            End::Many(records) => Submitted::Many(self.0.ledger.record_all(records)),
            End::Spilled(settled) => Submitted::Spilled(settled),
        };
        let progress = delivery.progress.clone();
        async move {
            let proof = match submitted {
                Submitted::One(recorded) => recorded.await?,
                Submitted::Many(recorded) => recorded.await?.pop().ok_or(Fault::State(StateFault::Closed))?,
                Submitted::Spilled(settled) => return Ok(settled),
            };
            // Here, where every outcome becomes durable: a place in the attempts journal must not be kept for ever.
            if let Some(mark) = progress.take_mark() {
                mark.release();
            }
            tally.times.ack.note(started.elapsed());
            Ok(Settled::Recorded(proof))
        }
    }

    /// What has to be recorded of the end of a delivery's way; counts it and says so.
    fn record_of(&self, delivery: &Delivery, end: Result<Receipt, Verdict>) -> End {
        End::One(match end {
            Ok(receipt) => {
                let event = delivery.event();
                let took = Duration::from_millis(receipt.at.saturating_sub(event.read_at));
                delivery.broker.tally.latency.note(took);
                delivered(delivery, receipt.failed_attempts)
            }
            Err(Verdict::Delivered { failed_attempts }) => delivered(delivery, failed_attempts),
            Err(Verdict::Undeliverable { why, history }) => {
                return End::Many(self.undeliverable(delivery, &why, history));
            }
            Err(Verdict::Spilled { history, not_before }) => {
                return End::Spilled(Settled::Spilled { history, not_before });
            }
            Err(Verdict::Duplicate { .. } | Verdict::Unrouted | Verdict::Rejected(_)) => {
                delivery.broker.tally.duplicates.add(1);
                log(delivery, "duplicate", 0);
                Record::Noted { spilled: delivery.begin_recording() }
            }
        })
    }

    /// Records that deliveries of one broker wait on disk, in this order and together; with `sent_below`, that those below
    /// this number may be sent from memory meanwhile.
    ///
    /// # Errors
    /// The fault that keeps them from being recorded.
    pub fn settle_spilled(
        &self,
        deliveries: Vec<SpilledDelivery>,
        sent_below: Option<SpillSeq>,
    ) -> impl Future<Output = Result<Vec<Recorded>, Fault>> + Send + use<> {
        for delivery in &deliveries {
            let event = &delivery.event;
            tracing::debug!(position = %event.position, broker = %delivery.broker, event = %Word(&event.event_id),
                load = %Word(&event.load_id), verdict = "spilled", attempts = delivery.history.attempts);
        }
        let broker = deliveries.first().map(|delivery| delivery.broker.clone());
        let horizon = broker.zip(sent_below).map(|(broker, seq)| Record::DrainHorizon(broker, seq));
        let first = usize::from(horizon.is_some());
        let spilled = deliveries.into_iter().map(|delivery| Record::Spilled(Box::new(delivery)));
        let recorded = self.0.ledger.record_all(horizon.into_iter().chain(spilled).collect());
        async move {
            let mut proofs = recorded.await?;
            Ok(proofs.split_off(first))
        }
    }

    /// Records that dead letters' deliveries wait on disk, in this order and together, and that their letters are gone.
    ///
    /// # Errors
    /// The fault that keeps them from being recorded.
    pub fn put_back(
        &self,
        deliveries: Vec<(SpilledDelivery, Option<DeadLetter>)>,
    ) -> impl Future<Output = Result<Vec<Recorded>, Fault>> + Send + use<> {
        let records = deliveries.into_iter().map(|(delivery, letter)| {
            let event = &delivery.event;
            tracing::debug!(position = %event.position, broker = %delivery.broker, event = %Word(&event.event_id),
                load = %Word(&event.load_id), verdict = "replayed", attempts = delivery.history.attempts);
            Record::Replayed { delivery: Box::new(delivery), letter: letter.map(Box::new) }
        });
        let recorded = self.0.ledger.record_all(records.collect());
        async move { Ok(recorded.await?) }
    }

    fn undeliverable(&self, delivery: &Delivery, why: &Undeliverable, history: History) -> Vec<Record> {
        let (event, broker) = (delivery.event(), &delivery.broker);
        broker.tally.dead_letters.add(1);
        self.log_undeliverable(delivery, why, &history);
        let conflict = matches!(why, Undeliverable::Conflict { .. });
        broker.tally.conflicts.add(u64::from(conflict));
        broker.tally.queue_full.add(u64::from(*why == Undeliverable::QueueFull));
        let key = delivery.ledger_key();
        let mut records = Vec::with_capacity(2);
        if *why == Undeliverable::BrokerDisabled {
            records.extend(self.newly_disabled(delivery));
        }
        records.push(Record::DeadLettered {
            letter: Box::new(self.letter(delivery, why, history)),
            // A conflict leaves the entry of the event it conflicts with as it is.
            key: (!conflict).then_some((key, event.digest)),
            spilled: delivery.begin_recording(),
        });
        records
    }

    /// The first of a kind is a warning, the others are for whoever looks closely.
    fn log_rejected(&self, raw: &RawRecord, rejection: &Rejection) {
        let Rejection { stage, cause, detail, .. } = rejection;
        let (position, verdict, stage) = (&raw.position, "rejected", stage.as_str());
        let detail = Word(detail);
        if self.0.letters.is_news(None, cause) {
            tracing::warn!(%position, verdict, stage, cause, %detail);
        } else {
            tracing::debug!(%position, verdict, stage, cause, %detail);
        }
    }

    fn log_undeliverable(&self, delivery: &Delivery, why: &Undeliverable, history: &History) {
        let (event, broker) = (delivery.event(), &delivery.broker.id);
        let (position, load, verdict) = (&event.position, Word(&event.load_id), "undeliverable");
        let (event, cause, attempts) = (Word(&event.event_id), why.cause(), history.attempts);
        if self.0.letters.is_news(Some(broker), cause) {
            tracing::warn!(%position, %broker, %event, %load, verdict, cause, attempts);
        } else {
            tracing::debug!(%position, %broker, %event, %load, verdict, cause, attempts);
        }
    }

    /// Tells the log of dead letters that had no line of their own: of kinds that were quiet for a minute, or, at the end
    /// of a run, of all. To be called every few seconds.
    pub fn tell_letters(&self, all: bool) {
        for Untold { broker, cause, letters } in self.0.letters.untold(all) {
            match broker {
                Some(broker) => tracing::warn!(%broker, cause, letters, "more dead letters"),
                None => tracing::warn!(cause, letters, "more records became dead letters"),
            }
        }
    }

    /// The record that keeps a broker disabled across restarts, the first time it is seen disabled.
    fn newly_disabled(&self, delivery: &Delivery) -> Option<Record> {
        let broker = &delivery.broker;
        let reason = broker.health.disabled_reason()?.to_string();
        if !broker.tally.note_disabled() {
            return None;
        }
        tracing::error!(broker = %broker.id, %reason, "broker disabled: its deliveries become dead letters");
        let disabled = Disabled { since: self.0.clock.now(), reason };
        Some(Record::Disabled(broker.id.clone(), Some(disabled)))
    }

    fn rejected(&self, raw: RawRecord, rejection: Rejection) -> DeadLetter {
        DeadLetter {
            position: raw.position,
            broker: None,
            stage: rejection.stage,
            cause: rejection.cause.to_owned(),
            detail: rejection.detail,
            at: self.0.clock.now(),
            history: History::default(),
            event_id: rejection.event_id,
            load_id: rejection.load_id,
            status: rejection.status,
            body: raw.bytes.to_vec(),
            body_len: raw.full_len,
        }
    }

    fn letter(&self, delivery: &Delivery, why: &Undeliverable, mut history: History) -> DeadLetter {
        let event = delivery.event();
        // All that is left of it if it is sent again.
        history.may_have_arrived |= delivery.may_have_arrived();
        let conflict = matches!(why, Undeliverable::Conflict { .. });
        DeadLetter {
            position: event.position.clone(),
            broker: Some(delivery.broker.id.clone()),
            stage: if conflict { StageName::Dedupe } else { StageName::Deliver },
            cause: why.cause().to_owned(),
            detail: why.to_string(),
            at: self.0.clock.now(),
            history,
            event_id: Some(event.event_id.to_string()),
            load_id: Some(event.load_id.to_string()),
            status: Some(event.status.to_string()),
            body: event.body.to_vec(),
            body_len: event.body.len() as u64,
        }
    }
}

fn delivered(delivery: &Delivery, failed_attempts: u32) -> Record {
    delivery.broker.tally.delivered.add(1);
    log(delivery, "delivered", failed_attempts);
    Record::Delivered {
        key: delivery.ledger_key(),
        digest: delivery.event().digest,
        failed_attempts,
        spilled: delivery.begin_recording(),
    }
}

fn log(delivery: &Delivery, verdict: &'static str, failed_attempts: u32) {
    let event = delivery.event();
    tracing::debug!(position = %event.position, broker = %delivery.broker.id, event = %Word(&event.event_id),
        load = %Word(&event.load_id), verdict, failed_attempts);
}

#[cfg(test)]
mod tests {
    use state::{CommitOptions, Durability, Store, StoreOptions};

    use super::*;
    use crate::{
        Dedupe, Stage,
        testing::{broker_with, fresh},
    };

    #[tokio::test]
    async fn every_outcome_gives_the_place_in_the_attempts_journal_up_and_a_wait_on_disk_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let (durability, clock) = (Durability::Process, Clock::System);
        let options =
            StoreOptions { durability, dedupe_window: 3_600_000, cache: 8 << 20, clock: clock.clone() };
        let commits = CommitOptions { commit_max: 8, linger: Duration::ZERO, inbox_max: 8 };
        let (ledger, _thread) = Ledger::start(Store::open(dir.path(), options).unwrap(), commits).unwrap();
        let (ack, broker) = (Ack::new(&ledger, clock), Arc::new(broker_with("acme", 1.0, 1)));
        let spilled = Verdict::Spilled { history: History::default(), not_before: None };
        let given_up = Verdict::Undeliverable { why: Undeliverable::TooOld, history: History::default() };
        for (verdict, left) in [(spilled, 1), (given_up, 0)] {
            let delivery = fresh(&broker).into_delivery();
            let fresh = Dedupe::new(&ledger).run(delivery).await.unwrap();
            let _ordinal = fresh.delivery().begin_attempt().unwrap();
            assert_eq!(ledger.attempts_open(), 1);
            let _settled = ack.settle(fresh.delivery(), Err(verdict)).await.unwrap();
            assert_eq!(ledger.attempts_open(), left);
            // As when what was written to disk of it is durable.
            fresh.delivery().progress.take_mark().into_iter().for_each(state::Mark::clear);
        }
    }
}
