//! A simulated broker's memory: each request its receiver judges enters, sightings leave, in order. It knows an event by
//! the digest of its bytes, so a sender can't pass off anything as something else.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

use http::StatusCode;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use state::{BodyDigest, UnixMillis};
use tokio::time::Instant;

use super::{
    millis,
    sighting::{RefusedRequest, Sighting, Told, Witnessed},
    traffic::Traffic,
};
use crate::receive::{Recorder, Refusal, Taken};

/// The clock of a run: its zero is set when the run begins; before, it stands at zero.
#[derive(Clone, Debug, Default)]
pub struct RunClock(Arc<OnceLock<Instant>>);

impl RunClock {
    /// The run begins now; the first call counts.
    pub fn begin(&self) {
        self.0.get_or_init(Instant::now);
    }

    /// Milliseconds since the run began.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.at_ms(Instant::now())
    }

    /// Milliseconds from the beginning of the run to `at`; zero if it was before.
    #[must_use]
    pub fn at_ms(&self, at: Instant) -> u64 {
        self.0.get().map_or(0, |start| millis(at.saturating_duration_since(*start)))
    }
}

/// Every event by its digest; shared by all witnesses of a run.
pub type Known = Arc<FxHashMap<BodyDigest, u32>>;

/// The events of `traffic` by their digests.
#[must_use]
pub fn known(traffic: &Traffic) -> Known {
    Arc::new((0..).zip(&traffic.events).map(|(place, event)| (event.digest, place)).collect())
}

/// A broker's memory of a run.
#[derive(Debug)]
pub struct Witness {
    clock: RunClock,
    known: Known,
    saw: Mutex<Witnessed>,
    taken: AtomicU64,
}

impl Witness {
    /// One who has seen nothing yet.
    #[must_use]
    pub fn new(clock: RunClock, known: Known) -> Self {
        Self { clock, known, saw: Mutex::default(), taken: AtomicU64::new(0) }
    }

    /// How many requests were taken so far.
    #[must_use]
    pub fn taken_count(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// What was taken since the first `from`: the event and the time, in order.
    #[must_use]
    pub fn taken_since(&self, from: usize) -> Vec<(Option<u32>, u64)> {
        let saw = self.saw.lock();
        saw.taken.get(from..).unwrap_or_default().iter().map(|seen| (seen.event, seen.at_ms)).collect()
    }

    /// Everything it saw; it has forgotten it then.
    #[must_use]
    pub fn testify(&self) -> Witnessed {
        std::mem::take(&mut self.saw.lock())
    }
}

impl Recorder for Witness {
    fn taken(&self, taken: &Taken<'_>) {
        let id = taken.webhook_id;
        let sighting = Sighting {
            at_ms: self.clock.now_ms(),
            event: self.known.get(&taken.digest).copied(),
            webhook_id: (!id.is_empty()).then(|| Arc::from(id)),
            told: None,
        };
        self.saw.lock().taken.push(sighting);
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    fn answered(&self, taken: &Taken<'_>, status: StatusCode) {
        let told = Told { status: status.as_u16(), at_ms: self.clock.now_ms() };
        let event = self.known.get(&taken.digest);
        let mut saw = self.saw.lock();
        // The newest that waits for its answer: what was taken is answered soon, so it is near the end.
        let waiting = saw.taken.iter_mut().rev().find(|seen| {
            let same_id = seen.webhook_id.as_deref().unwrap_or_default() == taken.webhook_id;
            seen.told.is_none() && seen.event.as_ref() == event && same_id
        });
        if let Some(waiting) = waiting {
            waiting.told = Some(told);
        }
    }

    fn turned_away(&self, _: UnixMillis, _: &str, why: Refusal) {
        let at_ms = self.clock.now_ms();
        self.saw.lock().refused.push(RefusedRequest { at_ms, why });
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{receive::Times, surge::traffic::SimEvent};

    fn event(body: &'static [u8]) -> SimEvent {
        let body = Bytes::from_static(body);
        let digest = BodyDigest::of(&body);
        SimEvent { id: String::new(), load_id: "L".into(), body, digest, wanted_by: Box::new([0]) }
    }

    fn taken<'t>(body: &'t Bytes, webhook_id: &'t str) -> Taken<'t> {
        let (digest, times) = (BodyDigest::of(body), Times::First);
        Taken { at: 0, path: "/", webhook_id, body, digest, times }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_taken_is_known_by_its_bytes_and_answered_once() {
        let traffic = Traffic { events: vec![event(b"one"), event(b"two")], log: Vec::new() };
        let clock = RunClock::default();
        let witness = Witness::new(clock.clone(), known(&traffic));
        clock.begin();
        let (two, other) = (Bytes::from_static(b"two"), Bytes::from_static(b"two!"));
        witness.taken(&taken(&two, "a"));
        tokio::time::advance(std::time::Duration::from_millis(7)).await;
        witness.taken(&taken(&two, "a"));
        witness.taken(&taken(&other, "b"));
        witness.answered(&taken(&two, "a"), StatusCode::OK);
        witness.turned_away(0, "/", Refusal::Throttled);
        assert_eq!((witness.taken_count(), witness.taken_since(2)), (3, vec![(None, 7)]));
        let saw = witness.testify();
        let events: Vec<_> = saw.taken.iter().map(|seen| (seen.event, seen.at_ms, seen.told)).collect();
        let told = Some(Told { status: 200, at_ms: 7 });
        assert_eq!(events, [(Some(1), 0, None), (Some(1), 7, told), (None, 7, None)]);
        assert_eq!(saw.refused, [RefusedRequest { at_ms: 7, why: Refusal::Throttled }]);
    }
}
