//! The gate, row by row.

use std::{num::NonZeroU32, time::Duration};

use state::FailedAttempt;

use super::*;
use crate::{models::FailureKind, testing::failure};

const S: Duration = Duration::from_secs(1);

/// Opens after one failure, for 5 s.
fn health() -> (Health, Instant) {
    let policy = BreakerPolicy { failures: NonZeroU32::MIN, ..BreakerPolicy::default() };
    (Health::new(policy, RetryBudgetPolicy::default()), Instant::now())
}

fn fail(health: &Health, now: Instant) {
    health.on_failure(health.on_attempt(), now, &failure(FailureKind::Transient), Evidence::Unreached);
}

/// A history whose last attempt ended at this time, the last of so many.
fn tried(attempts: u32, at: UnixMillis) -> History {
    let attempt =
        FailedAttempt { at, status: Some(500), cause: String::new(), may_have_arrived: true, answer: None };
    let mut history = History::default();
    (0..attempts).for_each(|_| history.push(attempt.clone(), true));
    history
}

#[test]
fn a_pause_is_lengthened_and_never_cut_short() {
    let (health, now) = health();
    health.pause_until(now + 10 * S);
    health.pause_until(now + 2 * S);
    assert_eq!(health.gate(now + 9 * S), Gate::HeldUntil(now + 10 * S));
    health.on_throttled(now, now + 20 * S, &failure(FailureKind::Throttled), Evidence::Load(1));
    assert_eq!(health.gate(now + 19 * S), Gate::HeldUntil(now + 20 * S));
    assert_eq!(health.gate(now + 20 * S), Gate::Open);
}

#[test]
fn one_probe_goes_through_a_half_open_gate() {
    let (health, now) = health();
    assert!(health.begin_probe(now).is_none(), "the gate is open");
    fail(&health, now);
    assert_eq!(health.gate(now), Gate::HeldUntil(now + 5 * S));
    let half = now + 5 * S;
    assert_eq!((health.gate(half), health.gate(half)), (Gate::Probe, Gate::Probe), "asking takes nothing");
    let probe = health.begin_probe(half).unwrap();
    assert!(health.begin_probe(half).is_none());
    assert_eq!(health.gate(half), Gate::HeldUntil(half + 60 * S));
    assert!(!health.on_attempt().breaker_was_closed());
    health.release_probe(probe, half);
    assert_eq!(health.gate(half), Gate::Probe);
    let probe = health.begin_probe(half).unwrap();
    health.on_success(1);
    health.release_probe(probe, half);
    assert_eq!(health.gate(half), Gate::Open);
    assert!(health.on_attempt().breaker_was_closed());
}

#[test]
fn a_pause_holds_the_probe_back_and_the_later_end_counts() {
    let (health, now) = health();
    fail(&health, now);
    health.pause_until(now + 8 * S);
    assert_eq!(health.gate(now), Gate::HeldUntil(now + 8 * S));
    assert_eq!(health.gate(now + 6 * S), Gate::HeldUntil(now + 8 * S));
    assert!(health.begin_probe(now + 6 * S).is_none());
    assert_eq!(health.gate(now + 8 * S), Gate::Probe);
}

#[test]
fn what_is_taken_and_what_is_throttled_closes_the_breaker_and_a_refusal_says_nothing() {
    let held = |report: fn(&Health, Instant)| {
        let (health, now) = health();
        fail(&health, now);
        report(&health, now);
        health.gate(now) != Gate::Open
    };
    assert!(!held(|health, _| health.on_success(1)));
    assert!(!held(|health, now| {
        health.on_throttled(now, now, &failure(FailureKind::Throttled), Evidence::Load(1));
    }));
    assert!(held(|health, now| health.on_refused(now, &failure(FailureKind::Refused))));
    assert!(held(|health, now| health.on_unsent(now, &failure(FailureKind::AddressRefused))));
    assert!(held(|health, now| health.on_unsent(now, &failure(FailureKind::Unsendable))));
}

#[test]
fn a_disabled_broker_starts_nothing_and_keeps_its_first_reason() {
    let (health, now) = health();
    assert!(health.disable("answered 410") && !health.disable("by the operator"));
    assert_eq!(health.disabled_reason().as_deref(), Some("answered 410"));
    fail(&health, now);
    assert_eq!(health.gate(now + 5 * S), Gate::Disabled);
    assert!(health.is_disabled() && health.begin_probe(now + 5 * S).is_none());
    health.enable();
    assert_eq!((health.is_disabled(), health.gate(now + 5 * S)), (false, Gate::Probe));
}

#[test]
fn a_paused_broker_starts_nothing_until_it_is_resumed_and_disabling_goes_before() {
    let (health, now) = health();
    health.set_paused(true);
    assert!(matches!(health.gate(now), Gate::HeldUntil(until) if until > now + 60 * S));
    assert_eq!(health.state(now), HealthState::Paused);
    fail(&health, now);
    assert!(health.begin_probe(now + 5 * S).is_none(), "a probe is a delivery too");
    health.disable("by the operator");
    assert_eq!((health.gate(now), health.state(now)), (Gate::Disabled, HealthState::Disabled));
    health.enable();
    health.set_paused(false);
    assert_eq!((health.gate(now + 5 * S), health.state(now + 5 * S)), (Gate::Probe, HealthState::HalfOpen));
}

#[test]
fn each_outcome_is_counted_once_and_the_last_error_is_kept() {
    let (health, now) = health();
    assert_eq!(health.last_error(), None);
    fail(&health, now);
    health.on_throttled(now, now, &failure(FailureKind::Throttled), Evidence::Load(1));
    health.on_refused(now, &Failure { status: Some(404), ..failure(FailureKind::Refused) });
    health.on_success(1);
    let counts = HealthCounts {
        attempts: 1,
        successes: 1,
        failures: 3,
        throttled: 1,
        refused: 1,
        unanswered: 1,
        opened: 1,
        ..Default::default()
    };
    assert_eq!(health.counts(), counts);
    assert_eq!(health.last_error().unwrap().status, Some(404));
}

#[test]
fn a_broker_that_has_moved_is_probed_at_once_and_the_old_place_is_not_held_against_it() {
    let (health, now) = health();
    let late = health.on_attempt();
    fail(&health, now);
    health.pause_until(now + 90 * S);
    health.on_endpoint_changed(now + S);
    assert_eq!(health.gate(now + S), Gate::Probe);
    assert!(health.begin_probe(now + S).is_some());
    health.on_failure(late, now + 2 * S, &failure(FailureKind::Transient), Evidence::Unreached);
    assert_eq!(health.state(now + 2 * S), HealthState::HalfOpen, "the old place failed once more");
    fail(&health, now + 3 * S);
    // Twice the first open time, as after any probe that failed: no credit either.
    assert_eq!(health.gate(now + 3 * S), Gate::HeldUntil(now + 13 * S));

    health.disable("gone");
    health.set_paused(true);
    health.on_endpoint_changed(now + 4 * S);
    assert!(health.is_disabled() && health.is_paused(), "what an operator or a 410 has done stays");
}

#[test]
fn a_row_of_failures_at_the_old_place_does_not_count_at_the_new_one() {
    let policy = BreakerPolicy { failures: NonZeroU32::new(2).unwrap(), ..BreakerPolicy::default() };
    let (health, now) = (Health::new(policy, RetryBudgetPolicy::default()), Instant::now());
    let late = health.on_attempt();
    fail(&health, now);
    health.on_endpoint_changed(now);
    health.on_failure(late, now, &failure(FailureKind::Transient), Evidence::Unreached);
    fail(&health, now);
    assert_eq!(health.gate(now), Gate::Open);
    fail(&health, now);
    assert_eq!(health.gate(now), Gate::HeldUntil(now + 5 * S));
}

#[test]
fn a_load_that_fails_while_others_are_taken_says_nothing_of_its_broker() {
    let (health, now) = health();
    let answered = Failure { status: Some(500), may_have_arrived: true, ..failure(FailureKind::Transient) };
    let evidence = |history: &History| health.evidence(&answered, "L1", history);
    assert!(matches!(evidence(&tried(1, 10)), Evidence::Load(_)), "nothing has been taken yet");
    health.on_success(10);
    assert!(matches!(evidence(&tried(1, 10)), Evidence::Load(_)), "not since");
    assert!(matches!(evidence(&History::default()), Evidence::Load(_)), "it has not failed before");
    assert_eq!(evidence(&tried(1, 9)), Evidence::Nothing);
    assert_ne!(health.evidence(&answered, "L2", &tried(1, 10)), evidence(&tried(1, 10)));
    let unreached = failure(FailureKind::Transient);
    assert_eq!(health.evidence(&unreached, "L1", &tried(1, 9)), Evidence::Unreached);
    health.on_failure(health.on_attempt(), now, &answered, Evidence::Nothing);
    assert_eq!(health.gate(now), Gate::Open);
}

#[test]
fn a_pause_that_a_load_asks_for_again_and_again_while_others_are_taken_is_its_own() {
    let (health, now) = health();
    health.on_success(10);
    let throttled = failure(FailureKind::Throttled);
    let evidence = |attempts| health.evidence(&throttled, "L1", &tried(attempts, 9));
    assert!(matches!(evidence(1), Evidence::Load(_)), "as of any receiver that limits its rate");
    assert_eq!(evidence(2), Evidence::Nothing);
    health.on_throttled(now, now + 50 * S, &throttled, Evidence::Nothing);
    assert_eq!(health.gate(now), Gate::Open);
}

#[test]
fn a_long_pause_is_believed_of_several_loads_and_cut_short_of_one() {
    let policy = BreakerPolicy { failures: NonZeroU32::new(3).unwrap(), ..BreakerPolicy::default() };
    let (health, now) = (Health::new(policy, RetryBudgetPolicy::default()), Instant::now());
    let ask = |now: Instant, load| {
        health.on_throttled(now, now + 3_600 * S, &failure(FailureKind::Throttled), Evidence::Load(load));
        health.gate(now)
    };
    let (later, latest) = (now + 60 * S, now + 120 * S);
    assert_eq!(ask(now, 1), Gate::HeldUntil(later));
    assert_eq!(ask(later, 2), Gate::HeldUntil(latest));
    health.on_success(1);
    assert_eq!(ask(latest, 3), Gate::HeldUntil(latest + 60 * S), "another has been taken");
    assert_eq!(ask(latest, 3), Gate::HeldUntil(latest + 60 * S), "the same one again");
    assert_eq!(ask(latest, 4), Gate::HeldUntil(latest + 60 * S));
    assert_eq!(ask(latest, 5), Gate::HeldUntil(latest + 3_600 * S));
}
