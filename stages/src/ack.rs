//! Records verdicts: turns what became of a record or a delivery into a ledger record, and returns a future of the
//! proof that it is durable.
//!
//! Every verdict passes here exactly once, is logged once and counted. Only the first dead letter of its kind is
//! logged as a warning. A record gets its place in the ledger's order of writes when the method is called, not when
//! its future is awaited.

mod log_limiter;

use std::{future::Future, sync::Arc, time::Duration};

use state::{
    Clock, DeadLetter, Disabled, FailedAttempt, History, Ledger, Newer, Record, Recorded, SpillSeq,
    SpilledDelivery, StageName, StateFault, Unclear, UnixMillis, Word,
};
use tokio::time::Instant;

use self::log_limiter::{LogLimiter, Suppressed};
use crate::{
    models::{Delivery, Fault, RawRecord, Receipt, Rejection, Undeliverable, Verdict},
    tally::Tally,
};

/// The result of settling a delivery's run through the stages.
#[derive(Debug)]
pub enum Settled {
    /// The delivery has ended, and its verdict is recorded.
    Recorded(Recorded),
    /// It must wait on disk.
    Spilled {
        /// The attempts made.
        history: History,
        /// Not before this time; none if only the broker's state holds it.
        not_before: Option<Instant>,
    },
}

/// What has to be recorded at the end of a delivery.
enum End {
    Recorded {
        /// What ends the delivery.
        verdict: Record,
        /// What goes with it, in the same commit.
        besides: Option<Record>,
    },
    Spilled(Settled),
}

impl From<Record> for End {
    fn from(verdict: Record) -> Self {
        Self::Recorded { verdict, besides: None }
    }
}

/// Records that were sent to the ledger thread.
enum Submitted<One, Both> {
    One(One),
    Both(Both),
    Spilled(Settled),
}

/// Records verdicts. Clones share everything.
#[derive(Clone, Debug)]
pub struct Ack(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    ledger: Ledger,
    clock: Clock,
    tally: Arc<Tally>,
    log_limiter: LogLimiter,
}

impl Ack {
    /// Records in `ledger`.
    #[must_use]
    pub fn new(ledger: &Ledger, clock: Clock) -> Self {
        let (tally, log_limiter) = (Arc::default(), LogLimiter::default());
        Self(Arc::new(Parts { ledger: ledger.clone(), clock, tally, log_limiter }))
    }

    /// Counts of records that never became deliveries.
    #[must_use]
    pub fn tally(&self) -> Arc<Tally> {
        self.0.tally.clone()
    }

    /// The source of time.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The ledger the verdicts go to.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    /// Records the verdict on a whole record: rejected, or without a subscribed broker.
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
                Record::Noop { spilled: None }
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

    /// Records the end of a delivery: delivered, duplicate, or dead letter. A spilled delivery has not ended: that
    /// verdict is returned, and the line assigns it a place on disk.
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
            End::Recorded { verdict, besides } => {
                // Here, where every verdict passes: the state of its partition may go to a log, too.
                let verdict = self.of_partition(delivery, verdict);
                match besides {
                    None => Submitted::One(self.0.ledger.record(verdict)),
                    Some(besides) => Submitted::Both(self.0.ledger.record_all(vec![besides, verdict])),
                }
            }
            End::Spilled(settled) => Submitted::Spilled(settled),
        };
        let run = delivery.run.clone();
        async move {
            let proof = match submitted {
                Submitted::One(recorded) => recorded.await?,
                Submitted::Both(recorded) => recorded.await?.pop().ok_or(Fault::State(StateFault::Closed))?,
                Submitted::Spilled(settled) => return Ok(settled),
            };
            // Here, where every outcome becomes durable, so that no slot of the attempts journal stays in use for
            // ever.
            if let Some(mark) = run.take_mark() {
                mark.release();
            }
            tally.times.ack.note(started.elapsed());
            Ok(Settled::Recorded(proof))
        }
    }

    /// What has to be recorded at the end of a delivery; also counts and logs it.
    fn record_of(&self, delivery: &Delivery, end: Result<Receipt, Verdict>) -> End {
        match end {
            Ok(receipt) => {
                let event = delivery.event();
                let took = Duration::from_millis(receipt.at.saturating_sub(event.read_at));
                delivery.broker.tally.latency.note(took);
                self.taken(delivery, receipt.failed_attempts)
            }
            Err(Verdict::Delivered { failed_attempts }) => self.taken(delivery, failed_attempts),
            Err(Verdict::Undeliverable { why, history }) => self.undeliverable(delivery, &why, history),
            Err(Verdict::Spilled { history, not_before }) => {
                End::Spilled(Settled::Spilled { history, not_before })
            }
            Err(Verdict::Duplicate { .. } | Verdict::Unrouted | Verdict::Rejected(_)) => {
                delivery.broker.tally.duplicates.add(1);
                log(delivery, "duplicate", 0);
                Record::Noop { spilled: delivery.spill_ref() }.into()
            }
        }
    }

    /// The record as it has to be made of a delivery whose partition's state may go to a log, too.
    fn of_partition(&self, delivery: &Delivery, record: Record) -> Record {
        let event = delivery.event();
        let from = (&delivery.broker.id, &event.event_id, &event.position);
        self.0.ledger.of_partition(record, from, delivery.waits())
    }

    /// What is recorded of a delivery that its broker took; also that it has passed the dead letters of its load.
    fn taken(&self, delivery: &Delivery, failed_attempts: u32) -> End {
        let (verdict, event) = (delivered(delivery, failed_attempts), delivery.event());
        if !self.0.ledger.store().overtaken().may_have_letters(&event.load_id) {
            return verdict.into();
        }
        let newer = Newer {
            event_id: event.event_id.to_string(),
            position: event.position.clone(),
            at: self.0.clock.now(),
        };
        let (load, broker) = (event.load_id.clone(), delivery.broker.id.clone());
        let passed = Record::Passed { load, broker, newer: Box::new(newer) };
        End::Recorded { verdict, besides: Some(passed) }
    }

    /// Records deliveries of one broker as waiting on disk, in this order and in one commit; with `sent_below`, also
    /// that those below this number may be sent from memory meanwhile.
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
                load = %Word(&event.load_id), row = delivery.row, verdict = "spilled",
                attempts = delivery.history.attempts);
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

    /// Records dead letters' deliveries as waiting on disk, in this order and in one commit, and removes their
    /// letters.
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
                load = %Word(&event.load_id), row = delivery.row, verdict = "replayed",
                attempts = delivery.history.attempts);
            Record::Replayed { delivery: Box::new(delivery), letter: letter.map(Box::new) }
        });
        let recorded = self.0.ledger.record_all(records.collect());
        async move { Ok(recorded.await?) }
    }

    fn undeliverable(&self, delivery: &Delivery, why: &Undeliverable, history: History) -> End {
        let (event, broker) = (delivery.event(), &delivery.broker);
        broker.tally.dead_letters.add(1);
        self.log_undeliverable(delivery, why, &history);
        let conflict = matches!(why, Undeliverable::Conflict { .. });
        broker.tally.conflicts.add(u64::from(conflict));
        broker.tally.queue_full.add(u64::from(*why == Undeliverable::QueueFull));
        let key = delivery.ledger_key();
        let is_disabled = *why == Undeliverable::BrokerDisabled;
        let besides = if is_disabled { self.newly_disabled(delivery) } else { None };
        let verdict = Record::DeadLettered {
            letter: Box::new(self.letter(delivery, why, history)),
            // A conflict does not change the entry of the event it conflicts with.
            key: (!conflict).then_some((key, event.digest)),
            spilled: delivery.spill_ref(),
        };
        End::Recorded { verdict, besides }
    }

    /// The first of a kind is a warning, the others are debug lines.
    fn log_rejected(&self, raw: &RawRecord, rejection: &Rejection) {
        let Rejection { stage, cause, detail, .. } = rejection;
        let (position, verdict, stage) = (&raw.position, "rejected", stage.as_str());
        let detail = Word(detail);
        if self.0.log_limiter.is_first(None, cause) {
            tracing::warn!(%position, verdict, stage, cause, %detail);
        } else {
            tracing::debug!(%position, verdict, stage, cause, %detail);
        }
    }

    fn log_undeliverable(&self, delivery: &Delivery, why: &Undeliverable, history: &History) {
        let (event, broker) = (delivery.event(), &delivery.broker.id);
        let (position, load, verdict) = (&event.position, Word(&event.load_id), "undeliverable");
        let (event, cause, attempts) = (Word(&event.event_id), why.cause(), history.attempts);
        if self.0.log_limiter.is_first(Some(broker), cause) {
            tracing::warn!(%position, %broker, %event, %load, row = delivery.row, verdict, cause, attempts);
        } else {
            tracing::debug!(%position, %broker, %event, %load, row = delivery.row, verdict, cause, attempts);
        }
    }

    /// Logs how many dead letters had no line of their own: of kinds for which a minute has passed, or with `all`, at
    /// the end of a run, of all kinds. Call every few seconds.
    pub fn log_suppressed(&self, all: bool) {
        for Suppressed { broker, cause, letters } in self.0.log_limiter.suppressed(all) {
            match broker {
                Some(broker) => tracing::warn!(%broker, cause, letters, "more dead letters"),
                None => tracing::warn!(cause, letters, "more records became dead letters"),
            }
        }
    }

    /// The record that keeps a broker disabled across restarts, the first time it is found disabled.
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
            row: None,
        }
    }

    fn letter(&self, delivery: &Delivery, why: &Undeliverable, mut history: History) -> DeadLetter {
        let event = delivery.event();
        // The history is all that remembers it if the letter is sent again; a refusal since says nothing of it.
        if delivery.may_have_arrived() && history.unclear() != Some(Unclear::NoAnswer) {
            history.push(interrupted(self.0.clock.now()), false);
        }
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
            row: delivery.row,
        }
    }
}

/// An attempt of a run that was interrupted, as far as anything is known of it.
fn interrupted(at: UnixMillis) -> FailedAttempt {
    let cause = "the run ended while the request may have been under way".to_owned();
    FailedAttempt { at, status: None, cause, may_have_arrived: true, answer: None }
}

fn delivered(delivery: &Delivery, failed_attempts: u32) -> Record {
    delivery.broker.tally.delivered.add(1);
    log(delivery, "delivered", failed_attempts);
    Record::Delivered {
        key: delivery.ledger_key(),
        digest: delivery.event().digest,
        failed_attempts,
        spilled: delivery.spill_ref(),
    }
}

fn log(delivery: &Delivery, verdict: &'static str, failed_attempts: u32) {
    let event = delivery.event();
    tracing::debug!(position = %event.position, broker = %delivery.broker.id, event = %Word(&event.event_id),
        load = %Word(&event.load_id), row = delivery.row, verdict, failed_attempts);
}

#[cfg(test)]
mod tests {
    use state::{CommitOptions, Durability, LedgerThread, Store, StoreOptions};

    use super::*;
    use crate::{
        Dedupe, Stage,
        testing::{broker_with, fresh},
    };

    fn ledger() -> (tempfile::TempDir, Ledger, LedgerThread) {
        let dir = tempfile::tempdir().unwrap();
        let (durability, clock) = (Durability::Process, Clock::System);
        let options = StoreOptions { durability, dedupe_window: 3_600_000, cache: 8 << 20, clock };
        let commits = CommitOptions { commit_max: 8, linger: Duration::ZERO, inbox_max: 8 };
        let (ledger, thread) = Ledger::start(Store::open(dir.path(), options).unwrap(), commits).unwrap();
        (dir, ledger, thread)
    }

    #[tokio::test]
    async fn a_letter_remembers_that_an_interrupted_run_may_have_sent_it_whatever_was_answered_since() {
        let (_dir, ledger, _thread) = ledger();
        let (ack, broker) = (Ack::new(&ledger, Clock::System), Arc::new(broker_with("acme", 1.0, 1)));
        let mut delivery = fresh(&broker).into_delivery();
        delivery.may_repeat = true;
        let (status, cause) = (Some(429), String::new());
        let mut history = History::default();
        history.push(FailedAttempt { at: 1, status, cause, may_have_arrived: false, answer: None }, false);
        let disabled = Verdict::Undeliverable { why: Undeliverable::BrokerDisabled, history };
        let _settled = ack.settle(&delivery, Err(disabled)).await.unwrap();
        let letter = ledger.store().dead_letters().iter().next().unwrap().unwrap();
        assert_eq!(letter.history.unclear(), Some(Unclear::NoAnswer));
    }

    #[tokio::test]
    async fn every_outcome_gives_the_place_in_the_attempts_journal_up_and_a_wait_on_disk_does_not() {
        let (_dir, ledger, _thread) = ledger();
        let (ack, broker) = (Ack::new(&ledger, Clock::System), Arc::new(broker_with("acme", 1.0, 1)));
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
            fresh.delivery().run.take_mark().into_iter().for_each(state::Mark::clear);
        }
    }
}
