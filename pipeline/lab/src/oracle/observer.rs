//! A receiver's recorder for the oracle: it keeps what the broker took and refused, in order. It knows an event by the
//! digest of its bytes, so a sender can't pass off anything as something else.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::BodyDigest;
use http::StatusCode;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::observation::{Answer, Observation, ReceiverLog, RefusedRequest};
use crate::receiver::{Recorder, Refusal, Taken};
use crate::traffic::{RunClock, Traffic};

/// Every event by its digest; shared by all observers of a run.
pub type EventIndex = Arc<FxHashMap<BodyDigest, u32>>;

/// The events of `traffic` by their digests.
#[must_use]
pub fn index_events(traffic: &Traffic) -> EventIndex {
    Arc::new((0..).zip(&traffic.events).map(|(place, event)| (event.digest, place)).collect())
}

/// A broker's memory of a run.
#[derive(Debug)]
pub struct Observer {
    clock: RunClock,
    known: EventIndex,
    received: Mutex<ReceiverLog>,
    taken: AtomicU64,
}

impl Observer {
    /// One who has seen nothing yet.
    #[must_use]
    pub fn new(clock: RunClock, known: EventIndex) -> Self {
        Self { clock, known, received: Mutex::default(), taken: AtomicU64::new(0) }
    }

    /// How many requests were taken so far.
    #[must_use]
    pub fn taken_count(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// What was taken since the first `from`: the event and the time, in order.
    #[must_use]
    pub fn taken_since(&self, from: usize) -> Vec<(Option<u32>, u64)> {
        let saw = self.received.lock();
        saw.taken.get(from..).unwrap_or_default().iter().map(|seen| (seen.event, seen.at_ms)).collect()
    }

    /// Everything it saw; it has forgotten it then.
    #[must_use]
    pub fn take_log(&self) -> ReceiverLog {
        std::mem::take(&mut self.received.lock())
    }
}

impl Recorder for Observer {
    fn taken(&self, taken: &Taken<'_>) {
        let id = taken.webhook_id;
        let observation = Observation {
            at_ms: self.clock.now_ms(),
            event: self.known.get(&taken.digest).copied(),
            webhook_id: (!id.is_empty()).then(|| Arc::from(id)),
            told: None,
        };
        self.received.lock().taken.push(observation);
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    fn answered(&self, taken: &Taken<'_>, status: StatusCode) {
        let told = Answer { status: status.as_u16(), at_ms: self.clock.now_ms() };
        let event = self.known.get(&taken.digest);
        let mut saw = self.received.lock();
        // The newest that waits for its answer: what was taken is answered soon, so it is near the end.
        let waiting = saw.taken.iter_mut().rev().find(|seen| {
            let same_id = seen.webhook_id.as_deref().unwrap_or_default() == taken.webhook_id;
            seen.told.is_none() && seen.event.as_ref() == event && same_id
        });
        if let Some(waiting) = waiting {
            waiting.told = Some(told);
        }
    }

    fn turned_away(&self, _: u64, _: &str, why: Refusal) {
        let at_ms = self.clock.now_ms();
        self.received.lock().refused.push(RefusedRequest { at_ms, why });
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{receiver::Times, traffic::SimEvent};

    fn event(body: &'static [u8]) -> SimEvent {
        SimEvent::new(String::new(), "L".into(), Bytes::from_static(body), Box::new([0]))
    }

    fn taken<'t>(body: &'t Bytes, webhook_id: &'t str) -> Taken<'t> {
        let (digest, times) = (BodyDigest::of(body), Times::First);
        Taken { at: 0, path: "/", webhook_id, body, digest, may_repeat: false, times }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_taken_is_known_by_its_bytes_and_answered_once() {
        let traffic = Traffic { events: vec![event(b"one"), event(b"two")], log: Vec::new() };
        let clock = RunClock::default();
        let observer = Observer::new(clock.clone(), index_events(&traffic));
        clock.begin();
        let (two, other) = (Bytes::from_static(b"two"), Bytes::from_static(b"two!"));
        observer.taken(&taken(&two, "a"));
        tokio::time::advance(std::time::Duration::from_millis(7)).await;
        observer.taken(&taken(&two, "a"));
        observer.taken(&taken(&other, "b"));
        observer.answered(&taken(&two, "a"), StatusCode::OK);
        observer.turned_away(0, "/", Refusal::Throttled);
        assert_eq!((observer.taken_count(), observer.taken_since(2)), (3, vec![(None, 7)]));
        let saw = observer.take_log();
        let events: Vec<_> = saw.taken.iter().map(|seen| (seen.event, seen.at_ms, seen.told)).collect();
        let told = Some(Answer { status: 200, at_ms: 7 });
        assert_eq!(events, [(Some(1), 0, None), (Some(1), 7, told), (None, 7, None)]);
        assert_eq!(saw.refused, [RefusedRequest { at_ms: 7, why: Refusal::Throttled }]);
    }
}
