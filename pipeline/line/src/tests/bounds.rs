//! Small bounds, full to the brim: the line slows down, and never stands still.

use std::{
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
};

use tokio::time::{Instant, sleep};

use super::{
    log::{Entry, Log},
    site::{Site, ms},
    wire::{End, Wire},
};
use crate::stop::stop;

#[tokio::test]
async fn bad_records_that_fill_memory_by_themselves_are_settled() {
    let dir = tempfile::tempdir().unwrap();
    let wire = Wire::new(|_| (ms(0), End::Accept));
    let site = Site::new(dir.path(), Log::of(vec![Entry::Garbage; 100]), wire, 1);
    assert_eq!(site.run(stop().1).await.unwrap().settled, 100);
    site.check("only bad records");
}

#[tokio::test]
async fn a_broker_recovers_although_what_waits_for_the_disk_fills_memory() {
    let dir = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let wire =
        Wire::new(move |_| (ms(1), if start.elapsed() < ms(300) { End::Transient } else { End::Accept }));
    let mut site = Site::new(dir.path(), Log::plain(60, 5), wire, 1);
    // Room for three or four deliveries.
    site.limits.spill_broker_max = 1_200;
    let report = site.run(stop().1).await.unwrap();
    assert_eq!((report.settled, report.spilled), (60, 0));
    site.check("a full disk");
}

#[tokio::test]
async fn a_broker_recovers_although_the_disk_has_no_room_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let wire =
        Wire::new(move |_| (ms(1), if start.elapsed() < ms(300) { End::Transient } else { End::Accept }));
    let mut site = Site::new(dir.path(), Log::plain(60, 5), wire, 1);
    site.limits.spill_total_max = 1;
    assert_eq!(site.run(stop().1).await.unwrap().settled, 60);
    site.check("no disk");
}

#[tokio::test]
async fn a_backlog_is_read_back_although_one_read_would_take_all_of_memory() {
    let dir = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let wire = Wire::new(move |call| {
        (ms(1), if call.broker == 0 && start.elapsed() < ms(300) { End::Transient } else { End::Accept })
    });
    let mut site = Site::new(dir.path(), Log::plain(100, 30), wire, 2);
    site.concurrency = 64;
    site.limits.in_flight_max = 5;
    assert_eq!(site.run(stop().1).await.unwrap().settled, 100);
    site.check("a small memory");
}

#[tokio::test]
async fn a_few_bytes_of_memory_hold_the_intake_and_never_a_broker() {
    let dir = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let wire = Wire::new(move |call| {
        (ms(1), if call.broker == 0 && start.elapsed() < ms(300) { End::Transient } else { End::Accept })
    });
    let mut site = Site::new(dir.path(), Log::plain(100, 10), wire, 2);
    site.limits.in_flight_max = 64;
    // Each body counts one KiB: three for what comes, one for what is read back.
    site.limits.memory_max = 4 << 10;
    // Room for three or four deliveries.
    site.limits.spill_broker_max = 1_200;
    assert_eq!(site.run(stop().1).await.unwrap().settled, 100);
    site.check("few bytes");
    // Two brokers share each of the three; the one read back is one's own.
    assert!(site.wire.seen().most <= 7, "more attempts at once than there are bodies in memory for");
}

#[tokio::test]
async fn records_larger_than_memory_go_through_one_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let wire =
        Wire::new(move |_| (ms(1), if start.elapsed() < ms(300) { End::Transient } else { End::Accept }));
    let mut site = Site::new(dir.path(), Log::padded(40, 5, 9_000), wire, 2);
    site.limits.memory_max = 8 << 10;
    assert_eq!(site.run(stop().1).await.unwrap().settled, 40);
    site.check("bodies larger than memory");
}

#[tokio::test]
async fn intake_stops_when_memory_is_full_and_goes_on_when_it_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let open = Arc::new(AtomicBool::new(false));
    let (seen, waits) = (open.clone(), ms(2));
    // An attempt that lasts until the gate opens, in steps: the wire knows no other way to wait.
    let wire =
        Wire::new(
            move |_| {
                if seen.load(Ordering::Relaxed) { (waits, End::Accept) } else { (ms(5), End::Throttled) }
            },
        );
    let mut site = Site::new(dir.path(), Log::plain(100, 100), wire, 1);
    // A hold is never long enough for the disk.
    site.limits.hold_min = ms(60_000);
    site.retry.in_place_max = ms(50);
    let site = Arc::new(site);
    let running = tokio::spawn({
        let site = site.clone();
        async move { site.run(stop().1).await }
    });
    let watch = loop {
        sleep(ms(5)).await;
        let watch = site.watch.lock().clone();
        if let Some(watch) = watch.filter(|watch| watch.is_held()) {
            break watch;
        }
    };
    for _ in 0..40 {
        sleep(ms(5)).await;
        let read = site.read.load(Ordering::Relaxed);
        // One record may have been read for which there is no place yet.
        assert!(read <= 9, "{read} records were read into a memory of 8");
        assert!(watch.is_held() && watch.in_flight() <= 8);
    }
    open.store(true, Ordering::Relaxed);
    assert_eq!(running.await.unwrap().unwrap().settled, 100);
    site.check("after the pause");
    assert!(site.wire.seen().most <= 4, "more attempts at once than the broker allows");
}
