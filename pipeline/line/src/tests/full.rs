//! A broker's disk queue is full, and the broker would rather have dead letters: the others never wait, what it cannot
//! have is a letter once, and the letters are bounded, too.

use std::{
    collections::BTreeSet,
    num::NonZeroU32,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use stages::WhenFull;
use tokio::time::sleep;

use super::{
    log::{Entry, Log},
    site::{Site, ms},
    wire::{End, Wire},
};
use crate::stop::{Level, stop};

/// Broker 0 takes nothing while `down`; room for three or four of its deliveries on disk.
fn site(dir: &Path, log: Log, down: &Arc<AtomicBool>) -> Site {
    let down = down.clone();
    let wire = Wire::new(move |call| {
        let fails = call.broker == 0 && down.load(Ordering::Relaxed);
        (ms(1), if fails { End::Transient } else { End::Accept })
    });
    let mut site = Site::new(dir, log, wire, 3);
    site.when_full = WhenFull::DeadLetter;
    site.limits.spill_broker_max = 1_200;
    site.limits.drain = ms(400);
    site
}

/// The numbers of broker 0's letters; each is there once, for want of room.
fn letters(site: &Site) -> BTreeSet<u64> {
    let letters = site.letters();
    assert!(
        letters.iter().all(|letter| letter.cause == "queue-full" && letter.broker.as_deref() == Some("b0"))
    );
    let numbers: BTreeSet<u64> = letters.iter().map(|letter| letter.position.offset).collect();
    assert_eq!(numbers.len(), letters.len());
    numbers
}

#[tokio::test]
async fn the_others_get_everything_and_what_finds_no_room_is_a_letter_once() {
    let dir = tempfile::tempdir().unwrap();
    // Each tenth event comes twice.
    let mut entries = Vec::new();
    for _ in 0..30 {
        let first = entries.len() as u64;
        entries.extend((0..10).map(|at| Entry::New { load: (first + at) % 30 }));
        entries.push(Entry::Again { of: first });
    }
    let down = Arc::new(AtomicBool::new(true));
    let site = site(dir.path(), Log::of(entries), &down);
    let report = site.run(stop().1).await.unwrap();
    assert_eq!((report.settled, report.abandoned), (330, 0));
    let accepted = |broker: usize| {
        site.wire
            .seen()
            .accepted
            .iter()
            .filter(|(by, ..)| *by == broker)
            .map(|(.., number)| *number)
            .collect::<Vec<_>>()
    };
    assert_eq!([accepted(0).len(), accepted(1).len(), accepted(2).len()], [0, 300, 300]);
    let given_up = letters(&site);
    assert_eq!(given_up.len() as u64 + report.spilled, 300);
    assert!((1..=6).contains(&report.spilled), "{} on disk", report.spilled);

    // What waited on disk goes as soon as there is somebody, and a letter stays one.
    down.store(false, Ordering::Relaxed);
    let again = site.run(stop().1).await.unwrap();
    assert_eq!((again.records, again.spilled), (0, 0));
    assert_eq!(accepted(0).len() + given_up.len(), 300);
    assert_eq!(letters(&site), given_up);
    assert!(site.wire.seen().broken.is_empty());
}

/// Returns once the intake has been held for a while.
async fn held(site: &Site) {
    let mut looks = 0;
    while looks < 40 {
        sleep(ms(5)).await;
        let held = site.watch.lock().as_ref().is_some_and(|watch| watch.is_held());
        looks = if held { looks + 1 } else { 0 };
    }
}

#[tokio::test]
async fn once_there_are_letters_enough_a_full_disk_queue_holds_the_intake_in_the_next_run_too() {
    let dir = tempfile::tempdir().unwrap();
    let down = Arc::new(AtomicBool::new(true));
    let mut site = site(dir.path(), Log::plain(300, 30), &down);
    // For five letters or so.
    site.limits.full_letters_max = 2_000;
    let site = Arc::new(site);
    let mut made = 0;
    for _ in 0..2 {
        let (stopper, asked) = stop();
        let running = tokio::spawn({
            let site = site.clone();
            async move { site.run(asked).await }
        });
        held(&site).await;
        stopper.ask(Level::Drain);
        let _stopped = running.await.unwrap().unwrap();
        let letters = letters(&site).len();
        assert!((1..=8).contains(&letters), "{letters} letters");
        assert!(made == 0 || letters == made, "{letters} letters after {made}");
        made = letters;
    }
    down.store(false, Ordering::Relaxed);
    let report = site.run(stop().1).await.unwrap();
    assert_eq!(report.spilled, 0);
    let given_up = letters(&site).len();
    let accepted = site.wire.seen().accepted.iter().filter(|(by, ..)| *by == 0).count();
    assert_eq!(accepted + given_up, 300);
}

#[tokio::test]
async fn a_full_disk_that_is_full_by_others_makes_letters_only_of_those_who_need_it() {
    let dir = tempfile::tempdir().unwrap();
    let down = Arc::new(AtomicBool::new(true));
    let mut site = site(dir.path(), Log::plain(200, 20), &down);
    site.limits.spill_broker_max = 1 << 20;
    site.limits.spill_total_max = 1_200;
    let report = site.run(stop().1).await.unwrap();
    assert_eq!(report.settled, 200);
    assert_eq!(letters(&site).len() as u64 + report.spilled, 200);
    assert_eq!(site.wire.seen().accepted.len(), 400);
}

#[tokio::test]
async fn a_stop_waits_for_no_pause_between_attempts() {
    let dir = tempfile::tempdir().unwrap();
    let wire = Wire::new(|call| (ms(1), if call.broker == 0 { End::Transient } else { End::Accept }));
    let mut site = Site::new(dir.path(), Log::plain(6, 6), wire, 2);
    // Far longer than a run may take, and waited out in memory.
    site.retry.base = ms(3_600_000);
    site.retry.cap = ms(3_600_000);
    site.retry.in_place_max = ms(3_600_000);
    site.breaker.failures = NonZeroU32::new(1_000).unwrap();
    site.limits.grace = ms(3_600_000);
    site.limits.spill_after = ms(3_600_000);
    site.follows = true;
    let site = Arc::new(site);
    let (stopper, asked) = stop();
    let running = tokio::spawn({
        let site = site.clone();
        async move { site.run(asked).await }
    });
    // Four of the one that fails, as many as may be on their way, and all of the other's.
    while site.wire.seen().ended < 10 {
        sleep(ms(5)).await;
    }
    stopper.ask(Level::Drain);
    let report = running.await.unwrap().unwrap();
    assert_eq!((report.abandoned, report.spilled), (0, 6));
}

#[tokio::test]
async fn a_surge_that_all_brokers_lag_behind_holds_the_intake_and_makes_no_letters() {
    let dir = tempfile::tempdir().unwrap();
    let wire = Wire::new(|_| (ms(5), End::Accept));
    let mut site = Site::new(dir.path(), Log::plain(300, 30), wire, 3);
    site.when_full = WhenFull::DeadLetter;
    site.concurrency = 1;
    site.limits.spill_broker_max = 1_200;
    // On one thread: where a shard gets no CPU for a while, its brokers alone lag, and that is no surge.
    site.limits.shards = 1;
    assert_eq!(site.run(stop().1).await.unwrap().settled, 300);
    site.check("a surge");
}
