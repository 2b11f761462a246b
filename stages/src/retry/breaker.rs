//! The circuit breaker as plain data, without clock or I/O.
//!
//! It opens after transient failures of `failures` different loads with no success between them: one load that fails alone
//! never opens it. A request that did not reach the receiver counts whatever its load. While it is open nothing is started;
//! after the open time it is half-open and allows one probe at a time. A probe that is never reported ends at its deadline.
//! A half-open breaker probes with as many different loads before it opens again, so that bad loads in front of good ones
//! cost a bounded time each. An outcome counts only in the phase in which its attempt began, so a late failure neither
//! lengthens an open time nor is taken for the probe's.
//!
//! ```text
//! closed --failures of different loads--> open --its time is over--> half-open --begin_probe--> probing
//!   ^                                      ^                             ^                        |
//!   |                                      +-- not reached, a load again: twice the time ---------+
//!   |                                      +-- failures of different loads: the same time --------+
//!   |                                                                    +-- another load failed -+
//!   |                                                                    +-- released, deadline --+
//!   +-- any success, whenever its attempt began --------------------------------------------------+
//!
//! reset: the run of failures begins again, open and probing become half-open
//! ```
//!
//! A failure says nothing of the broker if its load has failed before and the broker has taken others since.
//! The closed, open, half-open states are those of Nygard, "Release It!", chapter "Stability Patterns".

mod failure_run;
#[cfg(test)]
mod tests;

use std::{num::NonZeroU32, time::Duration};

use tokio::time::Instant;

pub use self::failure_run::Evidence;
pub(crate) use self::failure_run::{FailureRun, RunChange};

/// When a breaker opens and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// How many different loads must fail transiently, with no success between, to open it. As many load hashes are
    /// kept.
    pub failures: NonZeroU32,
    /// How long it stays open the first time; zero counts as a millisecond.
    pub open_min: Duration,
    /// The longest open time: a probe that does not reach the receiver, or fails for a load that failed before, doubles
    /// it up to here. No effect below `open_min`.
    pub open_max: Duration,
    /// How long a probe may go unreported before another may begin. Should be longer than one attempt with its wait
    /// for a permit, or a slow probe is joined by a second one.
    pub probe_max: Duration,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self {
            failures: NonZeroU32::MIN.saturating_add(4),
            open_min: Duration::from_secs(5),
            open_max: Duration::from_secs(60),
            probe_max: Duration::from_secs(60),
        }
    }
}

/// The phase in which an attempt began; its outcome counts only in that phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PhaseMark {
    generation: u64,
    closed: bool,
}

impl PhaseMark {
    /// Whether the breaker was closed when the attempt began.
    pub(crate) fn was_closed(self) -> bool {
        self.closed
    }
}

/// A probe that was taken.
#[derive(Clone, Copy, Debug)]
#[must_use = "a probe that is neither reported nor released delays the next one"]
pub struct Probe(u64);

/// What may be attempted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Any number of attempts.
    Any,
    /// One probe.
    Probe,
    /// None before this time, unless an outcome comes first.
    NoneBefore(Instant),
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed,
    Open { until: Instant, open_for: Duration },
    Probing { deadline: Instant, open_for: Duration },
}

/// A broker's circuit breaker.
#[derive(Debug)]
pub(crate) struct Breaker {
    policy: BreakerPolicy,
    phase: Phase,
    /// Failures while it is closed, or of probes.
    run: FailureRun,
    /// Incremented with each change of phase.
    generation: u64,
}

impl Breaker {
    pub(crate) fn new(policy: BreakerPolicy) -> Self {
        Self { policy, phase: Phase::Closed, run: FailureRun::default(), generation: 0 }
    }

    /// What may be started now. Asking changes nothing.
    pub(crate) fn admission(&self, now: Instant) -> Admission {
        match self.phase {
            Phase::Closed => Admission::Any,
            Phase::Open { until: end, .. } | Phase::Probing { deadline: end, .. } if now < end => {
                Admission::NoneBefore(end)
            }
            Phase::Open { .. } | Phase::Probing { .. } => Admission::Probe,
        }
    }

    /// The mark of an attempt that begins now.
    pub(crate) fn mark(&self) -> PhaseMark {
        PhaseMark { generation: self.generation, closed: matches!(self.phase, Phase::Closed) }
    }

    /// Whether a probe is under way.
    pub(crate) fn is_probing(&self) -> bool {
        matches!(self.phase, Phase::Probing { .. })
    }

    /// Takes the probe; none if there is none to take.
    pub(crate) fn begin_probe(&mut self, now: Instant) -> Option<Probe> {
        match self.phase {
            Phase::Open { until: end, open_for } | Phase::Probing { deadline: end, open_for }
                if now >= end =>
            {
                self.enter(Phase::Probing { deadline: now + self.policy.probe_max, open_for });
                Some(Probe(self.generation))
            }
            _ => None,
        }
    }

    /// Releases the probe unreported, so that another can begin at once; no effect if it was reported, or another has begun
    /// since.
    pub(crate) fn release_probe(&mut self, probe: Probe, now: Instant) {
        if probe.0 == self.generation {
            self.end_probe(now);
        }
    }

    /// Lets another probe begin at once.
    fn end_probe(&mut self, now: Instant) {
        if let Phase::Probing { open_for, .. } = self.phase {
            self.enter(Phase::Open { until: now, open_for });
        }
    }

    /// The current policy.
    pub(crate) fn policy(&self) -> BreakerPolicy {
        self.policy
    }

    /// Uses another policy from now on; a time that has been set is kept.
    pub(crate) fn set_policy(&mut self, policy: BreakerPolicy) {
        self.policy = policy;
    }

    /// Forgets all failures: the run of failures is cleared, an open breaker becomes half-open at once, and outcomes
    /// of attempts under way are ignored.
    pub(crate) fn reset(&mut self, now: Instant) {
        let open_for = self.policy.open_min;
        self.run.clear();
        self.enter(match self.phase {
            Phase::Closed => Phase::Closed,
            Phase::Open { .. } | Phase::Probing { .. } => Phase::Open { until: now, open_for },
        });
    }

    /// The receiver took something. Closes the breaker, whenever the attempt began, and clears the run of failures.
    pub(crate) fn success(&mut self) {
        self.run.clear();
        if !matches!(self.phase, Phase::Closed) {
            self.enter(Phase::Closed);
        }
    }

    /// An attempt failed transiently; true if that opened the breaker.
    pub(crate) fn failure(&mut self, mark: PhaseMark, now: Instant, evidence: Evidence) -> bool {
        if mark.generation != self.generation {
            return false;
        }
        match self.phase {
            Phase::Closed => {
                let open = self.run.add(evidence, self.policy.failures) == RunChange::Complete;
                if open {
                    self.open(now, self.policy.open_min);
                }
                open
            }
            Phase::Probing { open_for, .. } => {
                let doubled = open_for.saturating_mul(2).min(self.policy.open_max);
                let open_for = match (evidence, self.run.add(evidence, self.policy.failures)) {
                    (Evidence::Nothing, _) | (Evidence::Load(_), RunChange::Longer) => {
                        self.end_probe(now);
                        return false;
                    }
                    (Evidence::Load(_), RunChange::Complete) => open_for,
                    (Evidence::Load(_), RunChange::Unchanged) | (Evidence::Unreached, _) => doubled,
                };
                self.run.clear();
                self.open(now, open_for);
                true
            }
            Phase::Open { .. } => false,
        }
    }

    fn open(&mut self, now: Instant, open_for: Duration) {
        let open_for = open_for.max(self.policy.open_min).max(Duration::from_millis(1));
        self.enter(Phase::Open { until: now + open_for, open_for });
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
    }
}
