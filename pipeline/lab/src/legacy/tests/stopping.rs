//! The model stops in whatever state it is in. A model that did not would hang its test.

use super::*;
use crate::receiver::Availability;

#[tokio::test]
async fn it_stops_while_a_broker_does_not_answer() {
    let down = Behaviour { availability: Availability::Down, ..Behaviour::default() };
    let (tms, mut log) = (Tms::start(down), Log::new());
    let mut model = Model::start(log.config([&tms]));
    log.event("e1", "L-1");
    model.until(|progress| progress.in_flight == 1).await;
    seen(&tms, |counts| counts.unanswered == 1).await;
    let last = model.stop().await;
    assert_eq!((last.in_flight, last.lag, last.handled), (1, 1, 0));
}

#[tokio::test]
async fn it_stops_while_it_retries_as_fast_as_it_can() {
    let refusing = Behaviour { availability: Availability::Refusing, ..Behaviour::default() };
    let (tms, mut log) = (Tms::start(refusing), Log::new());
    let mut model = Model::start(log.config([&tms]));
    (0..100).for_each(|nth| log.event("e", &format!("L-{nth}")));
    model.until(|progress| progress.retries > 20).await;
    assert_eq!(model.stop().await.handled, 0);
}

#[tokio::test]
async fn it_stops_in_a_rebalance_in_a_query_and_after_a_crash() {
    let mut log = Log::new();
    let slow = LegacyConfig { session: NEVER, query: NEVER, poison_restart: NEVER, ..log.config([]) };
    let mut model = Model::start(slow);
    log.append("not json");
    log.event("e1", "L-1");
    model.until(|progress| progress.crashes == 1 && progress.in_flight == 1).await;
    model.order(Order::Scale(1)).await;
    model.until(|progress| progress.rebalancing).await;
    let last = model.stop().await;
    assert_eq!((last.consumers, last.read, last.settled), (1, 2, 0));
}

#[tokio::test]
async fn it_stops_when_nobody_gives_orders_or_takes_reports() {
    let log = Log::new();
    let model = Model::start(log.config([]));
    drop(model.orders);
    model.task.await.unwrap().unwrap();
    let model = Model::start(log.config([]));
    drop(model.reports);
    model.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_log_that_is_not_there_yet_is_waited_for_and_one_that_shrinks_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("later.ndjson");
    let mut model = Model::start(LegacyConfig { log: path.clone(), ..Log::new().config([]) });
    model.until(|progress| progress.read == 0).await;
    std::fs::write(&path, "{}\n{}\n{}\n").unwrap();
    model.until(|progress| progress.handled == 3).await;
    File::create(&path).unwrap().write_all(b"[]\n").unwrap();
    let fault = loop {
        match model.reports.recv().await {
            Some(_) => {}
            None => break model.task.await.unwrap().unwrap_err(),
        }
    };
    assert!(matches!(fault, LegacyFault::Rotated { .. } | LegacyFault::Log { .. }), "{fault}");
}

#[tokio::test]
async fn a_config_that_cannot_be_stops_it_before_it_starts() {
    let log = Log::new();
    let config = LegacyConfig { partitions: 0, ..log.config([]) };
    let (_orders, take) = mpsc::channel(1);
    let (give, _reports) = mpsc::channel(1);
    assert!(matches!(run(&config, SOON, take, give).await, Err(LegacyFault::Config(_))));
}
