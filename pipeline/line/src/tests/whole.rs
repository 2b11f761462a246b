//! A log goes through from its first record to its last, in trouble of every kind and however often it is stopped.

use std::{num::NonZeroU32, ops::Range, path::Path, sync::Arc};

use stages::Broker;
use tokio::time::{Instant, sleep};

use super::{
    log::Log,
    look_ahead::Asked,
    site::{Site, ms},
    wire::{Call, End, Wire, mix},
};
use crate::{
    Executor, LookAhead,
    stop::{Level, stop},
};

/// The different runs of trouble that are tried: a few each time, as many as `LINE_SEEDS=from..to` says when looking
/// for trouble.
pub(super) fn seeds() -> Range<u64> {
    let asked = std::env::var("LINE_SEEDS").ok();
    let bounds = asked.as_deref().and_then(|asked| asked.split_once(".."));
    bounds.map_or(0..8, |(from, to)| from.parse().unwrap()..to.parse().unwrap())
}

/// Receivers that fail now and then, are slow now and then, and of which one is down for a while; the same for the same
/// seed, as far as what happens at what time can be.
fn troubled(seed: u64) -> Wire {
    let began = Instant::now();
    Wire::new(move |call: Call| {
        let draw = |what: u64, below: u64| {
            mix(seed, &[call.broker as u64, call.number, u64::from(call.before), what]) % below
        };
        let takes = if draw(0, 20) == 0 { ms(draw(1, 30)) } else { ms(draw(1, 3)) };
        let down = call.broker == 0 && (ms(20)..ms(20 + mix(seed, &[9]) % 300)).contains(&began.elapsed());
        let end = match draw(2, 100) {
            _ if down => End::Transient,
            _ if refused(call.number) => End::Refused,
            0..6 => End::Transient,
            6..8 => End::Throttled,
            _ => End::Accept,
        };
        (takes, end)
    })
}

/// What every receiver refuses for good.
fn refused(number: u64) -> bool {
    number % 29 == 28
}

/// A site with bounds drawn from `seed`, all of them small.
pub(super) fn drawn(seed: u64, dir: &Path) -> Site {
    let draw = |what: u64, of: &[u64]| of[(mix(seed, &[what]) % of.len() as u64) as usize];
    let brokers = draw(0, &[1, 2, 3, 4]) as usize;
    let mut site = Site::new(dir, Log::mixed(seed, 250, draw(1, &[1, 3, 7, 40])), troubled(seed), brokers);
    site.refused = refused;
    site.concurrency = draw(2, &[1, 2, 4, 16]) as usize;
    site.limits.in_flight_max = draw(3, &[1, 2, 8, 8, 40]) as usize;
    site.limits.per_broker_max = draw(4, &[1, 2, 10]) as usize;
    // None, room for a few deliveries, for some of them, for all.
    site.limits.spill_broker_max = draw(5, &[1, 1_500, 1_500, 6_000, 1 << 20]);
    site.limits.spill_total_max = draw(6, &[1_500, 9_000, 1 << 20]);
    site.limits.spill_after = ms(draw(7, &[1, 10, 100]));
    site.limits.hold_min = ms(draw(8, &[0, 5, 30]));
    site.limits.shards = draw(9, &[1, 2]) as usize;
    site.limits.memory_max = draw(14, &[2 << 10, 8 << 10, 1 << 20]);
    site.unsettled_max = draw(10, &[5, 40, 1_000]) as usize;
    site.retry.in_place_max = ms(draw(11, &[0, 1, 5]));
    site.retry.cap = ms(draw(12, &[5, 40]));
    site.breaker.failures = NonZeroU32::new(draw(13, &[1, 3, 10]) as u32).unwrap();
    let ahead =
        LookAhead { records: draw(16, &[1, 3, 50]) as usize, bytes: draw(17, &[1, 2_000, 1 << 20]) as usize };
    site.outside = (draw(15, &[0, 1]) == 1).then(|| (Asked::answering_late(seed), ahead));
    site
}

#[tokio::test]
async fn every_event_is_delivered_once_with_duplicates_and_conflicts_in_flight() {
    for seed in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let wire =
            Wire::new(move |call| (ms(mix(seed, &[call.broker as u64, call.number]) % 3), End::Accept));
        let site = Site::new(dir.path(), Log::mixed(seed, 300, 7), wire, 3);
        let report = site.run(stop().1).await.unwrap();
        let len = site.log.0.len() as u64;
        assert_eq!(
            (report.records, report.settled, report.abandoned, report.spilled),
            (len, len, 0, 0),
            "seed {seed}"
        );
        site.check(&format!("seed {seed}"));
    }
}

#[tokio::test]
async fn every_event_is_delivered_once_and_in_order_through_trouble_of_every_kind() {
    for seed in seeds() {
        let dir = tempfile::tempdir().unwrap();
        let site = drawn(seed, dir.path());
        println!("seed {seed}: {} brokers, {:?}", site.brokers, site.limits);
        let report = site.run(stop().1).await.unwrap();
        assert_eq!((report.settled, report.abandoned, report.spilled), (250, 0, 0), "seed {seed}");
        site.check(&format!("seed {seed}"));
        let watch = site.watch.lock().clone().unwrap();
        assert_eq!((watch.in_flight(), watch.spilled()), (0, 0), "seed {seed}: what is left is nothing");
        let most = site.wire.seen().most;
        assert!(most <= site.limits.in_flight_max.max(2), "seed {seed}: {most} on the wire at once");
        assert!(most <= site.brokers * site.concurrency, "seed {seed}: {most} on the wire at once");
    }
}

#[tokio::test]
async fn a_line_that_is_stopped_again_and_again_loses_nothing_and_repeats_nothing() {
    for seed in seeds() {
        let dir = tempfile::tempdir().unwrap();
        let site = Arc::new(drawn(seed, dir.path()));
        println!("seed {seed}: {} brokers, {:?}", site.brokers, site.limits);
        let mut runs = 0;
        loop {
            let (stopper, stopped) = stop();
            let running = tokio::spawn({
                let site = site.clone();
                async move { site.run(stopped).await }
            });
            sleep(ms(5 + mix(seed, &[runs]) % 60)).await;
            // After so many stops it may run to its end.
            if runs < 12 {
                stopper.ask(Level::Drain);
            }
            let report = running.await.unwrap().unwrap();
            assert_eq!(
                report.abandoned, 0,
                "seed {seed}, run {runs}: the grace period is longer than any attempt"
            );
            let repeats = |broker: &Arc<Broker>| broker.health.counts().repeats_after_crash;
            let counted: u64 = site.served.lock().iter().map(repeats).sum();
            assert_eq!(counted, 0, "seed {seed}, run {runs}: nothing can repeat after a stop in good order");
            runs += 1;
            if report.records == report.settled && report.spilled == 0 && runs > 12 {
                break;
            }
            assert!(runs < 14, "seed {seed}: a run to the end leaves nothing: {report:?}");
        }
        site.check(&format!("seed {seed}"));
    }
}

#[tokio::test]
async fn a_line_on_one_thread_runs_all_of_its_shards_there() {
    let (dir, here) = (tempfile::tempdir().unwrap(), std::thread::current().id());
    let wire = Wire::new(move |call| {
        assert_eq!(std::thread::current().id(), here, "an attempt on another thread");
        let down = call.broker == 0 && call.before == 0;
        (ms(1), if down { End::Transient } else { End::Accept })
    });
    let mut site = Site::new(dir.path(), Log::plain(60, 7), wire, 3);
    site.executor = Executor::CurrentThread;
    let report = site.run(stop().1).await.unwrap();
    assert_eq!((report.settled, report.abandoned, report.spilled), (60, 0, 0));
    site.check("one thread");
}
