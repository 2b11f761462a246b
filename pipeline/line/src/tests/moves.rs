//! Partitions that are taken away from a running line and come again, as a consumer group does it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream, stream::BoxStream};
use stages::models::RawRecord;
use state::{Clock, Position};
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};
use tokio_stream::Stream;

use super::{
    log::Log,
    site::{Site, ms},
    whole::{drawn, seeds},
    wire::{Call, End, Wire, mix},
};
use crate::{
    Cursor, LineFault, LineHandle, Released, SourceFault, SourcePartition, SourceRecord,
    stop::{Level, stop},
};

pub(super) type Given =
    Result<SourcePartition<BoxStream<'static, Result<SourceRecord, SourceFault>>>, SourceFault>;

/// What gives partitions of a log to the line and takes them away. Each load is of one partition.
pub(super) struct Group {
    log: Arc<Log>,
    given: mpsc::Sender<Given>,
    parts: Vec<Part>,
}

struct Part {
    committed: u64,
    /// Ends its stream.
    end: watch::Sender<bool>,
}

fn name(part: usize) -> String {
    format!("log/{part}")
}

impl Group {
    /// So many partitions, and the stream of those that are given.
    pub(super) fn new(log: &Arc<Log>, parts: usize) -> (Self, impl Stream<Item = Given> + Send + 'static) {
        let (given, taken) = mpsc::channel(16);
        let part = |_| Part { committed: 0, end: watch::channel(false).0 };
        let parts = (0..parts).map(part).collect();
        (
            Self { log: log.clone(), given, parts },
            stream::unfold(taken, async |mut taken| Some((taken.recv().await?, taken))),
        )
    }

    /// Gives a partition from its committed place on; it goes on for ever if it `follows`.
    pub(super) async fn give(&mut self, part: usize, follows: bool) {
        let (log, count, from) = (self.log.clone(), self.parts.len() as u64, self.parts[part].committed);
        let (end, mut ended) = watch::channel(false);
        self.parts[part].end = end;
        let source: Arc<str> = name(part).into();
        let places = (from..log.0.len() as u64).filter(move |at| log.load(*at) % count == part as u64);
        let (log, name) = (self.log.clone(), source.clone());
        let records = stream::iter(places).map(move |at| {
            let bytes = log.body(at);
            let position = Position::new(name.clone(), 0, at);
            let raw = RawRecord::whole(position, bytes, Clock::System.now());
            Ok(SourceRecord { raw, next: Cursor { epoch: 0, offset: at + 1, mark: Arc::from([1]) } })
        });
        let records = records.chain(stream::pending().take(usize::from(follows)));
        let ended = async move {
            // A group that is not there any more ends nothing.
            if ended.wait_for(|ended| *ended).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let records = records.take_until(Box::pin(ended)).boxed();
        self.given.send(Ok(SourcePartition::new(source, records))).await.unwrap();
    }

    /// Takes a partition away in good order.
    pub(super) async fn release(&mut self, part: usize, line: &LineHandle) -> Released {
        self.parts[part].end.send_replace(true);
        let released = line.release(&name(part)).await;
        if let Some(cursor) = &released.cursor {
            assert!(cursor.offset > self.parts[part].committed, "a place that was settled before");
            self.parts[part].committed = cursor.offset;
        }
        released
    }
}

pub(super) async fn handle(site: &Site) -> LineHandle {
    loop {
        if let Some(line) = site.watch.lock().clone() {
            return line;
        }
        sleep(ms(1)).await;
    }
}

fn names(line: &LineHandle) -> Vec<String> {
    line.partitions().snapshot().iter().map(|partition| partition.source.to_string()).collect()
}

#[tokio::test]
async fn partitions_come_and_go_in_trouble_and_every_event_is_delivered_once_and_in_order() {
    const PARTS: usize = 3;
    for seed in seeds() {
        let dir = tempfile::tempdir().unwrap();
        let site = drawn(seed, dir.path());
        let (mut group, given) = Group::new(&site.log, PARTS);
        let moves = async {
            for part in 0..PARTS {
                group.give(part, true).await;
            }
            let line = handle(&site).await;
            for turn in 0..12 {
                let part = (mix(seed, &[turn, 1]) % PARTS as u64) as usize;
                sleep(ms(mix(seed, &[turn, 2]) % 40)).await;
                let released = group.release(part, &line).await;
                assert!(!names(&line).contains(&name(part)), "seed {seed}: it has left");
                assert!(
                    site.limits.spill_broker_max < 1 << 20 || released.settled,
                    "seed {seed}: {released:?}"
                );
                sleep(ms(mix(seed, &[turn, 3]) % 10)).await;
                group.give(part, true).await;
            }
            for part in 0..PARTS {
                group.release(part, &line).await;
                group.give(part, false).await;
            }
            drop(group);
        };
        let (report, ()) = tokio::join!(site.run_over(|_| given, stop().1), moves);
        let report = report.unwrap();
        assert_eq!((report.abandoned, report.spilled), (0, 0), "seed {seed}");
        site.check(&format!("seed {seed}"));
    }
}

/// A site where broker 0 takes nothing, and broker 1 everything, over so much room on disk for each.
fn half_dead(dir: &std::path::Path, room: u64, takes: Duration) -> (Site, Arc<AtomicBool>) {
    let down = Arc::new(AtomicBool::new(true));
    let is_down = down.clone();
    let wire = Wire::new(move |call: Call| {
        let fails = call.broker == 0 && is_down.load(Ordering::Relaxed);
        (if call.broker == 0 { takes } else { ms(1) }, if fails { End::Transient } else { End::Accept })
    });
    let mut site = Site::new(dir, Log::plain(120, 12), wire, 2);
    site.limits.spill_broker_max = room;
    site.limits.hold_min = Duration::from_secs(60);
    site.limits.spill_after = Duration::from_secs(60);
    (site, down)
}

#[tokio::test]
async fn a_release_ends_while_a_broker_is_dead_and_memory_full_and_the_broker_gets_all_of_it_later() {
    for room in [1 << 20, 900, 1] {
        let dir = tempfile::tempdir().unwrap();
        let (site, down) = half_dead(dir.path(), room, ms(3));
        let (mut group, given) = Group::new(&site.log, 2);
        let moves = async {
            group.give(0, true).await;
            group.give(1, true).await;
            let line = handle(&site).await;
            while !line.is_held() && room < 1 << 20 {
                sleep(ms(2)).await;
            }
            for part in [0, 1] {
                let released = group.release(part, &line).await;
                assert!(released.settled || room < 1 << 20, "room {room}: {released:?}");
                assert_eq!(names(&line).len(), 1 - part, "room {room}");
            }
            assert_eq!(line.partitions().nack_count(), 0);
            down.store(false, Ordering::Relaxed);
            group.give(0, false).await;
            group.give(1, false).await;
            drop(group);
        };
        let (report, ()) = tokio::join!(site.run_over(|_| given, stop().1), moves);
        assert_eq!(report.unwrap().spilled, 0, "room {room}");
        site.check(&format!("room {room}"));
    }
}

#[tokio::test]
async fn a_partition_that_is_handed_over_leaves_on_disk_only_what_waits_for_brokers_that_take_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut site, down) = half_dead(dir.path(), 1 << 20, ms(1));
    site.limits.in_flight_max = 64;
    site.limits.hand_over = Duration::from_secs(10);
    let (mut group, given) = Group::new(&site.log, 1);
    let moves = async {
        group.give(0, true).await;
        let line = handle(&site).await;
        while line.in_flight() < 40 {
            sleep(ms(1)).await;
        }
        let released = group.release(0, &line).await;
        assert!(released.settled, "{released:?}");
        let read = line.partitions().issued();
        let taken = site.wire.seen().accepted.iter().filter(|(broker, ..)| *broker == 1).count() as u64;
        assert_eq!((taken, line.spilled()), (read, read), "of {read} records");
        down.store(false, Ordering::Relaxed);
        group.give(0, false).await;
        drop(group);
    };
    let (report, ()) = tokio::join!(site.run_over(|_| given, stop().1), moves);
    assert_eq!(report.unwrap().spilled, 0);
    site.check("handed over");
}

#[tokio::test]
async fn what_waits_for_a_paused_broker_goes_to_disk_and_the_checkpoint_follows() {
    let dir = tempfile::tempdir().unwrap();
    let (site, down) = half_dead(dir.path(), 1 << 20, ms(1));
    let (mut group, given) = Group::new(&site.log, 1);
    let moves = async {
        group.give(0, true).await;
        let line = handle(&site).await;
        for broker in &*site.served.lock() {
            broker.health.set_paused(true);
        }
        while line.partitions().issued() == 0 {
            sleep(ms(1)).await;
        }
        let released = group.release(0, &line).await;
        assert!(released.settled, "{released:?}");
        let store = site.running.lock().clone().unwrap();
        let written = store.sources().checkpoint("log/0").unwrap().map(|checkpoint| checkpoint.offset);
        assert_eq!(written, released.cursor.map(|cursor| cursor.offset));
        assert!(written.is_some());
        for broker in &*site.served.lock() {
            broker.health.set_paused(false);
        }
        down.store(false, Ordering::Relaxed);
        group.give(0, false).await;
        drop(group);
    };
    let (report, ()) = tokio::join!(site.run_over(|_| given, stop().1), moves);
    assert_eq!(report.unwrap().spilled, 0);
    site.check("after a pause");
}

#[tokio::test]
async fn what_was_lost_and_comes_again_at_once_is_delivered_once_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (site, down) = half_dead(dir.path(), 1 << 20, ms(5));
    let (mut group, given) = Group::new(&site.log, 2);
    let moves = async {
        group.give(0, true).await;
        group.give(1, true).await;
        let line = handle(&site).await;
        while line.in_flight() < 4 {
            sleep(ms(1)).await;
        }
        group.parts[0].end.send_replace(true);
        line.lose("log/0");
        assert_eq!(names(&line), ["log/1"]);
        // As far as it had been committed: not at all.
        group.give(0, false).await;
        down.store(false, Ordering::Relaxed);
        group.release(1, &line).await;
        group.give(1, false).await;
        drop(group);
    };
    let (report, ()) = tokio::join!(site.run_over(|_| given, stop().1), moves);
    assert_eq!(report.unwrap().spilled, 0);
    site.check("after a loss");
}

#[tokio::test]
async fn two_partitions_of_one_name_at_a_time_stop_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let (site, _down) = half_dead(dir.path(), 1 << 20, ms(1));
    let (mut group, given) = Group::new(&site.log, 1);
    let gives = async {
        group.give(0, true).await;
        handle(&site).await;
        group.give(0, true).await;
    };
    let (report, ()) = tokio::join!(site.run_over(|_| given, stop().1), gives);
    assert!(matches!(report, Err(LineFault::PartitionTwice { partition }) if *partition == *"log/0"));
}

#[tokio::test]
async fn a_line_that_is_stopped_answers_a_release_with_what_is_true_then() {
    let dir = tempfile::tempdir().unwrap();
    let (site, _down) = half_dead(dir.path(), 1, ms(1));
    let (mut group, given) = Group::new(&site.log, 1);
    let (stopper, asked) = stop();
    let moves = async {
        group.give(0, true).await;
        let line = handle(&site).await;
        while line.partitions().issued() == 0 {
            sleep(ms(1)).await;
        }
        stopper.ask(Level::Now);
        let released = group.release(0, &line).await;
        let unsettled = line.partitions().issued() > line.partitions().settled();
        assert_eq!(released.settled, !unsettled, "{released:?}");
        let elsewhere = line.release("elsewhere").await;
        assert_eq!((elsewhere.cursor, elsewhere.settled), (None, true));
    };
    let (report, ()) = tokio::join!(site.run_over(|_| given, asked), moves);
    assert!(report.is_ok());
}
