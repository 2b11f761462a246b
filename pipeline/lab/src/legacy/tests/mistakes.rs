//! What the legacy service does wrong, one test for each fault the incident showed.

use super::*;
use crate::receiver::Availability;

fn down() -> Behaviour {
    Behaviour { availability: Availability::Down, ..Behaviour::default() }
}

fn failing() -> Behaviour {
    Behaviour { fail_rate: 1.0, ..Behaviour::default() }
}

#[tokio::test]
async fn a_failing_broker_makes_duplicates_at_the_brokers_before_it_and_starves_those_after_it() {
    let (before, failing) = (Tms::start(Behaviour::default()), Tms::start(failing()));
    let (after, mut log) = (Tms::start(Behaviour::default()), Log::new());
    let mut model = Model::start(log.config([&before, &failing, &after]));
    log.event("e1", "L-1");
    log.event("e2", "L-1");
    let progress = model.until(|progress| progress.retries >= 10).await;
    assert_eq!((progress.handled, progress.in_flight), (0, 1));
    assert!(before.counts().repeats >= 9, "{:?}", before.counts());
    assert!(before.events().iter().all(|event| event == "e1"), "the partition is held");
    assert_eq!(after.counts().requests, 0);

    failing.behave(Behaviour::default());
    model.until(|progress| progress.handled == 2).await;
    assert_eq!(after.events(), ["e1", "e2"]);
}

#[tokio::test]
async fn a_429_is_an_error_like_any_other_and_its_retry_after_is_not_heeded() {
    let throttled = Tms::start(Behaviour { throttle_rate: 1.0, retry_after: NEVER, ..Behaviour::default() });
    let mut log = Log::new();
    let mut model = Model::start(log.config([&throttled]));
    log.event("e1", "L-1");
    model.until(|progress| progress.retries >= 10).await;
    assert!(throttled.counts().throttled >= 10);
}

#[tokio::test]
async fn a_dead_broker_is_tried_again_without_end() {
    let refusing = Tms::start(Behaviour { availability: Availability::Refusing, ..Behaviour::default() });
    let mut log = Log::new();
    let mut model = Model::start(log.config([&refusing]));
    log.event("e1", "L-1");
    model.until(|progress| progress.retries >= 50).await;
    refusing.behave(Behaviour::default());
    model.until(|progress| progress.handled == 1).await;
    assert_eq!(refusing.events(), ["e1"]);
}

#[tokio::test]
async fn a_slow_broker_starves_the_others_of_its_partition_and_lag_grows() {
    let (slow, quick, mut log) = (Tms::start(down()), Tms::start(Behaviour::default()), Log::new());
    let config = LegacyConfig {
        commit_interval: SOON,
        timeout: Duration::from_millis(30),
        ..log.config([&slow, &quick])
    };
    let mut model = Model::start(config);
    (0..10).for_each(|nth| log.event(&format!("e{nth}"), "L-1"));
    // All but the one at work, which is committed already.
    let progress = model.until(|progress| progress.retries >= 2 && progress.lag == 9).await;
    assert_eq!((progress.oldest, progress.settled, progress.handled), (Some(1), 1, 0));
    assert_eq!(quick.counts().requests, 0);

    slow.behave(Behaviour::default());
    model.until(|progress| progress.read == 10 && progress.is_idle()).await;
    assert_eq!(quick.counts().received(), 10);
}

#[tokio::test]
async fn scaling_out_replays_what_was_delivered_and_not_yet_committed() {
    let (tms, mut log) = (Tms::start(Behaviour::default()), Log::new());
    let mut model = Model::start(log.config([&tms]));
    (0..24).for_each(|nth| log.event(&format!("e{nth:02}"), &format!("L-{nth}")));
    let before = model.until(|progress| progress.handled == 24).await;
    assert_eq!((before.consumers, before.lag, before.settled), (3, 24, 0), "delivered is not committed");

    model.order(Order::Scale(12)).await;
    let after = model.until(|progress| progress.handled == 48).await;
    assert_eq!((after.consumers, after.replayed, after.rebalancing), (12, 24, false));
    assert_eq!((tms.counts().received(), tms.counts().repeats), (24, 24));
}

#[tokio::test]
async fn what_is_committed_before_it_is_delivered_is_lost_by_a_rebalance() {
    let (tms, mut log) = (Tms::start(down()), Log::new());
    let config = LegacyConfig { commit_interval: SOON, ..log.config([&tms]) };
    let mut model = Model::start(config);
    log.event("e1", "L-1");
    let held = model.until(|progress| progress.read == 1 && progress.lag == 0).await;
    assert_eq!((held.in_flight, held.settled, held.handled), (1, 1, 0));
    seen(&tms, |counts| counts.unanswered == 1).await;

    tms.behave(Behaviour::default());
    model.order(Order::Scale(12)).await;
    model.until(|progress| progress.abandoned == 1 && progress.is_idle()).await;
    log.event("e2", "L-1");
    model.until(|progress| progress.handled == 1 && progress.is_idle()).await;
    assert_eq!(tms.events(), ["e2"]);
}

#[tokio::test]
async fn a_malformed_message_crashes_its_consumer_again_and_again_and_each_time_the_rest_is_replayed() {
    let (tms, mut log) = (Tms::start(Behaviour::default()), Log::new());
    let mut model = Model::start(LegacyConfig { partitions: 1, consumers: 1, ..log.config([&tms]) });
    log.event("e1", "L-1");
    log.append("not json");
    log.event("e2", "L-1");
    let progress = model.until(|progress| progress.handled == 4).await;
    assert_eq!((progress.crashes, progress.skipped, progress.settled), (3, 1, 2));
    assert_eq!(tms.events(), ["e1", "e1", "e1", "e2"]);
}

#[tokio::test]
async fn a_crash_holds_the_other_partitions_of_the_consumer_and_nobody_elses() {
    let (tms, mut log) = (Tms::start(Behaviour::default()), Log::new());
    let config = LegacyConfig { partitions: 4, consumers: 2, poison_restart: NEVER, ..log.config([&tms]) };
    // Without a load, by its place: record 0 is in partition 0, of the first consumer's.
    log.append("not json");
    let mut model = Model::start(config);
    model.until(|progress| progress.crashes == 1).await;
    let load = |partitions: std::ops::Range<usize>| {
        let load = (0..).map(|nth| format!("L-{nth}"));
        load.into_iter()
            .find(|load| partitions.contains(&crate::legacy::assign::partition_of(Some(load), 0, 4)))
            .unwrap()
    };
    log.event("held", &load(1..2));
    log.event("free", &load(2..4));
    let progress = model.until(|progress| progress.read == 3 && progress.handled == 1).await;
    assert_eq!((progress.in_flight, progress.lag), (0, 3));
    assert_eq!(tms.events(), ["free"]);
}
