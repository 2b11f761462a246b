//! The circuit breaker as plain data: outcomes of attempts enter, leave or refusal to attempt comes back.
//!
//! Guaranteed: it judges the broker and not one load. After transient failures of `failures` different loads with no
//! success between them nothing is started until the open time is over, then one probe at a time; a probe that is never
//! reported ends at its deadline. One load that fails alone never opens it, unless nothing of the request reached the
//! receiver, which is the broker's doing whatever the load. Half-open, too, as many different loads are probed with before
//! it opens again, so that bad loads in front of good ones cost a bounded time each. An outcome is judged only in the phase in which its attempt
//! began, so a failure that comes late neither lengthens an open time nor passes for the probe's.
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
//! forgiven: a row of failures begins anew, open and probing become half-open
//! ```
//! A failure says nothing of the broker if its load has failed before and the broker has taken others since.
//! The closed, open, half-open states are those of Nygard, "Release It!", chapter "Stability Patterns".

use std::{num::NonZeroU32, time::Duration};

use tokio::time::Instant;

/// When a breaker opens and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Transient failures of how many different loads, with no success between them, open it. As many loads are kept in
    /// mind.
    pub failures: NonZeroU32,
    /// How long it stays open the first time; zero counts as a millisecond.
    pub open_min: Duration,
    /// The longest open time: a probe that does not reach the receiver, or fails for a load that failed before, doubles
    /// it up to here. No effect below `open_min`.
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

/// What a failure says of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// It could not be reached at all.
    Unreached,
    /// It failed this load, which is known by this hash.
    Load(u64),
    /// Nothing: the broker has taken others since this load failed before.
    Nothing,
}

/// What a failure does to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// It adds nothing: its load is in the row, or it says nothing.
    Nothing,
    /// The row is longer now.
    One,
    /// The row is as long as it may be, and begins anew.
    Last,
}

/// A row of failures with no success between them: how many, each load once.
#[derive(Debug, Default)]
pub(crate) struct Row {
    /// As many as open the breaker, at most.
    loads: Vec<u64>,
    unreached: u32,
}

impl Row {
    /// Adds what a failure says to a row of at most `most`.
    pub(crate) fn add(&mut self, evidence: Evidence, most: NonZeroU32) -> Added {
        match evidence {
            Evidence::Unreached => self.unreached = self.unreached.saturating_add(1),
            Evidence::Load(load) if !self.loads.contains(&load) => self.loads.push(load),
            Evidence::Load(_) | Evidence::Nothing => return Added::Nothing,
        }
        let loads = u32::try_from(self.loads.len()).unwrap_or(u32::MAX);
        if loads.saturating_add(self.unreached) < most.get() {
            return Added::One;
        }
        self.end();
        Added::Last
    }

    /// There was a success.
    pub(crate) fn end(&mut self) {
        self.loads.clear();
        self.unreached = 0;
    }
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
    /// While it is closed.
    row: Row,
    /// Goes up with each change of phase.
    generation: u64,
}

impl Breaker {
    pub(crate) fn new(policy: BreakerPolicy) -> Self {
        Self { policy, phase: Phase::Closed, row: Row::default(), generation: 0 }
    }

    /// What may be started now. Asking changes nothing.
    pub(crate) fn leave(&self, now: Instant) -> Leave {
        match self.phase {
            Phase::Closed => Leave::Any,
            Phase::Open { until: end, .. } | Phase::Probing { deadline: end, .. } if now < end => {
                Leave::NoneBefore(end)
            }
            Phase::Open { .. } | Phase::Probing { .. } => Leave::Probe,
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

    /// How many different loads it takes to say something of the broker.
    pub(crate) fn policy(&self) -> BreakerPolicy {
        self.policy
    }

    /// Judges by another policy from now on; a time that has been set stands.
    pub(crate) fn set_policy(&mut self, policy: BreakerPolicy) {
        self.policy = policy;
    }

    /// What has failed says nothing any more: a row of failures ends, an open time too, so that a probe may be begun at
    /// once, and what is under way is not judged.
    pub(crate) fn forgive(&mut self, now: Instant) {
        let open_for = self.policy.open_min;
        self.row.end();
        self.enter(match self.phase {
            Phase::Closed => Phase::Closed,
            Phase::Open { .. } | Phase::Probing { .. } => Phase::Open { until: now, open_for },
        });
    }

    /// The receiver took something. Closes the breaker whenever the attempt began: an answer is an answer, and any
    /// success ends a row of failures.
    pub(crate) fn success(&mut self) {
        self.row.end();
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
                let open = self.row.add(evidence, self.policy.failures) == Added::Last;
                if open {
                    self.open(now, self.policy.open_min);
                }
                open
            }
            Phase::Probing { open_for, .. } => {
                let doubled = open_for.saturating_mul(2).min(self.policy.open_max);
                let open_for = match (evidence, self.row.add(evidence, self.policy.failures)) {
                    (Evidence::Nothing, _) | (Evidence::Load(_), Added::One) => {
                        self.release_probe(now);
                        return false;
                    }
                    (Evidence::Load(_), Added::Last) => open_for,
                    (Evidence::Load(_), Added::Nothing) | (Evidence::Unreached, _) => doubled,
                };
                self.row.end();
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens to the breaker, at a second counted from the test's start.
    #[derive(Clone, Copy, Debug)]
    enum Do {
        /// An attempt begins, remembered under this number.
        Begin(usize),
        /// It fails, and its number is its load's.
        Fail(usize),
        /// It fails, and its load is load zero.
        FailAgain(usize),
        Unreached(usize),
        /// It fails, and others of the broker have been taken since its load failed before.
        Suspect(usize),
        Succeed,
        Probe(bool),
        Release,
        Any,
        HalfOpen,
        NoneBefore(u64),
    }
    use Do::{
        Any, Begin, Fail, FailAgain, HalfOpen, NoneBefore, Probe, Release, Succeed, Suspect, Unreached,
    };

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
                Fail(n) => drop(breaker.failure(marks[n], now, Evidence::Load(n as u64))),
                FailAgain(n) => drop(breaker.failure(marks[n], now, Evidence::Load(0))),
                Unreached(n) => drop(breaker.failure(marks[n], now, Evidence::Unreached)),
                Suspect(n) => drop(breaker.failure(marks[n], now, Evidence::Nothing)),
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
            [(5, Probe(true)), (5, Begin(2)), (6, Succeed), (6, Any), (6, Fail(2)), (6, Fail(3)), (6, Any)];
        play("a probe that succeeds closes it", &opened(&probe));
        let doubling = [
            (5, Probe(true)),
            (5, Begin(2)),
            (6, Unreached(2)),
            (6, NoneBefore(16)),
            (16, Probe(true)),
            (16, Begin(3)),
            (16, Unreached(3)),
            (16, NoneBefore(36)),
            (40, Probe(true)),
            (40, Begin(4)),
            (40, Unreached(4)),
            (40, NoneBefore(70)),
        ];
        play("failed probes double the time, up to the bound", &opened(&doubling));
        let reset = [
            (5, Probe(true)),
            (5, Begin(2)),
            (5, Unreached(2)),
            (15, Succeed),
            (15, Begin(3)),
            (15, Begin(4)),
            (15, Fail(3)),
            (15, Fail(4)),
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
            [(5, Probe(true)), (5, Begin(2)), (65, Probe(true)), (66, Unreached(2)), (66, NoneBefore(125))];
        play("an overdue probe's failure is not the next one's", &opened(&overdue));
    }

    #[test]
    fn one_load_alone_never_opens_it_and_what_is_not_reached_does_whatever_the_load() {
        let alone =
            [(0, Begin(0)), (0, Begin(1)), (0, Fail(0)), (1, FailAgain(0)), (2, FailAgain(1)), (2, Any)];
        play("one load, many times", &alone);
        play("not reached", &[(0, Begin(0)), (0, Unreached(0)), (0, Unreached(0)), (0, NoneBefore(5))]);
        play("one of each", &[(0, Begin(0)), (0, Fail(0)), (0, Unreached(0)), (0, NoneBefore(5))]);
    }

    #[test]
    fn a_load_that_fails_while_others_are_taken_says_nothing() {
        play("closed", &[(0, Begin(0)), (0, Suspect(0)), (0, Suspect(0)), (0, Fail(0)), (0, Any)]);
        let probing = [
            (5, Probe(true)),
            (5, Begin(2)),
            (6, Suspect(2)),
            (6, HalfOpen),
            (6, Probe(true)),
            (6, Begin(3)),
        ];
        play("probing", &opened(&probing));
    }

    #[test]
    fn as_many_loads_as_open_it_are_probed_with_and_it_opens_for_the_same_time_again() {
        let first =
            [(5, Probe(true)), (5, Begin(2)), (6, Fail(2)), (6, HalfOpen), (6, Probe(true)), (6, Begin(3))];
        let other = [&first[..], &[(7, Fail(3)), (7, NoneBefore(12))]].concat();
        play("two loads", &opened(&other));
        let again = [(0, Begin(0)), (5, Probe(true)), (5, Begin(2)), (5, FailAgain(2)), (5, HalfOpen)];
        let again =
            [&again[..], &[(6, Probe(true)), (6, Begin(3)), (6, FailAgain(3)), (6, NoneBefore(16))]].concat();
        play("one load twice", &opened(&again));
    }

    #[test]
    fn late_failures_change_nothing_and_a_late_success_closes() {
        play("late while open", &opened(&[(3, Fail(9)), (3, NoneBefore(5)), (5, HalfOpen)]));
        play("late while half-open", &opened(&[(6, Fail(9)), (6, HalfOpen)]));
        play("late while probing", &opened(&[(5, Probe(true)), (6, Fail(9)), (6, NoneBefore(65))]));
        play("late after recovery", &opened(&[(5, Succeed), (6, Fail(9)), (6, Fail(8)), (6, Any)]));
        play("late success", &opened(&[(1, Succeed), (1, Any)]));
    }

    #[test]
    fn an_open_time_of_zero_still_opens() {
        let policy =
            BreakerPolicy { failures: NonZeroU32::MIN, open_min: Duration::ZERO, ..Default::default() };
        let (mut breaker, now) = (Breaker::new(policy), Instant::now());
        assert!(breaker.failure(breaker.mark(), now, Evidence::Load(1)));
        assert_eq!(breaker.leave(now), Leave::NoneBefore(now + Duration::from_millis(1)));
    }
}
