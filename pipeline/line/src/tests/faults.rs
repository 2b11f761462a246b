//! What stops the line stops it at once, under its own name, and settles nothing more.

use std::{sync::Arc, time::Duration};

use state::StateFault;
use tokio::time::sleep;

use super::{
    log::Log,
    site::{Site, ms},
    wire::{End, Wire},
};
use crate::{
    LineFault,
    stop::{Level, stop},
};

#[tokio::test]
async fn a_fault_is_reported_as_what_it_is_also_while_intake_is_held() {
    for round in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        let wire =
            Wire::new(|call| if call.number == 7 { (ms(20), End::Fault) } else { (ms(30), End::Accept) });
        let site = Site::new(dir.path(), Log::plain(200, 200), wire, 1);
        let fault = site.run(stop().1).await.unwrap_err();
        assert!(
            matches!(fault, LineFault::State(StateFault::Overrun { bound: 42 })),
            "round {round}: {fault}"
        );
        let watch = site.watch.lock().clone().unwrap();
        let (settled, accepted) = (watch.partitions().settled(), site.wire.seen().accepted.len() as u64);
        assert!(settled <= accepted, "{settled} settled, {accepted} accepted");
    }
}

#[tokio::test]
async fn a_shard_that_panics_stops_the_line_and_the_next_run_delivers_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let wire = Wire::new(|call| {
        (ms(1), if call.number == 20 && call.before == 0 { End::Panic } else { End::Accept })
    });
    let site = Site::new(dir.path(), Log::plain(60, 4), wire, 1);
    let fault = site.run(stop().1).await.unwrap_err();
    assert!(matches!(fault, LineFault::ShardLost { shard: 0 }), "{fault}");
    assert!(site.run(stop().1).await.is_ok());
    let mut numbers: Vec<_> = site.wire.seen().accepted.iter().map(|entry| entry.2).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers, (0..60).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_ledger_that_overruns_stops_the_line_and_settles_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut site = Site::new(dir.path(), Log::plain(200, 50), Wire::new(|_| (ms(1), End::Accept)), 1);
    site.concurrency = 64;
    site.limits.in_flight_max = 64;
    site.limits.per_broker_max = 64;
    site.inbox_max = 2;
    let fault = site.run(stop().1).await.unwrap_err();
    assert!(matches!(fault, LineFault::State(StateFault::Overrun { bound: 2 })), "{fault}");
    let watch = site.watch.lock().clone().unwrap();
    let settled = watch.partitions().settled();
    sleep(ms(50)).await;
    assert_eq!(watch.partitions().settled(), settled);
    site.inbox_max = 10_000;
    site.run(stop().1).await.unwrap();
    assert!(site.wire.seen().accepted.len() >= 200);
}

#[tokio::test]
async fn an_input_that_ends_before_a_broker_recovers_is_not_a_defect() {
    let dir = tempfile::tempdir().unwrap();
    let mut site = Site::new(dir.path(), Log::plain(7, 3), Wire::new(|_| (ms(1), End::Transient)), 1);
    site.limits.spill_total_max = 1;
    site.limits.drain = ms(50);
    site.limits.grace = ms(50);
    let report = site.run(stop().1).await.unwrap();
    assert_eq!((report.records, report.settled, report.spilled), (7, 0, 0));
}

#[tokio::test]
async fn a_wish_to_stop_now_counts_also_after_a_wish_to_stop() {
    let dir = tempfile::tempdir().unwrap();
    let mut site = Site::new(dir.path(), Log::plain(20, 20), Wire::new(|_| (ms(600_000), End::Accept)), 1);
    site.limits.grace = Duration::from_secs(600);
    let site = Arc::new(site);
    let (stopper, stopped) = stop();
    let running = tokio::spawn({
        let site = site.clone();
        async move { site.run(stopped).await }
    });
    while site.wire.seen().starts.len() < 4 {
        sleep(ms(5)).await;
    }
    stopper.ask(Level::Drain);
    sleep(ms(100)).await;
    stopper.ask(Level::Now);
    let report = running.await.unwrap().unwrap();
    assert_eq!(report.abandoned, 4);
}
