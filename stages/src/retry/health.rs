//! A broker's health: decides from the outcomes of attempts what may be started.
//!
//! Guarantees: nothing is started at a disabled or paused broker, during a pause the receiver asked for, or while its
//! breaker is open; a half-open breaker allows one probe. A pause is only ever lengthened, never shortened by a later
//! one. The failures of one load hold no other load for long: see [`Evidence`]. All methods may be called from any
//! task; none waits.

mod counts;
mod gate;

use std::{
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use rustc_hash::FxHasher;
use state::{History, UnixMillis};
use tokio::time::Instant;

use self::counts::{Counters, add};
pub use self::{
    counts::HealthCounts,
    gate::{Gate, HealthState},
};
use super::{
    breaker::{Admission, Breaker, BreakerPolicy, Evidence, FailureRun, PhaseMark, Probe, RunChange},
    budget::{RetryBudget, RetryBudgetPolicy},
};
use crate::models::{Failure, FailureKind};

/// The hold time that the gate reports for a paused broker: longer than any wait in memory, so that its deliveries go
/// to disk. Resuming triggers a new check of the gate.
const PAUSED_RECHECK: Duration = Duration::from_secs(3_600);

/// How often a load must have failed before a pause asked for it counts for that load only. The first times, even a
/// receiver that limits all loads alike takes others in between.
const LOAD_PAUSE_AFTER: u32 = 2;

/// The last failed attempt at a broker, for its status page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// When the attempt ended.
    pub at: Instant,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What went wrong, in one phrase of at most 200 bytes, in lower case but for names of fields.
    pub cause: String,
}

/// The token of an attempt under way: it has the breaker's phase at its beginning.
#[derive(Clone, Copy, Debug)]
#[must_use = "the outcome is reported with it"]
pub struct AttemptMark(PhaseMark);

impl AttemptMark {
    /// Whether the event may be the cause of a failure of this attempt: not if the breaker was open or probing,
    /// because then the broker was known to be in trouble.
    #[must_use]
    pub fn breaker_was_closed(self) -> bool {
        self.0.was_closed()
    }
}

/// A broker's health.
#[derive(Debug)]
pub struct Health {
    state: Mutex<State>,
    budget: RetryBudget,
    counters: Counters,
    /// When it last took an event; zero before that.
    last_success_at: AtomicU64,
    /// How often its endpoint has changed.
    moves: AtomicU64,
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    /// Long pauses asked for since it last took an event.
    pause_requests: FailureRun,
    paused_until: Option<Instant>,
    disabled: Option<Arc<str>>,
    /// Whether an operator has paused it.
    paused: bool,
    last_error: Option<LastError>,
}

impl Health {
    /// A healthy broker.
    #[must_use]
    pub fn new(breaker: BreakerPolicy, budget: RetryBudgetPolicy) -> Self {
        let breaker = Breaker::new(breaker);
        Self {
            state: Mutex::new(State {
                breaker,
                pause_requests: FailureRun::default(),
                paused_until: None,
                disabled: None,
                paused: false,
                last_error: None,
            }),
            budget: RetryBudget::new(budget),
            counters: Counters::default(),
            last_success_at: AtomicU64::new(0),
            moves: AtomicU64::new(0),
        }
    }

    /// What may be started now. Changes nothing: a probe is begun by [`Health::begin_probe`]. While one is under way
    /// the gate is `HeldUntil` its deadline.
    #[must_use]
    pub fn gate(&self, now: Instant) -> Gate {
        let state = self.state.lock();
        if state.disabled.is_some() {
            return Gate::Disabled;
        }
        if state.paused {
            return Gate::HeldUntil(now + PAUSED_RECHECK);
        }
        let pause = state.paused_until.filter(|until| now < *until);
        match (state.breaker.admission(now), pause) {
            (Admission::NoneBefore(end), Some(pause)) => Gate::HeldUntil(end.max(pause)),
            (Admission::NoneBefore(end), None) | (_, Some(end)) => Gate::HeldUntil(end),
            (Admission::Probe, None) => Gate::Probe,
            (Admission::Any, None) => Gate::Open,
        }
    }

    /// How the broker is doing.
    #[must_use]
    pub fn state(&self, now: Instant) -> HealthState {
        let state = self.state.lock();
        if state.disabled.is_some() {
            HealthState::Disabled
        } else if state.paused {
            HealthState::Paused
        } else if state.breaker.is_probing() || state.breaker.admission(now) == Admission::Probe {
            HealthState::HalfOpen
        } else if state.breaker.admission(now) != Admission::Any {
            HealthState::Open
        } else if state.paused_until.is_some_and(|until| now < until) {
            HealthState::Limited
        } else {
            HealthState::Healthy
        }
    }

    /// Begins the probe, for the delivery about to be started; none, without effect, unless the gate is `Probe`.
    ///
    /// The probe ends with its attempt's outcome. A delivery can also end without any attempt (a duplicate, too old,
    /// its future dropped): call [`Health::release_probe`] when it has ended, or the next probe waits for the
    /// deadline, `probe_max` from now.
    #[must_use = "without the probe nothing may be started"]
    pub fn begin_probe(&self, now: Instant) -> Option<Probe> {
        let mut state = self.state.lock();
        let held =
            state.disabled.is_some() || state.paused || state.paused_until.is_some_and(|until| now < until);
        if held { None } else { state.breaker.begin_probe(now) }
    }

    /// To be called when the delivery that is the probe has ended. No effect if its outcome was reported, or another probe has
    /// begun since.
    pub fn release_probe(&self, probe: Probe, now: Instant) {
        self.state.lock().breaker.release_probe(probe, now);
    }

    /// Disables the broker: nothing is started until [`Health::enable`]. The first reason is kept. True if this call
    /// disabled it.
    pub fn disable(&self, reason: impl Into<Arc<str>>) -> bool {
        let mut state = self.state.lock();
        let newly = state.disabled.is_none();
        state.disabled.get_or_insert_with(|| reason.into());
        newly
    }

    /// Enables a disabled broker. Its breaker and a requested pause are not changed.
    pub fn enable(&self) {
        self.state.lock().disabled = None;
    }

    /// Whether the broker is disabled.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.state.lock().disabled.is_some()
    }

    /// Why the broker is disabled, if it is.
    #[must_use]
    pub fn disabled_reason(&self) -> Option<Arc<str>> {
        self.state.lock().disabled.clone()
    }

    /// Sets whether an operator has paused the broker: then nothing is started. Attempts on the wire are not
    /// affected. Disabled takes precedence.
    pub fn set_paused(&self, paused: bool) {
        self.state.lock().paused = paused;
    }

    /// Whether an operator has it paused.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.state.lock().paused
    }

    /// Uses another breaker policy from now on.
    pub fn set_breaker_policy(&self, policy: BreakerPolicy) {
        self.state.lock().breaker.set_policy(policy);
    }

    /// The broker's endpoint or key has changed: earlier failures and requested pauses no longer hold it, and an open
    /// breaker allows a probe at once. Disabled and paused by an operator are not changed.
    pub fn on_endpoint_changed(&self, now: Instant) {
        let mut state = self.state.lock();
        state.breaker.reset(now);
        state.pause_requests.clear();
        state.paused_until = None;
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// How often its endpoint has changed. After a change, deliveries need not wait for their next attempt any more.
    #[must_use]
    pub fn moves(&self) -> u64 {
        self.moves.load(Ordering::Relaxed)
    }

    /// Pauses the broker until `until`. A longer pause is kept.
    pub fn pause_until(&self, until: Instant) {
        self.state.lock().pause_until(until);
    }

    /// To be called when an attempt begins: counts it and returns the breaker's phase.
    pub fn on_attempt(&self) -> AttemptMark {
        add(&self.counters.attempts);
        AttemptMark(self.state.lock().breaker.mark())
    }

    /// The receiver took an event at `at`. Closes the breaker, even if the attempt began before it opened.
    pub fn on_success(&self, at: UnixMillis) {
        add(&self.counters.successes);
        self.last_success_at.store(at, Ordering::Relaxed);
        let mut state = self.state.lock();
        state.breaker.success();
        state.pause_requests.clear();
    }

    /// What this failure of a delivery of `load` says of the broker. Nothing, if the load has failed before and the
    /// broker has taken others since. The history decides, so that this is known of deliveries from disk, too.
    #[must_use]
    pub fn evidence(&self, failure: &Failure, load: &str, history: &History) -> Evidence {
        let last_success_at = self.last_success_at.load(Ordering::Relaxed);
        let taken_since = history.last.last().is_some_and(|last| last_success_at > last.at);
        let own = failure.kind != FailureKind::Throttled || history.attempts >= LOAD_PAUSE_AFTER;
        if failure.is_unreached() {
            Evidence::Unreached
        } else if taken_since && own {
            Evidence::Nothing
        } else {
            let mut hasher = FxHasher::default();
            load.hash(&mut hasher);
            Evidence::Load(hasher.finish())
        }
    }

    /// The attempt failed transiently, or the endpoint refuses everything. Counts toward opening the breaker, or
    /// fails the probe, unless `evidence` is `Nothing` or the breaker's phase has changed since the attempt began.
    pub fn on_failure(&self, mark: AttemptMark, now: Instant, failure: &Failure, evidence: Evidence) {
        let mut state = self.failed(now, failure);
        if state.breaker.failure(mark.0, now, evidence) {
            add(&self.counters.opened);
        }
    }

    /// The receiver is alive and asks for a pause: closes the breaker and, unless the pause is for this load only,
    /// pauses the broker until `until`. A pause longer than the breaker's longest open time is applied in full only
    /// if it was asked for as many different loads as open the breaker, with nothing taken between; until then it is
    /// cut to that time.
    pub fn on_throttled(&self, now: Instant, until: Instant, failure: &Failure, evidence: Evidence) {
        let mut state = self.failed(now, failure);
        state.breaker.success();
        state.ask_pause(now, until, evidence);
    }

    /// A receiver that has failed asks for a pause: the breaker is as it is, and the pause is applied as by
    /// [`Health::on_throttled`].
    pub fn on_pause_asked(&self, now: Instant, until: Instant, evidence: Evidence) {
        self.state.lock().ask_pause(now, until, evidence);
    }

    /// The receiver refused the event (410 included). No effect on its health.
    pub fn on_refused(&self, now: Instant, failure: &Failure) {
        drop(self.failed(now, failure));
    }

    /// The attempt ended before anything was sent. No effect on its health.
    pub fn on_unsent(&self, now: Instant, failure: &Failure) {
        drop(self.failed(now, failure));
    }

    /// An attempt begins that may repeat one made just before a crash.
    pub fn on_repeat_after_crash(&self) {
        add(&self.counters.repeats_after_crash);
    }

    /// An attempt begins that may repeat an earlier one whose answer never came.
    pub fn on_repeat_after_no_answer(&self) {
        add(&self.counters.repeats_after_no_answer);
    }

    /// An attempt begins that may repeat one the receiver has refused.
    pub fn on_repeat_after_refusal(&self) {
        add(&self.counters.repeats_after_refusal);
    }

    /// A retry is deferred because the retry budget is empty.
    pub fn on_deferred(&self) {
        add(&self.counters.deferred);
    }

    /// The broker's retry budget.
    #[must_use]
    pub fn retry_budget(&self) -> &RetryBudget {
        &self.budget
    }

    /// The last failed attempt.
    #[must_use]
    pub fn last_error(&self) -> Option<LastError> {
        self.state.lock().last_error.clone()
    }

    /// All counts. Each is exact; read under load they may differ by an attempt.
    #[must_use]
    pub fn counts(&self) -> HealthCounts {
        self.counters.read()
    }

    /// Counts a failed attempt and stores it as the last error; returns the lock for further changes.
    fn failed(&self, now: Instant, failure: &Failure) -> parking_lot::MutexGuard<'_, State> {
        let counters = &self.counters;
        add(&counters.failures);
        match (failure.kind, failure.status) {
            (FailureKind::Throttled, _) => add(&counters.throttled),
            // It was not asked: there was no access token, or no way through the proxy.
            (FailureKind::EndpointRefused, None) => add(&counters.unanswered),
            (
                FailureKind::Refused
                | FailureKind::RefusedTogether
                | FailureKind::EndpointRefused
                | FailureKind::Conflict
                | FailureKind::Gone,
                _,
            ) => add(&counters.refused),
            (FailureKind::AddressRefused | FailureKind::Unsendable, _) => add(&counters.unsent),
            (FailureKind::Transient | FailureKind::Unprocessed, None) => add(&counters.unanswered),
            (FailureKind::Transient | FailureKind::Unprocessed, Some(_)) => add(&counters.server_errors),
        }
        let error = LastError { at: now, status: failure.status, cause: failure.cause.clone() };
        let mut state = self.state.lock();
        state.last_error = Some(error);
        state
    }
}

impl State {
    /// A pause that is asked for; see [`Health::on_throttled`].
    fn ask_pause(&mut self, now: Instant, until: Instant, evidence: Evidence) {
        if evidence == Evidence::Nothing {
            return;
        }
        let policy = self.breaker.policy();
        let believed = self.pause_requests.add(evidence, policy.failures) == RunChange::Complete;
        self.pause_until(if believed { until } else { until.min(now + policy.open_max) });
    }

    fn pause_until(&mut self, until: Instant) {
        self.paused_until = self.paused_until.max(Some(until));
    }
}

#[cfg(test)]
mod tests;
