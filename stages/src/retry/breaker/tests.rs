//! The breaker's transitions, as tables of steps.

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
use Do::{Any, Begin, Fail, FailAgain, HalfOpen, NoneBefore, Probe, Release, Succeed, Suspect, Unreached};

/// Two failures open it, for 5 s, then 10, 20, 30; a probe has 60 s.
fn play(name: &str, steps: &[(u64, Do)]) {
    let policy = BreakerPolicy {
        failures: NonZeroU32::new(2).unwrap(),
        open_max: Duration::from_secs(30),
        ..BreakerPolicy::default()
    };
    let (mut breaker, start) = (Breaker::new(policy), Instant::now());
    let (mut marks, mut last_probe) = ([breaker.mark(); 10], None);
    for (step, (second, act)) in steps.iter().enumerate() {
        let now = start + Duration::from_secs(*second);
        let expect =
            |admission| assert_eq!(breaker.admission(now), admission, "{name}, step {step}: {act:?}");
        match *act {
            Begin(n) => marks[n] = breaker.mark(),
            Fail(n) => drop(breaker.failure(marks[n], now, Evidence::Load(n as u64))),
            FailAgain(n) => drop(breaker.failure(marks[n], now, Evidence::Load(0))),
            Unreached(n) => drop(breaker.failure(marks[n], now, Evidence::Unreached)),
            Suspect(n) => drop(breaker.failure(marks[n], now, Evidence::Nothing)),
            Succeed => breaker.success(),
            Probe(taken) => {
                let probe = breaker.begin_probe(now);
                assert_eq!(probe.is_some(), taken, "{name}, step {step}: {act:?}");
                last_probe = probe.or(last_probe);
            }
            Release => breaker.release_probe(last_probe.unwrap(), now),
            Any => expect(Admission::Any),
            HalfOpen => expect(Admission::Probe),
            NoneBefore(end) => expect(Admission::NoneBefore(start + Duration::from_secs(end))),
        }
    }
}

/// Opened at 0 s by attempts 0 and 1, with attempt 9 still out.
fn opened(then: &[(u64, Do)]) -> Vec<(u64, Do)> {
    let mut steps = vec![(0, Begin(0)), (0, Begin(1)), (0, Begin(9)), (0, Fail(0)), (0, Any), (0, Fail(1))];
    steps.extend_from_slice(then);
    steps
}

#[test]
fn each_row_of_the_table_holds() {
    play("a success ends the row", &[(0, Begin(0)), (0, Fail(0)), (1, Succeed), (2, Fail(0)), (2, Any)]);
    play("failures in a row open it", &opened(&[(0, NoneBefore(5)), (4, NoneBefore(5)), (5, HalfOpen)]));
    play("no probe before its time", &opened(&[(4, Probe(false)), (5, Probe(true)), (5, NoneBefore(65))]));
    play("one probe at a time", &opened(&[(5, Probe(true)), (6, Probe(false)), (64, Probe(false))]));
    play("closed has no probe", &[(0, Probe(false)), (0, Any)]);
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
    play("a released probe makes room at once", &opened(&[(5, Probe(true)), (6, Release), (6, HalfOpen)]));
    let overdue =
        [(5, Probe(true)), (5, Begin(2)), (65, Probe(true)), (66, Unreached(2)), (66, NoneBefore(125))];
    play("an overdue probe's failure is not the next one's", &opened(&overdue));
}

#[test]
fn one_load_alone_never_opens_it_and_what_is_not_reached_does_whatever_the_load() {
    let alone = [(0, Begin(0)), (0, Begin(1)), (0, Fail(0)), (1, FailAgain(0)), (2, FailAgain(1)), (2, Any)];
    play("one load, many times", &alone);
    play("not reached", &[(0, Begin(0)), (0, Unreached(0)), (0, Unreached(0)), (0, NoneBefore(5))]);
    play("one of each", &[(0, Begin(0)), (0, Fail(0)), (0, Unreached(0)), (0, NoneBefore(5))]);
}

#[test]
fn a_load_that_fails_while_others_are_taken_says_nothing() {
    play("closed", &[(0, Begin(0)), (0, Suspect(0)), (0, Suspect(0)), (0, Fail(0)), (0, Any)]);
    let probing =
        [(5, Probe(true)), (5, Begin(2)), (6, Suspect(2)), (6, HalfOpen), (6, Probe(true)), (6, Begin(3))];
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
    let policy = BreakerPolicy { failures: NonZeroU32::MIN, open_min: Duration::ZERO, ..Default::default() };
    let (mut breaker, now) = (Breaker::new(policy), Instant::now());
    assert!(breaker.failure(breaker.mark(), now, Evidence::Load(1)));
    assert_eq!(breaker.admission(now), Admission::NoneBefore(now + Duration::from_millis(1)));
}

#[test]
fn a_probe_that_ends_late_releases_none_but_itself() {
    let (mut breaker, now) = (Breaker::new(BreakerPolicy::default()), Instant::now());
    let at = |second| now + Duration::from_secs(second);
    for _ in 0..5 {
        breaker.failure(breaker.mark(), now, Evidence::Unreached);
    }
    let first = breaker.begin_probe(at(5)).unwrap();
    // It has failed because of its load, so that another is tried; its record comes later.
    breaker.failure(breaker.mark(), at(6), Evidence::Load(1));
    let second = breaker.begin_probe(at(6)).unwrap();
    breaker.release_probe(first, at(7));
    assert!(breaker.begin_probe(at(7)).is_none(), "the second one is under way");
    breaker.release_probe(second, at(8));
    assert!(breaker.begin_probe(at(8)).is_some());
}
