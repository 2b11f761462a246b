//! Partitions that move between lines with all that is known of them: what was delivered, what waits, and how far it was
//! read.

use std::{
    collections::HashSet,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::{StreamExt, stream, stream::BoxStream};
use parking_lot::Mutex;
use stages::models::RawRecord;
use state::{Clock, Horizon, Position, Restored, SimulatedLog};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::sleep,
};
use tokio_stream::Stream;

use super::{
    log::Log,
    replay,
    site::{Site, ms},
    whole::{drawn, seeds},
    wire::{Call, End, Wire, mix},
};
use crate::{
    Cursor, LineFault, LineHandle, LineReport, Released, Replayed, SourceFault, SourcePartition,
    SourceRecord,
    stop::{Level, Stopper, stop},
};

type Given = Result<SourcePartition<BoxStream<'static, Result<SourceRecord, SourceFault>>>, SourceFault>;

/// What the group knows: how far each partition is committed.
struct Group {
    states: SimulatedLog,
    committed: Mutex<Vec<u64>>,
}

/// A line, and what it is given.
struct Member {
    site: Site,
    given: Mutex<Option<mpsc::Sender<Given>>>,
    taken: Mutex<Option<mpsc::Receiver<Given>>>,
    /// Ends the stream of each partition.
    ends: Mutex<Vec<watch::Sender<bool>>>,
}

fn name(part: usize) -> Arc<str> {
    format!("log/{part}").into()
}

impl Group {
    fn new(parts: usize) -> Self {
        Self { states: SimulatedLog::default(), committed: Mutex::new(vec![0; parts]) }
    }

    fn parts(&self) -> usize {
        self.committed.lock().len()
    }

    fn member(&self, mut site: Site) -> Member {
        site.state_log = Some(self.states.member());
        let (given, taken) = mpsc::channel(16);
        let ends = (0..self.parts()).map(|_| watch::channel(false).0).collect();
        let (given, taken) = (Mutex::new(Some(given)), Mutex::new(Some(taken)));
        Member { site, given, taken, ends: Mutex::new(ends) }
    }

    /// The records of a partition from its committed place on, until it is taken away; for ever if it `follows`.
    fn records(
        &self,
        part: usize,
        log: &Arc<Log>,
        follows: bool,
        mut ended: watch::Receiver<bool>,
    ) -> BoxStream<'static, Result<SourceRecord, SourceFault>> {
        let (log, count, from) = (log.clone(), self.parts() as u64, self.committed.lock()[part]);
        let places = (from..log.0.len() as u64).filter({
            let log = log.clone();
            move |at| log.load(*at) % count == part as u64
        });
        let places: Vec<_> = places.collect();
        let records = stream::iter(places).map(move |at| {
            let bytes = log.body(at);
            let (position, full_len) = (Position::new(name(part), 0, at), bytes.len() as u64);
            let (read_at, unreadable, traceparent) = (Clock::System.now(), None, None);
            let raw = RawRecord { position, bytes, full_len, read_at, unreadable, traceparent, id: None };
            Ok(SourceRecord { raw, next: Cursor { epoch: 0, offset: at + 1, mark: Arc::from([1]) } })
        });
        let records = records.chain(stream::pending().take(usize::from(follows)));
        let ended = async move {
            if ended.wait_for(|ended| *ended).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        records.take_until(Box::pin(ended)).boxed()
    }

    /// Gives a partition to a member, which claims it.
    async fn give(&self, part: usize, member: &Member, follows: bool) {
        let (end, ended) = watch::channel(false);
        member.ends.lock()[part] = end;
        let records = self.records(part, &member.site.log, follows, ended);
        let log = member.site.state_log.clone().unwrap();
        let claim = async move {
            let restored: Vec<Result<Restored, SourceFault>> =
                log.claim(&name(part)).into_iter().map(Ok).collect();
            stream::iter(restored)
        };
        let restored = stream::once(claim).flatten().boxed();
        let partition = SourcePartition::new(name(part), records).restoring(restored);
        let given = member.given.lock().clone().unwrap();
        given.send(Ok(partition)).await.unwrap();
    }

    /// Takes a partition away from a member in good order.
    async fn release(&self, part: usize, member: &Member) -> Released {
        member.ends.lock()[part].send_replace(true);
        let released = member.line().await.release(&name(part)).await;
        if released.clean {
            let settled = released.cursor.as_ref();
            let settled = settled.map(|to| Horizon { epoch: to.epoch, offset: to.offset });
            member.site.state_log.as_ref().unwrap().release(&name(part), settled);
        }
        if let Some(cursor) = &released.cursor {
            self.committed.lock()[part] = cursor.offset;
        }
        released
    }
}

impl Member {
    fn source(&self) -> impl Stream<Item = Given> + Send + 'static {
        let taken = self.taken.lock().take().unwrap();
        stream::unfold(taken, async |mut taken| Some((taken.recv().await?, taken)))
    }

    async fn line(&self) -> LineHandle {
        loop {
            if let Some(line) = self.site.watch.lock().clone() {
                return line;
            }
            sleep(ms(1)).await;
        }
    }

    /// No more partitions come.
    fn close(&self) {
        self.given.lock().take();
    }

    /// How many deliveries are on its disk.
    fn on_disk(&self) -> u64 {
        let store = self.site.running.lock().clone().unwrap();
        store.spill().usage().unwrap().values().map(|usage| usage.deliveries).sum()
    }

    /// What it has counted as possible repeats.
    fn repeats_counted(&self) -> u64 {
        let served = self.site.served.lock();
        served.iter().map(|broker| broker.health.counts().repeats_after_crash).sum()
    }
}

#[tokio::test]
async fn partitions_move_between_lines_in_trouble_and_nothing_is_repeated_lost_or_out_of_order() {
    const PARTS: usize = 3;
    for seed in seeds() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let group = Group::new(PARTS);
        let one = drawn(seed, dirs[0].path());
        let mut two = drawn(seed, dirs[1].path());
        two.wire = one.wire.clone();
        group.states.set_latency(ms(mix(seed, &[9]) % 4));
        let members = [group.member(one), group.member(two)];
        let moves = async {
            let mut owners = [0, 1, 0];
            for (part, owner) in owners.iter().enumerate() {
                group.give(part, &members[*owner], true).await;
            }
            for turn in 0..12 {
                let part = (mix(seed, &[turn, 1]) % PARTS as u64) as usize;
                sleep(ms(mix(seed, &[turn, 2]) % 40)).await;
                group.release(part, &members[owners[part]]).await;
                let store = members[owners[part]].site.running.lock().clone().unwrap();
                assert_eq!(store.waiting_of(&name(part), None, 9).unwrap(), [], "seed {seed}: it has gone");
                owners[part] = 1 - owners[part];
                group.give(part, &members[owners[part]], true).await;
            }
            for (part, owner) in owners.iter().enumerate() {
                group.release(part, &members[*owner]).await;
                group.give(part, &members[1 - *owner], false).await;
            }
            members.iter().for_each(Member::close);
        };
        let [one, two] = &members;
        let runs = async {
            tokio::join!(
                one.site.run_over(|_| one.source(), stop().1),
                two.site.run_over(|_| two.source(), stop().1)
            )
        };
        let ((one_ended, two_ended), ()) = tokio::join!(runs, moves);
        for report in [one_ended.unwrap(), two_ended.unwrap()] {
            assert_eq!((report.abandoned, report.spilled), (0, 0), "seed {seed}");
        }
        one.site.check_with(&[&two.site], &format!("seed {seed}"));
        for part in 0..PARTS {
            assert_eq!(group.states.waiting(&name(part)).len(), 0, "seed {seed}: it says that it waits");
        }
    }
}

/// A member that runs, and its run.
struct Running {
    member: Arc<Member>,
    run: JoinHandle<Result<LineReport, LineFault>>,
    stopper: Stopper,
}

impl Running {
    fn start(member: Member) -> Self {
        let member = Arc::new(member);
        let (of, (stopper, asked)) = (member.clone(), stop());
        let run = tokio::spawn(async move { of.site.run_over(|_| of.source(), asked).await });
        Self { member, run, stopper }
    }

    /// The process dies; gives what it had counted as possible repeats.
    async fn crash(self, keep: u64) -> u64 {
        self.member.site.state_log.as_ref().unwrap().crash(|entries| keep as usize % (entries + 1));
        // What it still does meets a log that takes nothing any more.
        self.stopper.ask(Level::Now);
        let _ended = self.run.await.unwrap();
        self.member.repeats_counted()
    }
}

#[tokio::test]
async fn after_crashes_at_any_time_nothing_is_lost_or_out_of_order_and_every_repeat_is_counted() {
    const PARTS: usize = 3;
    for seed in seeds() {
        let mut dirs = Vec::new();
        let group = Group::new(PARTS);
        group.states.set_latency(ms(mix(seed, &[9]) % 6));
        let wire = drawn(seed, Path::new("nowhere")).wire;
        // Each with a disk of its own: a log that fails keeps its process from closing the one it had.
        let mut member = || {
            let dir = tempfile::tempdir().unwrap();
            let mut site = drawn(seed, dir.path());
            site.wire = wire.clone();
            dirs.push(dir);
            Running::start(group.member(site))
        };
        let (mut members, mut owners, mut counted) = (vec![member(), member()], [0, 1, 0], 0);
        for part in 0..PARTS {
            group.give(part, &members[owners[part]].member, true).await;
        }
        for turn in 0..8 {
            sleep(ms(mix(seed, &[turn, 1]) % 50)).await;
            let at = (mix(seed, &[turn, 2]) % 2) as usize;
            let line = members[at].member.line().await;
            if mix(seed, &[turn, 3]).is_multiple_of(2) {
                // What is settled is committed, sometimes.
                for partition in &*line.partitions().snapshot() {
                    let part: usize = partition.source.strip_prefix("log/").unwrap().parse().unwrap();
                    if let Some(cursor) = partition.tickets.watermark() {
                        group.committed.lock()[part] = cursor.offset;
                    }
                }
            }
            counted += members.remove(at).crash(mix(seed, &[turn, 4])).await;
            members.insert(at, member());
            for (part, owner) in owners.iter_mut().enumerate().filter(|(_, owner)| **owner == at) {
                *owner = (mix(seed, &[turn, 5, part as u64]) % 2) as usize;
                group.give(part, &members[*owner].member, true).await;
            }
        }
        for part in 0..PARTS {
            group.release(part, &members[owners[part]].member).await;
            group.give(part, &members[1 - owners[part]].member, false).await;
        }
        let mut last = None;
        for Running { member, run, .. } in members {
            member.close();
            let report = run.await.unwrap().unwrap();
            assert_eq!((report.abandoned, report.spilled), (0, 0), "seed {seed}");
            counted += member.repeats_counted();
            last = Some(member);
        }
        let mut seen = wire.seen();
        let (all, mut once) = (seen.accepted.len(), HashSet::new());
        seen.accepted.retain(|(broker, _, number)| once.insert((*broker, *number)));
        let repeats = all - seen.accepted.len();
        drop(seen);
        assert!(repeats as u64 <= counted, "seed {seed}: {repeats} repeats, and {counted} were counted");
        // Letters stay where they were.
        last.unwrap().site.check_wire(&format!("seed {seed}"));
    }
}

/// A site where broker 0 takes nothing while it is down.
fn half_dead(dir: &Path, wire: &Wire) -> Site {
    let mut site = Site::new(dir, Log::plain(120, 12), wire.clone(), 2);
    site.limits.spill_broker_max = 1 << 20;
    site
}

fn scripted(down: &Arc<AtomicBool>) -> Wire {
    let down = down.clone();
    Wire::new(move |call: Call| {
        let fails = call.broker == 0 && down.load(Ordering::Relaxed);
        (ms(0), if fails { End::Transient } else { End::Accept })
    })
}

#[tokio::test]
async fn a_partition_that_is_given_up_with_something_open_leaves_no_more_in_doubt_than_was_read() {
    let (dir, down) = (tempfile::tempdir().unwrap(), Arc::new(AtomicBool::new(true)));
    let (group, wire) = (Group::new(1), scripted(&down));
    let mut site = half_dead(dir.path(), &wire);
    // No room for what waits.
    site.limits.spill_broker_max = 0;
    let one = group.member(site);
    let moves = async {
        group.give(0, &one, true).await;
        while one.site.wire.seen().starts.is_empty() {
            sleep(ms(2)).await;
        }
        let released = group.release(0, &one).await;
        assert!(!released.settled && !released.clean, "{released:?}");
        let left = |restored| if let Restored::Left(left) = restored { Some(left) } else { None };
        let left = group.states.member().claim(&name(0)).into_iter().find_map(left).unwrap().unwrap();
        assert!(left.offset > 0 && left.offset <= 120, "{left:?}");
        down.store(false, Ordering::Relaxed);
        group.give(0, &one, false).await;
        one.close();
    };
    let (ended, ()) = tokio::join!(one.site.run_over(|_| one.source(), stop().1), moves);
    assert_eq!(ended.unwrap().spilled, 0);
    one.site.check_wire("given up");
}

#[tokio::test]
async fn what_is_sent_again_stays_where_its_letter_was_whoever_has_its_partition() {
    let (dir, mended) = (tempfile::tempdir().unwrap(), Arc::new(AtomicBool::new(false)));
    let seen = mended.clone();
    let wire = Wire::new(move |_| match seen.load(Ordering::Relaxed) {
        false => (ms(0), End::Refused),
        true => (ms(100), End::Accept),
    });
    let group = Group::new(1);
    let one = group.member(Site::new(dir.path(), Log::plain(30, 3), wire, 2));
    let moves = async {
        group.give(0, &one, true).await;
        let line = one.line().await;
        while line.partitions().settled() < 30 {
            sleep(ms(2)).await;
        }
        mended.store(true, Ordering::Relaxed);
        let replays = replay::replays(&one.site);
        assert_eq!(replays.len(), 60);
        assert_eq!(line.replay(replays).await.unwrap(), vec![Replayed::Placed; 60]);
        assert!(one.on_disk() > 0 && group.states.waiting(&name(0)).is_empty());
        // Somebody else has the partition, and what was sent again is still this process's.
        let _given = group.states.member().claim(&name(0));
        line.lose("log/0");
        one.close();
    };
    let (ended, ()) = tokio::join!(one.site.run_over(|_| one.source(), stop().1), moves);
    assert_eq!(ended.unwrap().spilled, 0);
    let accepted = &one.site.wire.seen().accepted;
    assert_eq!(accepted.iter().map(|(broker, _, number)| (broker, number)).collect::<HashSet<_>>().len(), 60);
}

#[tokio::test]
async fn what_waits_on_the_disk_of_a_line_that_was_superseded_is_sent_by_the_other_alone() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let down = Arc::new(AtomicBool::new(true));
    let (group, wire) = (Group::new(2), scripted(&down));
    let [one, two] = [0, 1].map(|at: usize| group.member(half_dead(dirs[at].path(), &wire)));
    let moves = async {
        group.give(0, &one, true).await;
        group.give(1, &one, true).await;
        let line = one.line().await;
        while line.partitions().settled() < 120 || one.on_disk() < 120 {
            sleep(ms(2)).await;
        }
        // Nobody tells it.
        *group.committed.lock() = vec![120, 120];
        group.give(0, &two, true).await;
        group.give(1, &two, true).await;
        while one.on_disk() > 0 || !line.partitions().snapshot().is_empty() {
            sleep(ms(2)).await;
        }
        // Now the group does, and gives one back at once.
        line.lose("log/0");
        line.lose("log/1");
        down.store(false, Ordering::Relaxed);
        group.release(0, &two).await;
        group.give(0, &one, false).await;
        group.release(1, &two).await;
        group.give(1, &two, false).await;
        one.close();
        two.close();
    };
    let runs = async {
        tokio::join!(
            one.site.run_over(|_| one.source(), stop().1),
            two.site.run_over(|_| two.source(), stop().1)
        )
    };
    let ((one_ended, two_ended), ()) = tokio::join!(runs, moves);
    assert_eq!((one_ended.unwrap().spilled, two_ended.unwrap().spilled), (0, 0));
    // Both have tried what the broker did not take.
    one.site.wire.seen().broken.clear();
    one.site.check_with(&[&two.site], "superseded");
}

#[tokio::test]
async fn what_a_dead_line_has_left_on_its_disk_is_dropped_and_what_it_was_vouched_for_is_delivered_elsewhere()
{
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let down = Arc::new(AtomicBool::new(true));
    let (group, wire) = (Group::new(1), scripted(&down));
    let one = group.member(half_dead(dirs[0].path(), &wire));
    let waits = async {
        group.give(0, &one, true).await;
        let line = one.line().await;
        while line.partitions().settled() < 120 || one.on_disk() < 120 {
            sleep(ms(2)).await;
        }
    };
    let (stopper, asked) = stop();
    let dies = async {
        waits.await;
        stopper.ask(Level::Now);
    };
    let (ended, ()) = tokio::join!(one.site.run_over(|_| one.source(), asked), dies);
    drop(ended);
    *group.committed.lock() = vec![120];
    down.store(false, Ordering::Relaxed);
    // The same directory, and another: it has no right to what it finds.
    let again = group.member(half_dead(dirs[0].path(), &wire));
    again.close();
    let report = again.site.run_over(|_| again.source(), stop().1).await.unwrap();
    assert_eq!(
        (report.spilled, again.site.wire.seen().accepted.iter().filter(|one| one.0 == 0).count()),
        (0, 0)
    );
    let two = group.member(half_dead(dirs[1].path(), &wire));
    group.give(0, &two, false).await;
    two.close();
    let report = two.site.run_over(|_| two.source(), stop().1).await.unwrap();
    assert_eq!((report.spilled, report.records), (0, 0), "nothing is read again");
    two.site.check("after a crash");
    assert_eq!(two.repeats_counted(), 120, "any of them may have been on the wire");
}

#[tokio::test]
async fn what_comes_for_a_broker_that_the_config_does_not_name_waits_on_disk_and_moves_on() {
    let dirs = [0; 3].map(|_| tempfile::tempdir().unwrap());
    let down = Arc::new(AtomicBool::new(true));
    let (group, wire) = (Group::new(1), scripted(&down));
    let sites = [2, 1, 2].into_iter().zip(&dirs).map(|(brokers, dir)| {
        let mut site = half_dead(dir.path(), &wire);
        // The second one knows broker 0 by no name.
        site.first_broker = 2 - brokers;
        site.brokers = brokers;
        group.member(site)
    });
    let members: Vec<_> = sites.collect();
    for (at, member) in members.iter().enumerate() {
        let last = at == 2;
        let stays = async {
            group.give(0, member, !last).await;
            let line = member.line().await;
            while !last && (line.partitions().settled() < 120 && at == 0 || member.on_disk() < 120) {
                sleep(ms(2)).await;
            }
            if at == 1 {
                while line.stranded()["b0"].deliveries < 120 {
                    sleep(ms(2)).await;
                }
                down.store(false, Ordering::Relaxed);
            }
            if !last {
                assert!(group.release(0, member).await.clean);
                assert_eq!(member.on_disk(), 0);
                assert!(line.stranded().values().all(|usage| usage.deliveries == 0));
            }
            member.close();
        };
        let (report, ()) = tokio::join!(member.site.run_over(|_| member.source(), stop().1), stays);
        assert_eq!(report.unwrap().spilled, 0);
    }
    members[2].site.check("by way of one that does not know it");
    assert_eq!(members[2].repeats_counted(), 0);
}
