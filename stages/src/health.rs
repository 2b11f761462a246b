//! Whether a broker can take deliveries now: outcomes of attempts enter, what the scheduler may start comes back.
//!
//! Guaranteed: nothing is started at a disabled broker, during a pause the receiver asked for or while its breaker is
//! open; a half-open breaker lets one probe through. A pause is only ever lengthened, never cut short by a later,
//! shorter one. What one load meets holds no other load for long: see [`Evidence`]. All methods may be called from any
//! task; none waits.

mod counts;

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

pub use self::counts::HealthCounts;
use self::counts::{Counters, add};
use crate::{
    breaker::{Added, Breaker, BreakerPolicy, Evidence, Leave, PhaseMark, Row},
    models::{Failure, FailureKind},
    retry_budget::{RetryBudget, RetryBudgetPolicy},
};

/// How far off the gate of a paused broker says it will be asked again: longer than any pause that is waited out in
/// memory, so that what comes for the broker goes to disk. Who resumes it sees to it that the gate is asked.
const PAUSE_LOOK: Duration = Duration::from_secs(3_600);

/// How often a load must have failed before its asking for a pause can be its own affair. The first times even a
/// receiver that limits all its loads alike takes others in between.
const OWN_PAUSE_AFTER: u32 = 2;

/// What may be started at a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Any number of deliveries.
    Open,
    /// One delivery, after [`Health::begin_probe`].
    Probe,
    /// None before this moment. Ask again then, and whenever a delivery of this broker has ended: an outcome may have
    /// opened the gate earlier.
    HeldUntil(Instant),
    /// None until [`Health::enable`].
    Disabled,
}

/// How a broker is doing, as an operator would say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HealthState {
    /// It takes what it is given.
    Healthy,
    /// It has asked for a pause (429 with Retry-After).
    Limited,
    /// It failed too often and is left alone for a while.
    Open,
    /// One delivery is or will be sent to find out whether it is back.
    HalfOpen,
    /// Nothing is sent until an operator enables it; what comes for it becomes dead letters.
    Disabled,
    /// Nothing is sent until an operator resumes it; what comes for it waits.
    Paused,
}

impl HealthState {
    /// The state's name as it stands in status, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Limited => "limited",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
            Self::Disabled => "disabled",
            Self::Paused => "paused",
        }
    }
}

/// The last failed attempt at a broker, for its status page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// When the attempt ended.
    pub at: Instant,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What went wrong, in one lower-case phrase of at most 200 bytes.
    pub cause: String,
}

/// The token of an attempt under way: its outcome is judged by what the breaker was when it began.
#[derive(Clone, Copy, Debug)]
#[must_use = "the outcome is reported with it"]
pub struct AttemptMark(PhaseMark);

impl AttemptMark {
    /// Whether a failure of this attempt can be the event's fault: not if the breaker was open or probing, because
    /// then the broker was known to be in trouble.
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
    /// When it last took something; zero if it has not yet.
    taken_at: AtomicU64,
    /// How often it has moved.
    moves: AtomicU64,
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    /// Who has asked for a long pause since it last took something.
    askers: Row,
    paused_until: Option<Instant>,
    disabled: Option<Arc<str>>,
    /// Whether an operator has paused it.
    paused: bool,
    last_error: Option<LastError>,
}

impl Health {
    /// A broker of which nothing bad is known.
    #[must_use]
    pub fn new(breaker: BreakerPolicy, budget: RetryBudgetPolicy) -> Self {
        let breaker = Breaker::new(breaker);
        Self {
            state: Mutex::new(State {
                breaker,
                askers: Row::default(),
                paused_until: None,
                disabled: None,
                paused: false,
                last_error: None,
            }),
            budget: RetryBudget::new(budget),
            counters: Counters::default(),
            taken_at: AtomicU64::new(0),
            moves: AtomicU64::new(0),
        }
    }

    /// What may be started now. Asking changes nothing: a probe is taken by [`Health::begin_probe`]. While one is
    /// under way this is `HeldUntil` its deadline.
    #[must_use]
    pub fn gate(&self, now: Instant) -> Gate {
        let state = self.state.lock();
        if state.disabled.is_some() {
            return Gate::Disabled;
        }
        if state.paused {
            return Gate::HeldUntil(now + PAUSE_LOOK);
        }
        let pause = state.paused_until.filter(|until| now < *until);
        match (state.breaker.leave(now), pause) {
            (Leave::NoneBefore(end), Some(pause)) => Gate::HeldUntil(end.max(pause)),
            (Leave::NoneBefore(end), None) | (_, Some(end)) => Gate::HeldUntil(end),
            (Leave::Probe, None) => Gate::Probe,
            (Leave::Any, None) => Gate::Open,
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
        } else if state.breaker.is_probing() || state.breaker.leave(now) == Leave::Probe {
            HealthState::HalfOpen
        } else if state.breaker.leave(now) != Leave::Any {
            HealthState::Open
        } else if state.paused_until.is_some_and(|until| now < until) {
            HealthState::Limited
        } else {
            HealthState::Healthy
        }
    }

    /// Takes the probe for the delivery about to be started; false, and nothing taken, unless the gate is `Probe`.
    ///
    /// The probe ends with its attempt's outcome. A delivery can also end without any attempt (a duplicate, too old,
    /// its future dropped): call [`Health::release_probe`] when it has ended, or the next probe waits for the
    /// deadline, `probe_max` from now.
    #[must_use = "without the probe nothing may be started"]
    pub fn begin_probe(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        let held =
            state.disabled.is_some() || state.paused || state.paused_until.is_some_and(|until| now < until);
        !held && state.breaker.begin_probe(now)
    }

    /// The delivery that took the probe has ended. If its outcome was reported this does nothing.
    pub fn release_probe(&self, now: Instant) {
        self.state.lock().breaker.release_probe(now);
    }

    /// Nothing more is started until [`Health::enable`]. The first reason stands. True if this call disabled it.
    pub fn disable(&self, reason: impl Into<Arc<str>>) -> bool {
        let mut state = self.state.lock();
        let newly = state.disabled.is_none();
        state.disabled.get_or_insert_with(|| reason.into());
        newly
    }

    /// Takes a disabled broker back. Its breaker and a requested pause stay as they are.
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

    /// Nothing is started while an operator has it paused; disabling goes before it. What is on the wire ends as it
    /// would.
    pub fn set_paused(&self, paused: bool) {
        self.state.lock().paused = paused;
    }

    /// Whether an operator has it paused.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.state.lock().paused
    }

    /// Judges attempts by another policy from now on.
    pub fn set_breaker_policy(&self, policy: BreakerPolicy) {
        self.state.lock().breaker.set_policy(policy);
    }

    /// The broker is somewhere else now, or is asked with another key: what failed before, or was asked for, holds
    /// nothing back any more. An open breaker lets a probe through at once. Who has disabled or paused it must take that
    /// back himself.
    pub fn on_moved(&self, now: Instant) {
        let mut state = self.state.lock();
        state.breaker.forgive(now);
        state.askers.end();
        state.paused_until = None;
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it has moved: what waits for its own next attempt need not wait for it any more.
    #[must_use]
    pub fn moves(&self) -> u64 {
        self.moves.load(Ordering::Relaxed)
    }

    /// Nothing is started before `until`. A pause that ends later stands.
    pub fn pause_until(&self, until: Instant) {
        self.state.lock().pause_until(until);
    }

    /// An attempt begins: counts it and remembers the breaker's phase for its outcome.
    pub fn on_attempt(&self) -> AttemptMark {
        add(&self.counters.attempts);
        AttemptMark(self.state.lock().breaker.mark())
    }

    /// The receiver took an event at `at`. Closes the breaker, also when the attempt began before it opened.
    pub fn on_success(&self, at: UnixMillis) {
        add(&self.counters.successes);
        self.taken_at.store(at, Ordering::Relaxed);
        let mut state = self.state.lock();
        state.breaker.success();
        state.askers.end();
    }

    /// What this failure of a delivery of `load` says of the broker, given what was tried before. It says nothing if the
    /// load has failed before and the broker has taken others since: what is on record of the last attempt decides, so
    /// that it is known of a delivery that comes back from disk, too.
    #[must_use]
    pub fn evidence(&self, failure: &Failure, load: &str, history: &History) -> Evidence {
        let taken_at = self.taken_at.load(Ordering::Relaxed);
        let taken_since = history.last.last().is_some_and(|last| taken_at > last.at);
        let own = failure.kind != FailureKind::Throttled || history.attempts >= OWN_PAUSE_AFTER;
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

    /// The attempt failed transiently, or the endpoint refuses everything: it counts toward opening the breaker, or
    /// fails the probe, as far as it says anything of the broker. A failure that comes after the breaker's phase has
    /// changed does neither.
    pub fn on_failure(&self, mark: AttemptMark, now: Instant, failure: &Failure, evidence: Evidence) {
        let mut state = self.failed(now, failure);
        if state.breaker.failure(mark.0, now, evidence) {
            add(&self.counters.opened);
        }
    }

    /// The receiver is alive and asks for a pause: closes the breaker and pauses until `until`, if it is the broker's
    /// pause and not this load's own. One longer than the breaker's longest open time is believed if as many different
    /// loads as open the breaker have been asked for it with nothing taken between; until then it is cut to that time.
    pub fn on_throttled(&self, now: Instant, until: Instant, failure: &Failure, evidence: Evidence) {
        let mut state = self.failed(now, failure);
        state.breaker.success();
        if evidence == Evidence::Nothing {
            return;
        }
        let policy = state.breaker.policy();
        let believed = state.askers.add(evidence, policy.failures) == Added::Last;
        state.pause_until(if believed { until } else { until.min(now + policy.open_max) });
    }

    /// The receiver refused the event (410 included), which says nothing of its health.
    pub fn on_refused(&self, now: Instant, failure: &Failure) {
        drop(self.failed(now, failure));
    }

    /// The attempt ended before anything was sent to the receiver, which says nothing of its health.
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

    /// An attempt begins that may repeat one the receiver has answered with no.
    pub fn on_repeat_after_refusal(&self) {
        add(&self.counters.repeats_after_refusal);
    }

    /// A retry is put off because the retry budget is empty.
    pub fn on_deferred(&self) {
        add(&self.counters.deferred);
    }

    /// How many retries the broker may get.
    #[must_use]
    pub fn retry_budget(&self) -> &RetryBudget {
        &self.budget
    }

    /// The last failed attempt.
    #[must_use]
    pub fn last_error(&self) -> Option<LastError> {
        self.state.lock().last_error.clone()
    }

    /// All counts; each is exact, together they may be an attempt apart.
    #[must_use]
    pub fn counts(&self) -> HealthCounts {
        self.counters.read()
    }

    /// Counts and remembers a failed attempt; gives the lock for what else it means.
    fn failed(&self, now: Instant, failure: &Failure) -> parking_lot::MutexGuard<'_, State> {
        let counters = &self.counters;
        add(&counters.failures);
        match (failure.kind, failure.status) {
            (FailureKind::Throttled, _) => add(&counters.throttled),
            (
                FailureKind::Refused
                | FailureKind::EndpointRefused
                | FailureKind::Conflict
                | FailureKind::Gone,
                _,
            ) => add(&counters.refused),
            (FailureKind::AddressRefused, _) => add(&counters.unsent),
            (FailureKind::Transient, None) => add(&counters.unanswered),
            (FailureKind::Transient, Some(_)) => add(&counters.unwell),
        }
        let error = LastError { at: now, status: failure.status, cause: failure.cause.clone() };
        let mut state = self.state.lock();
        state.last_error = Some(error);
        state
    }
}

impl State {
    fn pause_until(&mut self, until: Instant) {
        self.paused_until = self.paused_until.max(Some(until));
    }
}

#[cfg(test)]
mod tests;
