//! Brokers in trouble: theirs is theirs alone, and ends when it ends.

use std::{num::NonZeroU32, sync::Arc};

use tokio::time::sleep;

use super::{
    log::Log,
    site::{Site, ms},
    wire::{End, Wire},
};
use crate::stop::{Level, stop};

#[tokio::test]
async fn a_delivery_that_failed_is_tried_again_from_memory() {
    let dir = tempfile::tempdir().unwrap();
    let wire = Wire::new(|call| (ms(0), if call.before < 3 { End::Transient } else { End::Accept }));
    let mut site = Site::new(dir.path(), Log::plain(3, 3), wire, 1);
    site.limits.hold_min = ms(60_000);
    site.retry.in_place_max = ms(0);
    assert_eq!(site.run(stop().1).await.unwrap().settled, 3);
    site.check("three failures each");
}

#[tokio::test]
async fn two_events_with_one_id_in_two_loads_do_not_wait_for_each_other_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let wire = Wire::new(|call| (ms(1), if call.before < 4 { End::Transient } else { End::Accept }));
    let mut site = Site::new(dir.path(), Log::plain(2, 2), wire, 1);
    site.concurrency = 1;
    site.limits.hold_min = ms(60_000);
    site.retry.in_place_max = ms(0);
    site.log = Arc::new(Log::of(vec![
        super::log::Entry::New { load: 0 },
        super::log::Entry::Moved { of: 0, load: 1 },
    ]));
    assert_eq!(site.run(stop().1).await.unwrap().settled, 2);
    assert_eq!((site.wire.seen().accepted.len(), site.letters().len()), (1, 1));
}

#[tokio::test]
async fn a_slow_broker_does_not_hold_the_others_back() {
    let dir = tempfile::tempdir().unwrap();
    let wire = Wire::new(|call| (if call.broker == 0 { ms(600_000) } else { ms(1) }, End::Accept));
    let mut site = Site::new(dir.path(), Log::plain(300, 10), wire, 2);
    // Fewer than the log is long: one open record would hold the watermark, and with it the intake.
    site.unsettled_max = 40;
    site.limits.in_flight_max = 64;
    let site = Arc::new(site);
    let (stopper, stopped) = stop();
    let running = tokio::spawn({
        let site = site.clone();
        async move { site.run(stopped).await }
    });
    // For ever, if the fast broker waits for the slow one.
    while site.wire.seen().accepted.len() < 300 && !running.is_finished() {
        sleep(ms(10)).await;
    }
    stopper.ask(Level::Now);
    let report = running.await.unwrap().unwrap();
    assert!(report.abandoned > 0, "{report:?}");
}

#[tokio::test]
async fn a_dead_broker_does_not_hold_the_others_back() {
    let dir = tempfile::tempdir().unwrap();
    let wire = Wire::new(|call| (ms(1), if call.broker == 0 { End::Transient } else { End::Accept }));
    let mut site = Site::new(dir.path(), Log::plain(300, 10), wire, 2);
    site.limits.drain = ms(100);
    let report = site.run(stop().1).await.unwrap();
    assert_eq!((report.settled, report.spilled, report.abandoned), (300, 300, 0));
    let seen = site.wire.seen();
    assert_eq!(seen.accepted.len(), 300, "what the other broker was given");
    assert!(seen.broken.is_empty(), "{:?}", seen.broken);
}

#[tokio::test]
async fn a_broker_in_trouble_is_probed_by_one_delivery_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    // Three fail at once, of which the first opens the breaker; five more that were on the wire come back one by one, later.
    let wire = Wire::new(|call| match call.number {
        0..3 if call.before == 0 => (ms(5), End::Transient),
        3..8 if call.before == 0 => (ms(40 + 20 * call.number), End::Transient),
        _ => (ms(600_000), End::Accept),
    });
    let mut site = Site::new(dir.path(), Log::plain(30, 30), wire, 1);
    site.concurrency = 8;
    site.limits.in_flight_max = 64;
    site.limits.per_broker_max = 64;
    site.breaker.failures = NonZeroU32::MIN;
    site.breaker.open_min = ms(10);
    let site = Arc::new(site);
    let (stopper, stopped) = stop();
    let running = tokio::spawn({
        let site = site.clone();
        async move { site.run(stopped).await }
    });
    while site.wire.seen().ended < 8 && !running.is_finished() {
        sleep(ms(5)).await;
    }
    // Long enough for a second probe to be begun.
    sleep(ms(100)).await;
    assert_eq!(site.wire.seen().starts.len(), 9, "eight at first, and one probe");
    stopper.ask(Level::Now);
    assert_eq!(running.await.unwrap().unwrap().abandoned, 1);
}
