//! The circuit breaker as plain data: outcomes of attempts enter, leave or refusal to attempt comes back.
//!
//! Guaranteed: after `failures` transient failures in a row nothing is started until the open time is over, then one
//! probe at a time; a probe that is never reported ends at its deadline. An outcome is judged only in the phase in
//! which its attempt began, so a failure that comes late neither lengthens an open time nor passes for the probe's.
//!
//! ```text
//! closed --failures in a row--> open --its time is over--> half-open --begin_probe--> probing
//!   ^                            ^                             ^                        |
//!   |                            +-- the probe failed: twice the time ------------------+
//!   |                                                          +-- released, deadline --+
//!   +-- any success, whenever its attempt began ----------------------------------------+
//!
//! forgiven: a row of failures begins anew, open and probing become half-open
//! ```
//! The closed, open, half-open states are those of Nygard, "Release It!", chapter "Stability Patterns".

use std::{num::NonZeroU32, time::Duration};

use tokio::time::Instant;

/// When a breaker opens and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// How many transient failures in a row open it.
    pub failures: NonZeroU32,
    /// How long it stays open the first time; zero counts as a millisecond.
    pub open_min: Duration,
    /// The longest open time: each failed probe doubles it up to here. No effect below `open_min`.
    pub open_max: Duration,
    /// How long a probe may go unreported before another may be begun. Should be longer than one attempt with its wait
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

/// The phase in which an attempt began; its outcome is judged against it.
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

/// What a breaker allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Any number of attempts.
    Any,
    /// One probe.
    Probe,
    /// None before this moment, unless an outcome comes first.
    NoneBefore(Instant),
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed { failures: u32 },
    Open { until: Instant, open_for: Duration },
    Probing { deadline: Instant, open_for: Duration },
}

/// A broker's circuit breaker.
#[derive(Debug)]
pub(crate) struct Breaker {
    policy: BreakerPolicy,
    phase: Phase,
    /// Goes up with each change of phase.
    generation: u64,
}

impl Breaker {
    pub(crate) fn new(policy: BreakerPolicy) -> Self {
        Self { policy, phase: Phase::Closed { failures: 0 }, generation: 0 }
    }

    /// What may be started now. Asking changes nothing.
    pub(crate) fn leave(&self, now: Instant) -> Leave {
        match self.phase {
            Phase::Closed { .. } => Leave::Any,
            Phase::Open { until: end, .. } | Phase::Probing { deadline: end, .. } if now < end => {
                Leave::NoneBefore(end)
            }
            Phase::Open { .. } | Phase::Probing { .. } => Leave::Probe,
        }
    }

    /// The mark of an attempt that begins now.
    pub(crate) fn mark(&self) -> PhaseMark {
        PhaseMark { generation: self.generation, closed: matches!(self.phase, Phase::Closed { .. }) }
    }

    /// Whether a probe is under way.
    pub(crate) fn is_probing(&self) -> bool {
        matches!(self.phase, Phase::Probing { .. })
    }

    /// Takes the probe; false if there is none to take.
    pub(crate) fn begin_probe(&mut self, now: Instant) -> bool {
        match self.phase {
            Phase::Open { until: end, open_for } | Phase::Probing { deadline: end, open_for }
                if now >= end =>
            {
                self.enter(Phase::Probing { deadline: now + self.policy.probe_max, open_for });
                true
            }
            _ => false,
        }
    }

    /// Gives the probe back unreported, so that another can be begun at once; nothing if none is under way.
    pub(crate) fn release_probe(&mut self, now: Instant) {
        if let Phase::Probing { open_for, .. } = self.phase {
            self.enter(Phase::Open { until: now, open_for });
        }
    }

    /// Judges by another policy from now on; a time that has been set stands.
    pub(crate) fn set_policy(&mut self, policy: BreakerPolicy) {
        self.policy = policy;
    }

    /// What has failed says nothing any more: a row of failures ends, an open time too, so that a probe may be begun at
    /// once, and what is under way is not judged.
    pub(crate) fn forgive(&mut self, now: Instant) {
        let open_for = self.policy.open_min;
        self.enter(match self.phase {
            Phase::Closed { .. } => Phase::Closed { failures: 0 },
            Phase::Open { .. } | Phase::Probing { .. } => Phase::Open { until: now, open_for },
        });
    }

    /// The receiver answered. Closes the breaker whenever the attempt began: an answer is an answer, and with failures
    /// counted in a row any success ends the row.
    pub(crate) fn success(&mut self) {
        match &mut self.phase {
            Phase::Closed { failures } => *failures = 0,
            Phase::Open { .. } | Phase::Probing { .. } => self.enter(Phase::Closed { failures: 0 }),
        }
    }

    /// An attempt failed transiently; true if that opened the breaker.
    pub(crate) fn failure(&mut self, mark: PhaseMark, now: Instant) -> bool {
        if mark.generation != self.generation {
            return false;
        }
        match &mut self.phase {
            Phase::Closed { failures } => {
                *failures += 1;
                let open = *failures >= self.policy.failures.get();
                if open {
                    self.open(now, self.policy.open_min);
                }
                open
            }
            Phase::Probing { open_for, .. } => {
                let doubled = open_for.saturating_mul(2).min(self.policy.open_max);
                self.open(now, doubled);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens to the breaker, at a second counted from the test's start.
    #[derive(Clone, Copy, Debug)]
    enum Do {
        /// An attempt begins, remembered under this number.
        Begin(usize),
        Fail(usize),
        Succeed,
        Probe(bool),
        Release,
        Any,
        HalfOpen,
        NoneBefore(u64),
    }
    use Do::{Any, Begin, Fail, HalfOpen, NoneBefore, Probe, Release, Succeed};

    /// Two failures open it, for 5 s, then 10, 20, 30; a probe has 60 s.
    fn play(name: &str, steps: &[(u64, Do)]) {
        let policy = BreakerPolicy {
            failures: NonZeroU32::new(2).unwrap(),
            open_max: Duration::from_secs(30),
            ..BreakerPolicy::default()
        };
        let (mut breaker, start) = (Breaker::new(policy), Instant::now());
        let mut marks = [breaker.mark(); 10];
        for (step, (second, act)) in steps.iter().enumerate() {
            let now = start + Duration::from_secs(*second);
            let expect = |leave| assert_eq!(breaker.leave(now), leave, "{name}, step {step}: {act:?}");
            match *act {
                Begin(n) => marks[n] = breaker.mark(),
                Fail(n) => drop(breaker.failure(marks[n], now)),
                Succeed => breaker.success(),
                Probe(taken) => assert_eq!(breaker.begin_probe(now), taken, "{name}, step {step}: {act:?}"),
                Release => breaker.release_probe(now),
                Any => expect(Leave::Any),
                HalfOpen => expect(Leave::Probe),
                NoneBefore(end) => expect(Leave::NoneBefore(start + Duration::from_secs(end))),
            }
        }
    }

    /// Opened at 0 s by attempts 0 and 1, with attempt 9 still out.
    fn opened(then: &[(u64, Do)]) -> Vec<(u64, Do)> {
        let mut steps =
            vec![(0, Begin(0)), (0, Begin(1)), (0, Begin(9)), (0, Fail(0)), (0, Any), (0, Fail(1))];
        steps.extend_from_slice(then);
        steps
    }

    #[test]
    fn each_row_of_the_table_holds() {
        play("a success ends the row", &[(0, Begin(0)), (0, Fail(0)), (1, Succeed), (2, Fail(0)), (2, Any)]);
        play("failures in a row open it", &opened(&[(0, NoneBefore(5)), (4, NoneBefore(5)), (5, HalfOpen)]));
        play(
            "no probe before its time",
            &opened(&[(4, Probe(false)), (5, Probe(true)), (5, NoneBefore(65))]),
        );
        play("one probe at a time", &opened(&[(5, Probe(true)), (6, Probe(false)), (64, Probe(false))]));
        play("closed has no probe", &[(0, Probe(false)), (0, Release), (0, Any)]);
        let probe =
            [(5, Probe(true)), (5, Begin(2)), (6, Succeed), (6, Any), (6, Fail(2)), (6, Fail(2)), (6, Any)];
        play("a probe that succeeds closes it", &opened(&probe));
        let doubling = [
            (5, Probe(true)),
            (5, Begin(2)),
            (6, Fail(2)),
            (6, NoneBefore(16)),
            (16, Probe(true)),
            (16, Begin(3)),
            (16, Fail(3)),
            (16, NoneBefore(36)),
            (40, Probe(true)),
            (40, Begin(4)),
            (40, Fail(4)),
            (40, NoneBefore(70)),
        ];
        play("failed probes double the time, up to the bound", &opened(&doubling));
        let reset = [
            (5, Probe(true)),
            (5, Begin(2)),
            (5, Fail(2)),
            (15, Succeed),
            (15, Begin(3)),
            (15, Fail(3)),
            (15, Fail(3)),
            (15, NoneBefore(20)),
        ];
        play("closing resets the time", &opened(&reset));
        play(
            "a lost probe makes room at its deadline",
            &opened(&[(5, Probe(true)), (65, HalfOpen), (65, Probe(true))]),
        );
        play(
            "a released probe makes room at once",
            &opened(&[(5, Probe(true)), (6, Release), (6, HalfOpen)]),
        );
        let overdue =
            [(5, Probe(true)), (5, Begin(2)), (65, Probe(true)), (66, Fail(2)), (66, NoneBefore(125))];
        play("an overdue probe's failure is not the next one's", &opened(&overdue));
    }

    #[test]
    fn late_failures_change_nothing_and_a_late_success_closes() {
        play("late while open", &opened(&[(3, Fail(9)), (3, NoneBefore(5)), (5, HalfOpen)]));
        play("late while half-open", &opened(&[(6, Fail(9)), (6, HalfOpen)]));
        play("late while probing", &opened(&[(5, Probe(true)), (6, Fail(9)), (6, NoneBefore(65))]));
        play("late after recovery", &opened(&[(5, Succeed), (6, Fail(9)), (6, Fail(9)), (6, Any)]));
        play("late success", &opened(&[(1, Succeed), (1, Any)]));
    }

    #[test]
    fn an_open_time_of_zero_still_opens() {
        let policy =
            BreakerPolicy { failures: NonZeroU32::MIN, open_min: Duration::ZERO, ..Default::default() };
        let (mut breaker, now) = (Breaker::new(policy), Instant::now());
        assert!(breaker.failure(breaker.mark(), now));
        assert_eq!(breaker.leave(now), Leave::NoneBefore(now + Duration::from_millis(1)));
    }
}
