//! The retry loop against a scripted receiver, in paused time.

mod held;

use std::{collections::VecDeque, num::NonZeroU32};

use super::*;
use crate::{
    models::Permitted,
    testing::{broker_with, failure, fresh},
    throttle::Throttle,
};

/// A receiver that gives these answers, one per attempt, and takes a second for each.
struct Script(Mutex<VecDeque<Option<Failure>>>);

impl Stage for Script {
    type In = Permitted;
    type Out = Attempt;

    async fn run(&self, permitted: Permitted) -> Step<Attempt> {
        tokio::time::sleep(SECOND).await;
        let answer = self.0.lock().pop_front().expect("an attempt the script does not have");
        let (fresh, _) = permitted.spend()?;
        Ok(match answer {
            None => Attempt::Accepted(Receipt {
                failed_attempts: fresh.delivery().history.attempts,
                status: 200,
                at: 0,
            }),
            Some(failure) => Attempt::Failed(fresh, failure),
        })
    }
}

const SECOND: Duration = Duration::from_secs(1);
const START: u64 = 1_000_000;

/// Waits of at most a second, all in place.
const QUICK: RetryPolicy = RetryPolicy {
    base: SECOND,
    cap: SECOND,
    attempts_max: 4,
    age_max: Duration::from_secs(3_600),
    retry_after_max: Duration::from_secs(60),
    in_place_max: SECOND,
};

fn retry(policy: RetryPolicy, answers: Vec<Option<Failure>>) -> impl Stage<In = Fresh, Out = Receipt> {
    let script = Script(Mutex::new(answers.into()));
    Throttle::new().then(script).retry(policy, Clock::simulated(START)).seeded(7)
}

fn broker() -> Arc<Broker> {
    Arc::new(broker_with("acme", 1_000_000.0, 1_000))
}

fn no() -> Option<Failure> {
    Some(failure(FailureKind::Transient))
}

fn no_answer() -> Option<Failure> {
    Some(Failure { may_have_arrived: true, ..failure(FailureKind::Transient) })
}

fn answer(kind: FailureKind, status: u16, retry_after: Option<u64>) -> Option<Failure> {
    let retry_after = retry_after.map(Duration::from_secs);
    Some(Failure { status: Some(status), retry_after, ..failure(kind) })
}

fn open_breaker(health: &Health) {
    for _ in 0..5 {
        let failure = failure(FailureKind::Transient);
        health.on_failure(health.on_attempt(), Instant::now(), &failure, Evidence::Unreached);
    }
}

/// The reason, attempts and counted attempts of an undeliverable one.
fn dead(step: Step<Receipt>) -> (Undeliverable, u32, u32) {
    match step.unwrap_err() {
        Exit::Verdict(Verdict::Undeliverable { why, history }) => (why, history.attempts, history.counted),
        other => panic!("not undeliverable but {other:?}"),
    }
}

/// How long from now, attempts and counted attempts of a spilled one.
fn spill(step: Step<Receipt>) -> (Option<Duration>, u32, u32) {
    match step.unwrap_err() {
        Exit::Verdict(Verdict::Spilled { history, not_before }) => {
            (not_before.map(|at| at - Instant::now()), history.attempts, history.counted)
        }
        other => panic!("not spilled but {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_tried_in_place_until_it_is_taken_and_each_attempt_pays_a_permit() {
    let broker = Arc::new(broker_with("slow", 0.1, 1));
    let start = Instant::now();
    let receipt = retry(QUICK, vec![no(), no(), None]).run(fresh(&broker)).await.unwrap();
    assert_eq!(receipt.failed_attempts, 2);
    assert_eq!(
        start.elapsed(),
        Duration::from_secs(21),
        "three permits ten seconds apart, a second to answer"
    );
    let counts = HealthCounts { attempts: 3, successes: 1, failures: 2, unanswered: 2, ..Default::default() };
    assert_eq!(broker.health.counts(), counts);
}

#[tokio::test(start_paused = true)]
async fn the_last_attempt_allowed_makes_a_dead_letter_with_its_history() {
    let broker = broker();
    let Err(Exit::Verdict(verdict)) =
        retry(QUICK, vec![no(), no_answer(), no(), no()]).run(fresh(&broker)).await
    else {
        panic!("it was taken");
    };
    let Verdict::Undeliverable { why: Undeliverable::AttemptsExhausted, history } = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!((history.attempts, history.counted, history.last.len()), (4, 4, 4));
    assert!(history.last[0].at >= START + 1_000 && history.last[0].at < history.last[3].at);
    assert_eq!(history.last[1].cause, "connection reset");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_ends_it_at_once_and_leaves_the_broker_well() {
    let broker = broker();
    let refused = retry(QUICK, vec![answer(FailureKind::Refused, 422, None)]).run(fresh(&broker)).await;
    assert_eq!(dead(refused), (Undeliverable::Refused { status: 422 }, 1, 1));
    let address = retry(QUICK, vec![Some(failure(FailureKind::AddressRefused))]).run(fresh(&broker)).await;
    assert_eq!(dead(address), (Undeliverable::AddressRefused, 1, 1));
    let unsendable = retry(QUICK, vec![Some(failure(FailureKind::Unsendable))]).run(fresh(&broker)).await;
    assert!(matches!(dead(unsendable), (Undeliverable::Unsendable { why }, 1, 1) if !why.is_empty()));
    assert_eq!(broker.health.gate(Instant::now()), Gate::Open);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_was_refused_together_with_others_is_tried_again_at_once_and_that_does_not_count() {
    let broker = broker();
    let policy = RetryPolicy { attempts_max: 1, ..QUICK };
    let together = || answer(FailureKind::RefusedTogether, 422, None);
    let begun = Instant::now();
    let taken = retry(policy, vec![together(), None]).run(fresh(&broker)).await;
    // Each attempt takes a second.
    assert_eq!((taken.unwrap().failed_attempts, begun.elapsed()), (1, 2 * SECOND));
    let alone = answer(FailureKind::Refused, 422, None);
    let refused = retry(policy, vec![together(), alone]).run(fresh(&broker)).await;
    assert_eq!(dead(refused), (Undeliverable::Refused { status: 422 }, 2, 1));
    assert_eq!(broker.health.gate(Instant::now()), Gate::Open);
}

#[tokio::test(start_paused = true)]
async fn one_load_that_always_fails_alone_is_a_dead_letter_after_as_many_attempts_as_are_allowed() {
    let broker = broker();
    let policy = RetryPolicy { attempts_max: 12, ..QUICK };
    let fails = || answer(FailureKind::Transient, 500, None);
    let retry = retry(policy, (0..12).map(|_| fails()).collect());
    let (mut next, mut turns) = (fresh(&broker), 0);
    let end = loop {
        turns += 1;
        match retry.run(next).await {
            // It gives its place on the wire to others after a few attempts, and then after each, and comes again.
            Err(Exit::Verdict(Verdict::Spilled { history, .. })) => {
                next = fresh(&broker);
                next.delivery_mut().history = history;
            }
            end => break end,
        }
    };
    assert_eq!((dead(end), turns), ((Undeliverable::AttemptsExhausted, 12, 12), 5));
    assert_eq!(broker.health.gate(Instant::now()), Gate::Open);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_while_others_are_taken_counts_and_costs_the_broker_nothing() {
    let broker = broker();
    // Another one is taken after this one failed, and before the breaker opens.
    broker.health.on_success(START);
    open_breaker(&broker.health);
    tokio::time::sleep(5 * SECOND).await;
    assert!(broker.health.begin_probe(Instant::now()).is_some());
    let mut fresh = fresh(&broker);
    fresh.delivery_mut().probe = true;
    let earlier = FailedAttempt {
        at: 5,
        status: Some(500),
        cause: String::new(),
        may_have_arrived: true,
        answer: None,
    };
    fresh.delivery_mut().history.push(earlier, true);
    let fails = answer(FailureKind::Transient, 500, None);
    let (_, attempts, counted) = spill(retry(QUICK, vec![fails]).run(fresh).await);
    assert_eq!((attempts, counted), (2, 2));
    assert_eq!(broker.health.gate(Instant::now()), Gate::Probe, "another one is tried at once");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_refuses_everything_is_held_and_no_event_comes_nearer_to_its_dead_letter() {
    let broker = broker();
    let refused = || answer(FailureKind::EndpointRefused, 404, None);
    let (_, attempts, counted) = spill({
        let policy = RetryPolicy { cap: 60 * SECOND, ..QUICK };
        retry(policy, (0..50).map(|_| refused()).collect()).run(fresh(&broker)).await
    });
    assert!(attempts > 1 && counted == 0, "{attempts}");
    assert_eq!(broker.health.gate(Instant::now()), Gate::Open, "one load alone");
    let mut opened = broker_with("acme", 1_000_000.0, 1_000);
    let failures = NonZeroU32::MIN;
    let policy = BreakerPolicy { failures, ..Default::default() };
    opened.health = Health::new(policy, RetryBudgetPolicy::default());
    let opened = Arc::new(opened);
    spill(retry(QUICK, vec![refused()]).run(fresh(&opened)).await);
    assert!(matches!(opened.health.gate(Instant::now()), Gate::HeldUntil(_)));
}

#[tokio::test(start_paused = true)]
async fn a_409_is_a_receipt_if_an_earlier_attempt_can_have_brought_it_and_a_refusal_otherwise() {
    let conflict = || answer(FailureKind::Conflict, 409, None);
    let late = retry(QUICK, vec![no_answer(), conflict()]).run(fresh(&broker())).await.unwrap();
    assert_eq!((late.status, late.failed_attempts), (409, 1));
    let mut repeat = fresh(&broker());
    repeat.delivery_mut().may_repeat = true;
    assert_eq!(retry(QUICK, vec![conflict()]).run(repeat).await.unwrap().status, 409);
    let busy = Some(Failure { may_have_arrived: true, ..answer(FailureKind::Transient, 503, None).unwrap() });
    let refused = retry(QUICK, vec![busy, conflict()]).run(fresh(&broker())).await;
    assert_eq!(
        dead(refused).0,
        Undeliverable::Refused { status: 409 },
        "an answer that says no brought nothing"
    );
    let said_no = Some(Failure {
        may_have_arrived: true,
        answer: Some("{\"success\":false}".to_owned()),
        ..answer(FailureKind::Transient, 200, None).unwrap()
    });
    let refused = retry(QUICK, vec![said_no, conflict()]).run(fresh(&broker())).await;
    assert_eq!(dead(refused).0, Undeliverable::Refused { status: 409 }, "nor did a 200 whose body says no");
    let first = retry(QUICK, vec![no(), conflict()]).run(fresh(&broker())).await;
    assert_eq!(dead(first), (Undeliverable::Refused { status: 409 }, 2, 2));
}

#[tokio::test(start_paused = true)]
async fn gone_disables_the_broker_and_the_next_event_is_not_attempted() {
    let broker = broker();
    let gone = retry(QUICK, vec![answer(FailureKind::Gone, 410, None)]).run(fresh(&broker)).await;
    assert_eq!(dead(gone), (Undeliverable::BrokerDisabled, 1, 1));
    assert_eq!(dead(retry(QUICK, vec![]).run(fresh(&broker)).await), (Undeliverable::BrokerDisabled, 0, 0));
    assert_eq!(broker.health.counts().attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_is_no_older_because_the_wall_clock_was_set() {
    let (clock, steps) = Clock::stepping(START);
    let clock = clock.monotonic_from_now();
    steps.step(4 * 86_400_000);
    let policy = RetryPolicy { age_max: Duration::from_millis(START), ..QUICK };
    let script = Script(Mutex::new(vec![None].into()));
    let retry = Throttle::new().then(script).retry(policy, clock).seeded(7);
    assert!(retry.run(fresh(&broker())).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_event_past_its_age_is_not_attempted_and_one_at_it_is() {
    let age_max = Duration::from_millis(START);
    assert!(retry(RetryPolicy { age_max, ..QUICK }, vec![None]).run(fresh(&broker())).await.is_ok());
    let age_max = Duration::from_millis(START - 1);
    let old = retry(RetryPolicy { age_max, ..QUICK }, vec![]).run(fresh(&broker())).await;
    assert_eq!(dead(old), (Undeliverable::TooOld, 0, 0));
    let age_max = Duration::from_millis(START + 500);
    let aged = retry(RetryPolicy { age_max, ..QUICK }, vec![no()]).run(fresh(&broker())).await;
    assert_eq!(dead(aged), (Undeliverable::TooOld, 1, 1));
}
