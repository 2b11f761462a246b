//! The gate, row by row.

use std::{num::NonZeroU32, time::Duration};

use super::*;
use crate::{models::FailureKind, testing::failure};

const S: Duration = Duration::from_secs(1);

/// Opens after one failure, for 5 s.
fn health() -> (Health, Instant) {
    let policy = BreakerPolicy { failures: NonZeroU32::MIN, ..BreakerPolicy::default() };
    (Health::new(policy, RetryBudgetPolicy::default()), Instant::now())
}

fn fail(health: &Health, now: Instant) {
    health.on_failure(health.on_attempt(), now, &failure(FailureKind::Transient));
}

#[test]
fn a_pause_is_lengthened_and_never_cut_short() {
    let (health, now) = health();
    health.pause_until(now + 10 * S);
    health.pause_until(now + 2 * S);
    assert_eq!(health.gate(now + 9 * S), Gate::HeldUntil(now + 10 * S));
    health.on_throttled(now, now + 20 * S, &failure(FailureKind::Throttled));
    assert_eq!(health.gate(now + 19 * S), Gate::HeldUntil(now + 20 * S));
    assert_eq!(health.gate(now + 20 * S), Gate::Open);
}

#[test]
fn one_probe_goes_through_a_half_open_gate() {
    let (health, now) = health();
    assert!(!health.begin_probe(now), "the gate is open");
    fail(&health, now);
    assert_eq!(health.gate(now), Gate::HeldUntil(now + 5 * S));
    let half = now + 5 * S;
    assert_eq!((health.gate(half), health.gate(half)), (Gate::Probe, Gate::Probe), "asking takes nothing");
    assert!(health.begin_probe(half) && !health.begin_probe(half));
    assert_eq!(health.gate(half), Gate::HeldUntil(half + 60 * S));
    assert!(!health.on_attempt().breaker_was_closed());
    health.release_probe(half);
    assert_eq!(health.gate(half), Gate::Probe);
    assert!(health.begin_probe(half));
    health.on_success();
    health.release_probe(half);
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
    assert!(!health.begin_probe(now + 6 * S));
    assert_eq!(health.gate(now + 8 * S), Gate::Probe);
}

#[test]
fn an_answer_closes_the_breaker_whatever_it_says_and_no_answer_does_not() {
    let held = |report: fn(&Health, Instant)| {
        let (health, now) = health();
        fail(&health, now);
        report(&health, now);
        health.gate(now) != Gate::Open
    };
    assert!(!held(|health, _| health.on_success()));
    assert!(!held(|health, now| health.on_refused(now, &failure(FailureKind::Refused))));
    assert!(!held(|health, now| health.on_throttled(now, now, &failure(FailureKind::Throttled))));
    assert!(held(|health, now| health.on_unsent(now, &failure(FailureKind::AddressRefused))));
}

#[test]
fn a_disabled_broker_starts_nothing_and_keeps_its_first_reason() {
    let (health, now) = health();
    assert!(health.disable("answered 410") && !health.disable("by the operator"));
    assert_eq!(health.disabled_reason().as_deref(), Some("answered 410"));
    fail(&health, now);
    assert_eq!(health.gate(now + 5 * S), Gate::Disabled);
    assert!(health.is_disabled() && !health.begin_probe(now + 5 * S));
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
    assert!(!health.begin_probe(now + 5 * S), "a probe is a delivery too");
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
    health.on_throttled(now, now, &failure(FailureKind::Throttled));
    health.on_refused(now, &Failure { status: Some(404), ..failure(FailureKind::Refused) });
    health.on_success();
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
    health.on_moved(now + S);
    assert_eq!(health.gate(now + S), Gate::Probe);
    assert!(health.begin_probe(now + S));
    health.on_failure(late, now + 2 * S, &failure(FailureKind::Transient));
    assert_eq!(health.state(now + 2 * S), HealthState::HalfOpen, "the old place failed once more");
    fail(&health, now + 3 * S);
    // Twice the first open time, as after any probe that failed: no credit either.
    assert_eq!(health.gate(now + 3 * S), Gate::HeldUntil(now + 13 * S));

    health.disable("gone");
    health.set_paused(true);
    health.on_moved(now + 4 * S);
    assert!(health.is_disabled() && health.is_paused(), "what an operator or a 410 has done stays");
}

#[test]
fn a_row_of_failures_at_the_old_place_does_not_count_at_the_new_one() {
    let policy = BreakerPolicy { failures: NonZeroU32::new(2).unwrap(), ..BreakerPolicy::default() };
    let (health, now) = (Health::new(policy, RetryBudgetPolicy::default()), Instant::now());
    let late = health.on_attempt();
    fail(&health, now);
    health.on_moved(now);
    health.on_failure(late, now, &failure(FailureKind::Transient));
    fail(&health, now);
    assert_eq!(health.gate(now), Gate::Open);
    fail(&health, now);
    assert_eq!(health.gate(now), Gate::HeldUntil(now + 5 * S));
}
