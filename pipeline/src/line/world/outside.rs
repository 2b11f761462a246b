//! The rest of the world: the wire, the ledger and the disk, the passing of time, a stop and a new start.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::FutureExt;
use stages::{
    Ack, Gate,
    models::{Failure, FailureKind, Receipt},
};
use state::{
    Clock, CommitOptions, Durability, FailedAttempt, Ledger, LedgerThread, Spill, SpillUsage,
    SpilledDelivery, Store, StoreOptions,
};
use tokio::time::Instant;

use super::{
    BROKERS, Do, How,
    inside::{Asked, Commit, Heard, Name, Places, Read, World},
};
use crate::line::{
    account::Account,
    load::{Loaded, Scan},
    write::Write,
};

/// Marks verdicts as being recorded, as `Ack` alone can; what it records nobody reads.
fn ack() -> Ack {
    static ACK: OnceLock<(Ack, LedgerThread, tempfile::TempDir)> = OnceLock::new();
    let make = || {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            durability: Durability::Process,
            dedupe_window: 3_600_000,
            cache: 8 << 20,
            clock: Clock::System,
        };
        let commits = CommitOptions { commit_max: 64, linger: Duration::from_millis(1), inbox_max: 64 };
        let (ledger, thread) = Ledger::start(Store::open(dir.path(), options).unwrap(), commits).unwrap();
        (Ack::new(&ledger, Clock::System), thread, dir)
    };
    ACK.get_or_init(make).0.clone()
}

impl World {
    pub(super) fn refill(&mut self, index: usize, gate: Gate) {
        let slot = &mut self.sides[index].slot;
        let wanted = slot.wanted(gate, BROKERS, Instant::now());
        if wanted.is_empty() {
            return;
        }
        slot.scan_first = !slot.scan_first;
        let (scan_first, passing) = (slot.scan_first, slot.deferred.names());
        let range = slot.account.readable();
        let (generation, memory) = (slot.account.begin_load(), self.shared.memory.clone());
        let count = wanted.due.len() + wanted.scan;
        let places: Places = Box::pin(async move { memory.reads(count).await.unwrap() });
        let asked = Asked { wanted, scan_first, passing, range, generation };
        // It takes its place among those that wait.
        self.sides[index].read = Some(Read::Waits(places, asked));
        self.read(index, 0);
    }

    pub(super) fn read(&mut self, index: usize, numbers: u64) {
        let (side, now) = (&mut self.sides[index], self.clock.now());
        match side.read.take() {
            None => {}
            Some(Read::Waits(mut places, mut asked)) => {
                side.read = Some(match (&mut places).now_or_never() {
                    None => Read::Waits(places, asked),
                    Some(places) => {
                        asked.wanted = asked.wanted.within(places.len(), asked.scan_first);
                        let due = asked.wanted.due.iter().map(|(_, seq)| side.disk[seq].clone()).collect();
                        let scan = Scan::new(&asked.wanted, asked.passing.clone(), now);
                        let at = asked.range.start;
                        Read::Scans { places, asked, at, due, scan }
                    }
                });
            }
            Some(Read::Scans { places, asked, mut at, due, mut scan }) => {
                let to = asked.range.end.min(at.saturating_add(numbers));
                while at < to && !scan.is_done() {
                    if let Some(spilled) = side.disk.get(&at) {
                        scan.meet(spilled.clone());
                    }
                    at += 1;
                }
                if at < asked.range.end && !scan.is_done() {
                    side.read = Some(Read::Scans { places, asked, at, due, scan });
                    return;
                }
                let Scan { deliveries, passed, .. } = scan;
                let (missing, horizon) = (Vec::new(), 0);
                let loaded =
                    Loaded { due, missing, deliveries, passed, permits: places, cursor: at, horizon };
                self.commits.push_back(Commit::Horizon(index, asked.generation, loaded));
            }
        }
    }

    /// The attempt is over, and what came of it on its way to the ledger or back to the shard.
    pub(super) fn end(&mut self, index: usize, which: usize, how: How) {
        let side = &mut self.sides[index];
        if side.on_wire.is_empty() {
            return;
        }
        let (mut delivery, mark) = side.on_wire.remove(which % side.on_wire.len());
        side.slot.on_wire -= 1;
        let (now, health) = (Instant::now(), &side.slot.broker.health);
        let failure = Failure {
            kind: FailureKind::Transient,
            status: (!matches!(how, How::Cut)).then_some(500),
            cause: "scripted".to_owned(),
            retry_after: None,
            may_have_arrived: false,
        };
        match how {
            How::Accept => {
                health.on_success(self.clock.now());
                let receipt = Ok(Receipt { failed_attempts: 0, status: 200, at: 0 });
                // From its first poll on the verdict counts as being recorded.
                drop(ack().settle(&delivery, receipt).now_or_never());
                self.commits.push_back(Commit::Verdict(index, delivery));
            }
            How::Fail | How::Cut | How::Throttle => {
                let evidence = health.evidence(&failure, &delivery.event().load_id, &delivery.history);
                match how {
                    How::Throttle => {
                        health.on_throttled(now, now + Duration::from_millis(20), &failure, evidence);
                    }
                    _ => health.on_failure(mark, now, &failure, evidence),
                }
                let attempt = FailedAttempt {
                    at: self.clock.now(),
                    status: failure.status,
                    cause: "scripted".to_owned(),
                    may_have_arrived: false,
                };
                delivery.history.push(attempt, false);
                // Longer each time, and in the end longer than any `hold_min` of the test.
                let not_before = Some(now + Duration::from_millis(2 << delivery.history.attempts.min(4)));
                self.heard.push(Heard::PutBack(index, delivery, not_before));
            }
        }
        self.advance(index);
    }

    pub(super) fn commit(&mut self) {
        match self.commits.pop_front() {
            None => {}
            Some(Commit::Write(index, write, written)) => {
                let spilled = write.deliveries[written].clone();
                self.sides[index].disk.insert(spilled.seq, spilled);
                if written + 1 == write.deliveries.len() {
                    self.heard.push(Heard::Written(index, write));
                } else {
                    self.commits.push_front(Commit::Write(index, write, written + 1));
                }
            }
            Some(Commit::Verdict(index, delivery)) => {
                let name = self.name(index, &delivery);
                self.done.insert(name);
                if delivery.progress.is_spilled() {
                    self.sides[index].disk.remove(&delivery.seq);
                }
                self.heard.push(Heard::Settled(index, delivery));
            }
            Some(Commit::Replay(index, spilled)) => {
                self.heard.push(Heard::Replayed(index, spilled.seq));
                self.sides[index].disk.insert(spilled.seq, spilled);
            }
            Some(Commit::Horizon(index, generation, loaded)) => {
                self.heard.push(Heard::Loaded(index, generation, loaded));
            }
        }
    }

    /// Stops in good order, as `Shard::stop` and `Shard::is_done` do, and starts on what is on disk.
    pub(super) fn restart(&mut self) {
        self.stopping = true;
        for index in 0..BROKERS {
            let (slot, mut write) = (&mut self.sides[index].slot, Write::default());
            slot.held = true;
            slot.set_aside(&self.clock, &mut write);
            self.relieve(index, &mut write);
            self.submit(index, write);
        }
        let rest: Vec<(usize, How)> =
            (0..BROKERS).flat_map(|index| [How::Fail, How::Accept].map(|how| (index, how))).collect();
        for (index, how) in rest.iter().cycle().take(40) {
            self.end(*index, 0, *how);
            self.commit();
            self.hear(0);
        }
        while !self.commits.is_empty() || !self.heard.is_empty() {
            self.commit();
            self.hear(0);
        }
        self.place = None;
        let disks: Vec<_> = self.sides.iter_mut().map(|side| std::mem::take(&mut side.disk)).collect();
        let mut next = Self::new(self.limits);
        for (side, disk) in next.sides.iter_mut().zip(&disks) {
            let bytes =
                |spilled: &SpilledDelivery| Spill::cost(spilled) + 28 * spilled.history.last.len() as u64;
            let usage = SpillUsage {
                deliveries: disk.len() as u64,
                bytes: disk.values().map(bytes).sum(),
                next_seq: disk.keys().last().map_or(0, |last| last + 1),
            };
            side.slot.account = Account::new(next.shared.clone(), &next.limits, usage, 0);
            side.disk = disk.clone();
        }
        let on_disk = |(index, load, at): &Name| {
            disks[*index].values().any(|s| s.event.load_id == *load && s.event.position.offset == *at)
        };
        next.source =
            self.log.iter().filter(|name| !self.done.contains(*name) && !on_disk(name)).cloned().collect();
        next.log = std::mem::take(&mut self.log);
        next.done = std::mem::take(&mut self.done);
        next.started = std::mem::take(&mut self.started);
        next.replayed = std::mem::take(&mut self.replayed);
        next.problem = self.problem.take();
        *self = next;
        (0..BROKERS).for_each(|index| self.advance(index));
    }

    pub(super) async fn act(&mut self, what: &Do) {
        match what {
            Do::Arrive(index, load) => {
                let name = (*index, Arc::from(format!("L{load}")), self.log.len() as u64);
                self.log.push(name.clone());
                self.source.push_back(name);
            }
            Do::Replay(index, load) => self.replay(*index, &format!("L{load}")),
            Do::End(index, which, how) => self.end(*index, *which, *how),
            Do::Commit => self.commit(),
            Do::Hear(which) => self.hear(*which),
            Do::Read(index, numbers) => self.read(*index, *numbers),
            Do::Pass(millis) => {
                tokio::time::advance(Duration::from_millis(*millis)).await;
                self.wake();
            }
            Do::LookAround => self.look_around(),
            Do::Restart => self.restart(),
        }
        self.take_in();
    }

    /// What the next run would find on disk if the process ended now comes before what it would read again.
    pub(super) fn could_end_now(&self) -> Result<(), String> {
        for (index, load, at) in &self.log {
            let disk = self.sides[*index].disk.values().filter(|spilled| spilled.event.load_id == *load);
            let disk = disk.map(|spilled| spilled.event.position.offset);
            let first_time = |at: &u64| !self.replayed.contains(&(*index, load.clone(), *at));
            let disk: BTreeSet<u64> = disk.filter(first_time).collect();
            if !first_time(at) {
                continue;
            }
            let again = !self.done.contains(&(*index, load.clone(), *at)) && !disk.contains(at);
            if again && disk.last().is_some_and(|newest| at < newest) {
                return Err(format!("{disk:?} of {load} is on disk, {at} is not"));
            }
        }
        Ok(())
    }

    /// What all attempts come to from now on: accepted, but for those of the first `bad` loads.
    fn ends(&self, index: usize, bad: usize) -> How {
        let first = self.sides[index].on_wire.first().map(|(delivery, _)| delivery.event().load_id.clone());
        let is_bad = (0..bad).any(|load| first.as_deref() == Some(&*format!("L{load}")));
        if is_bad { How::Fail } else { How::Accept }
    }

    /// Lets everything go on, for long enough, until all is done but what is of the first `bad` loads, which are refused.
    pub(super) async fn calm_down(&mut self, bad: usize) {
        let is_bad = |name: &Name| (0..bad).any(|load| *name.1 == *format!("L{load}"));
        for _ in 0..3_000 {
            let all_done = self.log.iter().all(|name| is_bad(name) || self.done.contains(name));
            if all_done && self.heard.is_empty() && self.commits.is_empty() {
                return;
            }
            for index in 0..BROKERS {
                let how = self.ends(index, bad);
                self.act(&Do::End(index, 0, how)).await;
                self.act(&Do::Read(index, 9)).await;
                self.act(&Do::Commit).await;
                self.act(&Do::Hear(0)).await;
            }
            self.act(&Do::Pass(1)).await;
        }
    }
}
