//! Records that are routed ahead of the one whose turn it is: in log order, within bounds, and without an answer for as long
//! as there is none.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use stages::{Answer, Subscriber, Subscribers};
use tokio::{sync::Notify, time::sleep};

use super::{
    log::Log,
    moves::{Group, handle},
    site::{Site, ms},
    wire::{Call, End, Wire, mix},
};
use crate::{
    LookAhead,
    stop::{Level, stop},
};

/// Somebody who is asked about loads, and answers late, in any order, or not until he is told to.
#[derive(Debug)]
pub(super) struct Asked {
    seed: u64,
    count: AtomicU64,
    waiting: AtomicUsize,
    most: AtomicUsize,
    silent: AtomicBool,
    speaks: Notify,
}

impl Asked {
    fn new(seed: u64, silent: bool) -> Arc<Self> {
        let (count, waiting, most) = (AtomicU64::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let silent = AtomicBool::new(silent);
        Arc::new(Self { seed, count, waiting, most, silent, speaks: Notify::new() })
    }

    /// One who takes up to three milliseconds.
    pub(super) fn answering_late(seed: u64) -> Arc<dyn Subscribers> {
        Self::new(seed, false)
    }

    fn speak(&self) {
        self.silent.store(false, Ordering::Relaxed);
        self.speaks.notify_waiters();
    }

    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// One that waits; it may be dropped while it does.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Subscribers for Asked {
    fn of_load<'a>(&'a self, _: &'a Arc<str>) -> Answer<'a, Arc<[Subscriber]>> {
        Box::pin(async {
            let number = self.count.fetch_add(1, Ordering::Relaxed);
            let waiting = self.waiting.fetch_add(1, Ordering::Relaxed) + 1;
            let _waits = Waits(&self.waiting);
            self.most.fetch_max(waiting, Ordering::Relaxed);
            let speaks = self.speaks.notified();
            if self.silent.load(Ordering::Relaxed) {
                speaks.await;
            }
            sleep(ms(mix(self.seed, &[number, 77]) % 4)).await;
            Arc::default()
        })
    }

    fn brokers_now(&self) -> Answer<'_, ()> {
        Box::pin(async {})
    }

    fn unknown(&self, _: &Subscriber) {}
}

const AHEAD: LookAhead = LookAhead { records: 12, bytes: 1 << 20 };

fn accepting(dir: &std::path::Path, log: Log) -> Site {
    Site::new(dir, log, Wire::new(|_: Call| (ms(1), End::Accept)), 2)
}

#[tokio::test]
async fn what_is_answered_out_of_turn_is_delivered_in_turn_and_as_much_is_ahead_as_may_be() {
    let dir = tempfile::tempdir().unwrap();
    let mut site = accepting(dir.path(), Log::plain(200, 3));
    let asked = Asked::new(7, false);
    site.outside = Some((asked.clone(), AHEAD));
    site.run(stop().1).await.unwrap();
    site.check("ahead");
    assert_eq!(asked.most.load(Ordering::Relaxed), AHEAD.records);

    let dir = tempfile::tempdir().unwrap();
    let mut site = accepting(dir.path(), Log::plain(50, 3));
    let alone = Asked::new(7, false);
    site.outside = Some((alone.clone(), LookAhead { bytes: 1, ..AHEAD }));
    site.run(stop().1).await.unwrap();
    site.check("alone");
    assert_eq!(alone.most.load(Ordering::Relaxed), 1, "a record that is longer than all may be goes alone");
}

#[tokio::test]
async fn a_partition_that_is_taken_away_waits_for_no_answer_and_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut site = accepting(dir.path(), Log::plain(60, 6));
    let asked = Asked::new(7, true);
    site.outside = Some((asked.clone(), AHEAD));
    let (mut group, given) = Group::new(&site.log, 2);
    let moves = async {
        group.give(0, true).await;
        group.give(1, true).await;
        let line = handle(&site).await;
        while asked.waiting() < AHEAD.records {
            sleep(ms(1)).await;
        }
        let released = group.release(0, &line).await;
        assert!(released.cursor.is_none() && !released.settled, "{released:?}");
        assert_eq!(line.partitions().nack_count(), 0);
        asked.speak();
        group.release(1, &line).await;
        group.give(0, false).await;
        group.give(1, false).await;
        drop(group);
    };
    let (report, ()) = tokio::join!(site.run_over(|_| given, stop().1), moves);
    report.unwrap();
    site.check("taken away");
}

#[tokio::test]
async fn a_run_that_is_stopped_waits_for_no_answer_and_the_next_one_reads_it_again() {
    for level in [Level::Drain, Level::Now] {
        let dir = tempfile::tempdir().unwrap();
        let mut site = accepting(dir.path(), Log::plain(40, 4));
        let asked = Asked::new(7, true);
        site.outside = Some((asked.clone(), AHEAD));
        let (stopper, stopped) = stop();
        let stopping = async {
            while asked.waiting() < AHEAD.records {
                sleep(ms(1)).await;
            }
            stopper.ask(level);
        };
        let (report, ()) = tokio::join!(site.run(stopped), stopping);
        assert_eq!(report.unwrap().settled, 0);
        asked.speak();
        site.run(stop().1).await.unwrap();
        site.check("stopped");
    }
}
