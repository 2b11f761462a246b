//! One event for one broker, and the states it passes: `Fresh` after dedupe, `Permitted` after throttle.
//!
//! `Fresh` and `Permitted` can be made only inside this crate, so a delivery without dedupe or an attempt without a
//! permit does not compile. Neither is `Clone`: a permit is good for one attempt.

use std::sync::Arc;

use bytes::Bytes;
use state::{
    BodyDigest, DeadLetter, Event, History, LedgerKey, SpillRef, SpillSeq, SpilledDelivery, TraceParent,
    Unclear, UnixMillis,
};

use super::{Exit, Fault, Leftover, Ordinal, RunState, ShipmentEvent, Step, ValidEvent};
use crate::broker::Broker;

/// One event for one broker.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The event.
    pub event: ValidEvent,
    /// The broker it is for.
    pub broker: Arc<Broker>,
    /// The attempts made before, in this run or an earlier one.
    pub history: History,
    /// Whether an earlier run without a usable journal may have sent it already.
    pub may_repeat: bool,
    /// Its number among its broker's deliveries, in arrival order; assigned by the line.
    pub seq: SpillSeq,
    /// The `traceparent` that an attempt sends: the event's own, or the attempt's span.
    pub traceparent: Option<TraceParent>,
    /// Whether it is on disk, so that its verdict must remove it there.
    pub on_disk: bool,
    /// Whether it came with its partition, of whose log it waits in, so that the entry that says so is its own.
    pub restored: bool,
    /// Whether it is a probe: then it is attempted although the broker is held.
    pub probe: bool,
    /// Whether it is given up because its broker's disk queue is full: then it is not attempted.
    pub given_up: bool,
    /// The row of a database's subscriptions that made it; none if the config made it.
    pub row: Option<i64>,
    /// The state of its run through the stages; clones share it.
    pub run: Arc<RunState>,
}

impl Delivery {
    /// A delivery without attempts.
    #[must_use]
    pub fn new(event: ValidEvent, broker: Arc<Broker>) -> Self {
        Self {
            traceparent: event.event().traceparent,
            event,
            broker,
            history: History::default(),
            may_repeat: false,
            seq: 0,
            on_disk: false,
            restored: false,
            probe: false,
            given_up: false,
            row: None,
            run: Arc::default(),
        }
    }

    /// A delivery that came with its partition, whose state says that it waits; `may_repeat` if whoever had the partition
    /// may have sent it.
    #[must_use]
    pub fn restored(waiting: SpilledDelivery, broker: Arc<Broker>, may_repeat: bool) -> Self {
        Self { on_disk: false, restored: true, ..Self::from_spill(waiting, broker, may_repeat) }
    }

    /// A delivery read from the spill; `may_repeat` if a run that was interrupted may have sent it.
    #[must_use]
    pub fn from_spill(spilled: SpilledDelivery, broker: Arc<Broker>, may_repeat: bool) -> Self {
        Self {
            traceparent: spilled.event.traceparent,
            event: ValidEvent::new(spilled.event),
            broker,
            history: spilled.history,
            may_repeat: may_repeat || spilled.may_repeat,
            seq: spilled.seq,
            on_disk: true,
            restored: false,
            probe: false,
            given_up: false,
            row: spilled.row,
            run: Arc::default(),
        }
    }

    /// The delivery of a dead letter, to be sent again: earlier attempts are known but no longer count, and its age
    /// begins at `now`. None if the letter is not for a broker, or its body was cut. Its place in a trace is in its
    /// body: see [`Decode::traceparent`](crate::Decode::traceparent) and [`Delivery::in_trace`].
    #[must_use]
    pub fn from_letter(letter: &DeadLetter, broker: Arc<Broker>, now: UnixMillis) -> Option<Self> {
        let (event_id, load_id, status) =
            (letter.event_id.as_deref()?, letter.load_id.as_deref()?, letter.status.as_deref()?);
        if letter.broker.as_deref() != Some(&*broker.id) || letter.body.len() as u64 != letter.body_len {
            return None;
        }
        let event = Event {
            position: letter.position.clone(),
            event_id: Arc::from(event_id),
            load_id: Arc::from(load_id),
            status: Arc::from(status),
            // Neither is in a letter: see `read_again`.
            occurred_at: 0,
            sequence: None,
            traceparent: None,
            read_at: now,
            digest: BodyDigest::of(&letter.body),
            body: Bytes::from(letter.body.clone()),
        };
        let history = letter.history.clone().renewed();
        Some(Self { history, row: letter.row, ..Self::new(ValidEvent::new(event), broker) })
    }

    /// This delivery with this place in a trace.
    #[must_use]
    pub fn in_trace(mut self, traceparent: Option<TraceParent>) -> Self {
        self.event = self.event.in_trace(traceparent);
        self.traceparent = traceparent;
        self
    }

    /// This delivery with what `read` has of its event and a dead letter has not: when it occurred, and its number. Requests
    /// may be made of both.
    #[must_use]
    pub fn read_again(mut self, read: &ShipmentEvent) -> Self {
        self.event = self.event.read_again(read);
        self
    }

    /// The delivery as it waits on disk with number `seq`, without a time to wait for.
    #[must_use]
    pub fn into_spilled(self, seq: SpillSeq) -> SpilledDelivery {
        let Self { event, broker, history, row, .. } = self;
        let (broker, event) = (broker.id.clone(), event.event().clone());
        SpilledDelivery { broker, seq, event, history, not_before: 0, may_repeat: false, row }
    }

    /// Puts the delivery back to wait for another attempt, with the attempts made so far and what the run has left.
    pub fn put_back(&mut self, history: History, left: Leftover) {
        self.history = history;
        // Once an attempt without a clear answer has been made and counted, the history has it. A refusal says
        // nothing of an attempt of an earlier run.
        self.may_repeat &= self.history.unclear() != Some(Unclear::NoAnswer);
        self.run = Arc::new(RunState::after(left));
    }

    /// To be called before an attempt is sent: writes it to the attempts journal, and counts it if it may be a
    /// repeat. Returns its number for the receiver.
    ///
    /// # Errors
    /// The attempts journal cannot be written.
    pub fn begin_attempt(&self) -> Result<Ordinal, Fault> {
        let (run, health) = (&self.run, &self.broker.health);
        let unclear = self.history.unclear();
        let after_crash = self.may_repeat || run.is_unresolved();
        if (after_crash || unclear.is_some()) && run.count() {
            match unclear {
                _ if after_crash && run.count_after_crash(self.may_repeat) => {
                    health.on_repeat_after_crash();
                }
                Some(Unclear::NoAnswer) => health.on_repeat_after_no_answer(),
                Some(Unclear::Refusal) => health.on_repeat_after_refusal(),
                // Counted before it was put back on disk.
                None => {}
            }
        }
        run.mark()?;
        Ok(Ordinal {
            attempt: self.history.attempts.saturating_add(1 + u32::from(after_crash)),
            may_repeat: after_crash || unclear.is_some(),
        })
    }

    /// Whether its broker may have taken it.
    pub(crate) fn may_have_arrived(&self) -> bool {
        self.may_repeat || self.run.is_unresolved()
    }

    /// Its key in the ledger.
    pub(crate) fn ledger_key(&self) -> LedgerKey {
        let claimed = self.run.claimed().cloned();
        claimed.unwrap_or_else(|| LedgerKey::new(&self.broker.id, &self.event().event_id))
    }

    /// This delivery as one that moves with no partition: a dead letter stays where it is, and so does what is sent again of
    /// it while somebody else has its partition.
    #[must_use]
    pub fn staying(mut self) -> Self {
        self.event = self.event.staying();
        self
    }

    /// Whether it is known to wait, on disk or in the log of its partition's state.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.on_disk || self.restored
    }

    /// The spill entry that its verdict must remove, if it has one.
    pub(crate) fn spill_ref(&self) -> Option<SpillRef> {
        self.on_disk.then(|| (self.broker.id.clone(), self.seq))
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &Event {
        self.event.event()
    }
}

/// A delivery that its broker has not been given yet, according to the ledger.
#[derive(Debug)]
pub struct Fresh(Delivery);

/// A fresh delivery with a permit for one attempt, now.
#[derive(Debug)]
pub struct Permitted(Fresh);

/// The broker took the delivery.
#[derive(Debug)]
pub struct Receipt {
    /// How many attempts failed before it.
    pub failed_attempts: u32,
    /// The HTTP status of the answer.
    pub status: u16,
    /// When the answer was complete.
    pub at: UnixMillis,
}

impl Fresh {
    /// For `Dedupe` alone.
    pub(crate) fn new(delivery: Delivery) -> Self {
        Self(delivery)
    }

    /// For `Throttle` alone: one permit, one attempt.
    pub(crate) fn permit(self) -> Permitted {
        Permitted(self)
    }

    /// The delivery.
    #[must_use]
    pub fn delivery(&self) -> &Delivery {
        &self.0
    }

    /// The delivery, to add a failed attempt to its history.
    pub(crate) fn delivery_mut(&mut self) -> &mut Delivery {
        &mut self.0
    }

    /// The delivery, given up.
    pub(crate) fn into_delivery(self) -> Delivery {
        self.0
    }
}

impl Permitted {
    /// The delivery.
    #[must_use]
    pub fn delivery(&self) -> &Delivery {
        self.0.delivery()
    }

    /// Sets the `traceparent` of the next attempt, instead of the event's own.
    pub fn trace(&mut self, traceparent: TraceParent) {
        self.0.delivery_mut().traceparent = Some(traceparent);
    }

    /// Spends the permit on an attempt that is sent now.
    pub(crate) fn spend(self) -> Step<(Fresh, Ordinal)> {
        let ordinal = self.delivery().begin_attempt().map_err(Exit::Fault)?;
        Ok((self.0, ordinal))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use state::FailedAttempt;

    use super::*;
    use crate::testing::{broker_with, fresh};

    #[test]
    fn a_refusal_does_not_make_it_forgotten_that_an_earlier_process_may_have_sent_it() {
        for (status, left) in [(Some(429), true), (Some(503), true), (Some(500), false), (None, false)] {
            let mut delivery = fresh(&Arc::new(broker_with("acme", 1.0, 1))).into_delivery();
            delivery.may_repeat = true;
            let mut history = History::default();
            let attempt =
                FailedAttempt { at: 0, status, cause: String::new(), may_have_arrived: true, answer: None };
            history.push(attempt, false);
            delivery.put_back(history, Leftover::default());
            assert_eq!(delivery.may_have_arrived(), left, "after {status:?}");
        }
    }
}
