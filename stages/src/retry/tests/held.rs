//! Deliveries that must wait: pauses, the breaker, the retry budget; and what a retry may repeat.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_pause_asked_for_holds_the_broker_within_bounds_and_does_not_count() {
    for (asked, held) in [(10, 10), (9_999, 60)] {
        let broker = broker();
        let throttled =
            retry(QUICK, vec![answer(FailureKind::Throttled, 429, Some(asked))]).run(fresh(&broker)).await;
        assert_eq!(spill(throttled), (Some(held * SECOND), 1, 0));
        let until = Instant::now() + held * SECOND;
        assert_eq!(broker.health.gate(Instant::now()), Gate::HeldUntil(until));
        assert_eq!(broker.health.gate(until), Gate::Open);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_no_length_is_waited_out_in_place_and_never_exhausts_the_attempts() {
    let now = || answer(FailureKind::Throttled, 429, Some(0));
    let broker = broker();
    let answers = (0..7).map(|_| now()).chain([None]).collect();
    let receipt = retry(QUICK, answers).run(fresh(&broker)).await.unwrap();
    assert_eq!((receipt.failed_attempts, broker.health.counts().throttled), (7, 7));
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_a_failure_asks_for_holds_the_broker_and_counts_as_any_failure() {
    for (kind, status, counts) in [
        (FailureKind::Transient, 500, 1),
        (FailureKind::Transient, 408, 1),
        (FailureKind::EndpointRefused, 404, 0),
    ] {
        let broker = broker();
        let failed = retry(QUICK, vec![answer(kind, status, Some(10))]).run(fresh(&broker)).await;
        assert_eq!(spill(failed), (Some(10 * SECOND), 1, counts), "{status}");
        let until = Instant::now() + 10 * SECOND;
        assert_eq!(broker.health.gate(Instant::now()), Gate::HeldUntil(until), "{status}");
        assert_eq!(broker.health.state(until), HealthState::Healthy, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_turned_away_unseen_is_sent_again_at_once_and_costs_nobody_anything_the_first_time()
 {
    let unseen = || Some(failure(FailureKind::Unprocessed));
    let one = || {
        let mut broker = broker_with("acme", 1_000_000.0, 1_000);
        let policy = BreakerPolicy { failures: NonZeroU32::MIN, ..Default::default() };
        broker.health = Health::new(policy, RetryBudgetPolicy::default());
        Arc::new(broker)
    };
    let (broker, start) = (one(), Instant::now());
    let receipt = retry(QUICK, vec![unseen(), None]).run(fresh(&broker)).await.unwrap();
    assert_eq!((receipt.failed_attempts, start.elapsed()), (1, 2 * SECOND), "a second for each answer");
    assert_eq!(broker.health.counts().repeats_after_no_answer, 0);
    // A second time it is as if it had not been reached.
    let broker = one();
    let (_, attempts, counted) = spill(retry(QUICK, vec![unseen(), unseen()]).run(fresh(&broker)).await);
    assert_eq!((attempts, counted), (2, 1));
    assert!(matches!(broker.health.gate(Instant::now()), Gate::HeldUntil(_)));
}

#[tokio::test(start_paused = true)]
async fn a_throttled_broker_that_names_no_time_is_paused_for_the_backoff() {
    let broker = broker();
    let throttled = retry(QUICK, vec![answer(FailureKind::Throttled, 429, None)]).run(fresh(&broker)).await;
    let (wait, attempts, counted) = spill(throttled);
    assert!(wait <= Some(SECOND) && (attempts, counted) == (1, 0));
    let Gate::HeldUntil(until) = broker.health.gate(Instant::now()) else { panic!("not held") };
    assert!(until - Instant::now() <= SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_wait_too_long_for_memory_spills_the_delivery_for_as_long() {
    let asks = || answer(FailureKind::Transient, 500, Some(30));
    let (wait, attempts, counted) = spill(retry(QUICK, vec![no(), asks()]).run(fresh(&broker())).await);
    assert_eq!((wait, attempts, counted), (Some(Duration::from_secs(30)), 2, 2));
    let policy = RetryPolicy { retry_after_max: 5 * SECOND, ..QUICK };
    let (wait, ..) = spill(retry(policy, vec![asks()]).run(fresh(&broker())).await);
    assert_eq!(wait, Some(5 * SECOND), "bounded");
}

#[tokio::test(start_paused = true)]
async fn the_failure_that_opens_the_breaker_spills_the_delivery_which_keeps_its_own_time() {
    let policy = RetryPolicy { attempts_max: 12, ..QUICK };
    let broker = broker();
    let (wait, attempts, counted) =
        spill(retry(policy, vec![no(), no(), no(), no(), no()]).run(fresh(&broker)).await);
    assert!(wait.is_some_and(|wait| wait <= SECOND) && (attempts, counted) == (5, 5), "{wait:?}");
    assert!(matches!(broker.health.gate(Instant::now()), Gate::HeldUntil(_)));
}

#[tokio::test(start_paused = true)]
async fn a_delivery_started_as_the_probe_is_attempted_and_its_failure_does_not_count() {
    let broker = broker();
    open_breaker(&broker.health);
    tokio::time::sleep(5 * SECOND).await;
    let probe = || {
        assert!(broker.health.begin_probe(Instant::now()).is_some());
        let mut fresh = fresh(&broker);
        fresh.delivery_mut().probe = true;
        fresh
    };
    let (_, attempts, counted) = spill(retry(QUICK, vec![no()]).run(probe()).await);
    assert_eq!((attempts, counted), (1, 0));
    assert_eq!(broker.health.gate(Instant::now()), Gate::HeldUntil(Instant::now() + 10 * SECOND));
    tokio::time::sleep(10 * SECOND).await;
    assert!(retry(QUICK, vec![None]).run(probe()).await.is_ok());
    assert_eq!(broker.health.gate(Instant::now()), Gate::Open);
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_closes_during_the_wait_stops_the_next_attempt() {
    let fails = || answer(FailureKind::Transient, 500, None);
    let during_the_wait = |act: fn(&Health)| async move {
        let broker = broker();
        let line = retry(QUICK, vec![fails()]);
        let (step, ()) = tokio::join!(line.run(fresh(&broker)), async {
            tokio::time::sleep(SECOND + Duration::from_millis(1)).await;
            act(&broker.health);
        });
        step
    };
    assert_eq!(spill(during_the_wait(open_breaker).await), (None, 1, 1));
    let disabled = during_the_wait(|health| assert!(health.disable("by the operator"))).await;
    assert_eq!(dead(disabled), (Undeliverable::BrokerDisabled, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_empty_retry_budget_puts_the_retry_off() {
    let broker = broker();
    while broker.health.retry_budget().withdraw(Instant::now()) {}
    let policy = RetryPolicy { base: Duration::ZERO, cap: 100 * SECOND, ..QUICK };
    // The second that the answer takes earns ten retries.
    let receipt = retry(policy, vec![no(), None]).run(fresh(&broker)).await.unwrap();
    assert_eq!(receipt.failed_attempts, 1);
    let (step, ()) = tokio::join!(async { retry(policy, vec![no()]).run(fresh(&broker)).await }, async {
        tokio::time::sleep(SECOND - Duration::from_millis(1)).await;
        while broker.health.retry_budget().withdraw(Instant::now()) {}
    });
    let (wait, attempts, _) = spill(step);
    assert!(wait >= Some(50 * SECOND) && wait <= Some(100 * SECOND), "{wait:?}");
    assert_eq!((attempts, broker.health.counts().deferred), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn only_a_first_attempt_ever_pays_into_the_budget() {
    let deposits = |attempts: u32| async move {
        let mut broker = broker_with("acme", 1_000_000.0, 1_000);
        let budget = RetryBudgetPolicy { ratio: 1.0, min_per_second: 0.0, window_seconds: 0.0 };
        broker.health = Health::new(BreakerPolicy::default(), budget);
        let broker = Arc::new(broker);
        assert!(broker.health.retry_budget().withdraw(Instant::now()));
        let mut fresh = fresh(&broker);
        fresh.delivery_mut().history.attempts = attempts;
        retry(QUICK, vec![None]).run(fresh).await.unwrap();
        broker.health.retry_budget().withdraw(Instant::now())
    };
    assert!(deposits(0).await);
    assert!(!deposits(3).await, "a delivery back from the spill was paid for, or put off, before");
}

#[tokio::test(start_paused = true)]
async fn possible_repeats_are_counted_by_their_cause() {
    let counts = |may_repeat: bool, answers: Vec<Option<Failure>>| async move {
        let broker = broker();
        let mut fresh = fresh(&broker);
        fresh.delivery_mut().may_repeat = may_repeat;
        retry(QUICK, answers).run(fresh).await.unwrap();
        let counts = broker.health.counts();
        (counts.repeats_after_crash, counts.repeats_after_no_answer, counts.repeats_after_refusal)
    };
    assert_eq!(counts(false, vec![no(), None]).await, (0, 0, 0));
    assert_eq!(counts(true, vec![no(), None]).await, (1, 0, 0));
    // Nothing arrived of the second: the third is the first that may repeat.
    assert_eq!(counts(false, vec![no_answer(), no(), None]).await, (0, 1, 0));
    assert_eq!(counts(false, vec![no_answer(), no_answer(), None]).await, (0, 2, 0));
    assert_eq!(counts(true, vec![no_answer(), None]).await, (1, 1, 0));
    for status in [302, 408, 429, 503] {
        let refused = || {
            Some(Failure { may_have_arrived: true, ..answer(FailureKind::Transient, status, None).unwrap() })
        };
        assert_eq!(counts(false, vec![refused(), None]).await, (0, 0, 1), "{status}");
        assert_eq!(counts(false, vec![refused(), no_answer(), None]).await, (0, 1, 1), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hanging_broker_costs_its_breaker_time_only_once_however_late_its_failures_come() {
    let mut broker = broker_with("acme", 1_000_000.0, 1_000);
    let failures = NonZeroU32::MIN;
    let policy = BreakerPolicy { failures, open_min: SECOND / 2, ..Default::default() };
    broker.health = Health::new(policy, RetryBudgetPolicy::default());
    let broker = Arc::new(broker);
    let start = Instant::now();
    let late = async {
        tokio::time::sleep(SECOND / 2).await;
        retry(QUICK, vec![no()]).run(fresh(&broker)).await
    };
    let prompt = retry(QUICK, vec![no()]);
    // One fails at 1 s and opens the breaker, the other, begun before, fails at 1.5 s, when the breaker is half-open.
    let (_, step) = tokio::join!(prompt.run(fresh(&broker)), late);
    assert_eq!(start.elapsed(), SECOND + SECOND / 2);
    let (wait, attempts, counted) = spill(step);
    assert!(wait.is_some() && (attempts, counted) == (1, 1));
    assert_eq!((broker.health.gate(Instant::now()), broker.health.counts().opened), (Gate::Probe, 1));
}
