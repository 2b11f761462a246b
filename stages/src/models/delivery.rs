//! One event for one broker, and the tokens it earns on its way: `Fresh` from dedupe, `Permitted` from throttle.
//!
//! `Fresh` and `Permitted` can be made only inside this crate, so a delivery without dedupe or an attempt without a
//! permit does not compile. Neither is `Clone`: a permit is good for one attempt.

use std::sync::Arc;

use bytes::Bytes;
use state::{
    BodyDigest, DeadLetter, Event, History, LedgerKey, SpillRef, SpillSeq, SpilledDelivery, TraceParent,
    Unclear, UnixMillis,
};

use super::{Broker, Exit, Fault, Progress, Step, ValidEvent};

/// One event for one broker.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The event.
    pub event: ValidEvent,
    /// Who is to get it.
    pub broker: Arc<Broker>,
    /// What has been tried before, in this run or an earlier one.
    pub history: History,
    /// Whether an earlier run of which no more is known may have sent it already.
    pub may_repeat: bool,
    /// Its number among its broker's deliveries, in arrival order; the line gives it.
    pub seq: SpillSeq,
    /// What an attempt tells the receiver of its place in a trace: the event's own, or the attempt's span.
    pub traceparent: Option<TraceParent>,
    /// How far it has come; clones share it.
    pub progress: Arc<Progress>,
}

impl Delivery {
    /// A delivery nobody has tried.
    #[must_use]
    pub fn new(event: ValidEvent, broker: Arc<Broker>) -> Self {
        Self {
            traceparent: event.event().traceparent,
            event,
            broker,
            history: History::default(),
            may_repeat: false,
            seq: 0,
            progress: Arc::default(),
        }
    }

    /// A delivery that comes back from the spill; `may_repeat` if a run that ended without notice may have sent it.
    #[must_use]
    pub fn from_spill(spilled: SpilledDelivery, broker: Arc<Broker>, may_repeat: bool) -> Self {
        Self {
            traceparent: spilled.event.traceparent,
            event: ValidEvent::new(spilled.event),
            broker,
            history: spilled.history,
            may_repeat: may_repeat || spilled.may_repeat,
            seq: spilled.seq,
            progress: Arc::new(Progress::spilled()),
        }
    }

    /// The delivery a dead letter was, to be sent again: the attempts made are known but count no more, and its age
    /// begins at `now`. None if the letter is not one of a broker's, or its body was cut. Its place in a trace stands in
    /// its body: see [`Decode::traceparent`](crate::Decode::traceparent) and [`Delivery::in_trace`].
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
            // Both were judged when it was a record; nothing asks for them any more.
            occurred_at: 0,
            sequence: None,
            traceparent: None,
            read_at: now,
            digest: BodyDigest::of(&letter.body),
            body: Bytes::from(letter.body.clone()),
        };
        let history = letter.history.clone().renewed();
        Some(Self { history, ..Self::new(ValidEvent::new(event), broker) })
    }

    /// The same with this place in a trace.
    #[must_use]
    pub fn in_trace(mut self, traceparent: Option<TraceParent>) -> Self {
        self.event = self.event.in_trace(traceparent);
        self.traceparent = traceparent;
        self
    }

    /// The delivery as it waits on disk at place `seq`, with nothing of its own to wait for.
    #[must_use]
    pub fn into_spilled(self, seq: SpillSeq) -> SpilledDelivery {
        let Self { event, broker, history, .. } = self;
        let (broker, event) = (broker.id.clone(), event.event().clone());
        SpilledDelivery { broker, seq, event, history, not_before: 0, may_repeat: false }
    }

    /// Puts the delivery back to wait for another attempt, with the attempts made so far.
    pub fn put_back(&mut self, history: History) {
        self.history = history;
        // Once an attempt that may have arrived has been made and counted, the history knows.
        self.may_repeat &= self.history.unclear().is_none();
        self.progress = Arc::new(self.progress.put_back());
    }

    /// An attempt goes out now: that is in the attempts journal when this returns, and it is counted if it may repeat one
    /// that the receiver has taken. Gives what the receiver is told of it.
    ///
    /// # Errors
    /// The attempts journal cannot be written.
    pub fn begin_attempt(&self) -> Result<Ordinal, Fault> {
        let (progress, health) = (&self.progress, &self.broker.health);
        let unclear = self.history.unclear();
        let after_crash = self.may_repeat || progress.is_unresolved();
        if (after_crash || unclear.is_some()) && progress.count() {
            match unclear {
                _ if after_crash && progress.count_after_crash(self.may_repeat) => {
                    health.on_repeat_after_crash();
                }
                Some(Unclear::NoAnswer) => health.on_repeat_after_no_answer(),
                Some(Unclear::Refusal) => health.on_repeat_after_refusal(),
                // Counted before it was put back on disk.
                None => {}
            }
        }
        progress.mark()?;
        Ok(Ordinal {
            attempt: self.history.attempts.saturating_add(1 + u32::from(after_crash)),
            may_repeat: after_crash || unclear.is_some(),
        })
    }

    /// Whether its broker may have taken it, as far as is known.
    pub(crate) fn may_have_arrived(&self) -> bool {
        self.may_repeat || self.progress.is_unresolved()
    }

    /// What the ledger knows it by.
    pub(crate) fn ledger_key(&self) -> LedgerKey {
        let claimed = self.progress.claimed().cloned();
        claimed.unwrap_or_else(|| LedgerKey::new(&self.broker.id, &self.event().event_id))
    }

    /// Notes that its verdict is being recorded; gives the place on disk that the verdict must clear, if it has one.
    pub(crate) fn begin_recording(&self) -> Option<SpillRef> {
        self.progress.begin_recording().then(|| (self.broker.id.clone(), self.seq))
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &Event {
        self.event.event()
    }
}

/// What an attempt tells its receiver of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ordinal {
    /// Which attempt of the delivery it is, from 1, as far as is known.
    pub attempt: u32,
    /// Whether the receiver may have taken one of those before it.
    pub may_repeat: bool,
}

/// A delivery the broker has not been given yet, by the ledger's word.
#[derive(Debug)]
pub struct Fresh(Delivery);

/// A fresh delivery with leave to be attempted once, now.
#[derive(Debug)]
pub struct Permitted(Fresh);

/// The broker took the delivery.
#[derive(Debug)]
pub struct Receipt {
    /// How many attempts failed before.
    pub failed_attempts: u32,
    /// The HTTP status of the answer.
    pub status: u16,
    /// When the answer had been read.
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

    /// The delivery, to note a failed attempt in its history.
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

    /// The next attempt names this place in a trace instead of the event's own.
    pub fn trace(&mut self, traceparent: TraceParent) {
        self.0.delivery_mut().traceparent = Some(traceparent);
    }

    /// The permit is spent on an attempt that goes out now; what remains may earn another.
    pub(crate) fn spend(self) -> Step<(Fresh, Ordinal)> {
        let ordinal = self.delivery().begin_attempt().map_err(Exit::Fault)?;
        Ok((self.0, ordinal))
    }
}
