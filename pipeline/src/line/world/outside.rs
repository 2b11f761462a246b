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
    Clock, CommitOptions, Durability, FailedAttempt, Ledger, LedgerThread, Spill, SpillSeq, SpillUsage,
    SpilledDelivery, Store, StoreOptions,
};
use tokio::time::Instant;

use super::{
    BROKERS, Do, How,
    inside::{Commit, Heard, Name, Places, Read, World},
};
use crate::line::{account::Account, load::Loaded, memory::Place, write::Write};

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
        let (wanted, range) = (slot.wanted(gate), slot.account.readable());
        if wanted == 0 || range.is_empty() {
            return;
        }
        let (generation, memory) = (slot.account.begin_load(), self.shared.memory.clone());
        let mut places: Places = Box::pin(async move { memory.reads(wanted).await.unwrap() });
        // It takes its place among those that wait.
        let read = match (&mut places).now_or_never() {
            None => Read::Waits(places, range, generation),
            Some(permits) => scans(permits, range, generation),
        };
        self.sides[index].read = Some(read);
    }

    pub(super) fn read(&mut self, index: usize, numbers: u64) {
        let side = &mut self.sides[index];
        match side.read.take() {
            None => {}
            Some(Read::Waits(mut places, range, generation)) => {
                side.read = Some(match (&mut places).now_or_never() {
                    None => Read::Waits(places, range, generation),
                    Some(permits) => scans(permits, range, generation),
                });
            }
            Some(Read::Scans { permits, at, end, generation, mut found }) => {
                let to = end.min(at.saturating_add(numbers));
                let room = permits.len() - found.len();
                found.extend(side.disk.range(at..to).map(|(_, spilled)| spilled.clone()).take(room));
                if to < end && found.len() < permits.len() {
                    side.read = Some(Read::Scans { permits, at: to, end, generation, found });
                    return;
                }
                let full = found.len() == permits.len();
                let cursor = found.last().filter(|_| full).map_or(end, |last| last.seq + 1);
                let loaded = Loaded { deliveries: found, permits, cursor, horizon: 0 };
                self.commits.push_back(Commit::Horizon(index, generation, loaded));
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
            status: None,
            cause: "scripted".to_owned(),
            retry_after: None,
            may_have_arrived: false,
        };
        match how {
            How::Accept => {
                health.on_success();
                let receipt = Ok(Receipt { failed_attempts: 0, status: 200, at: 0 });
                // From its first poll on the verdict counts as being recorded.
                drop(ack().settle(&delivery, receipt).now_or_never());
                self.commits.push_back(Commit::Verdict(index, delivery));
            }
            How::Fail | How::Throttle => {
                match how {
                    How::Throttle => health.on_throttled(now, now + Duration::from_millis(20), &failure),
                    _ => health.on_failure(mark, now, &failure),
                }
                let attempt = FailedAttempt {
                    at: 0,
                    status: None,
                    cause: "scripted".to_owned(),
                    may_have_arrived: false,
                };
                delivery.history.push(attempt, false);
                let open = health.gate(now) == Gate::Open;
                let not_before = open.then(|| now + Duration::from_millis(4));
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

    pub(super) async fn calm_down(&mut self) {
        for _ in 0..3_000 {
            if self.done.len() == self.log.len() && self.heard.is_empty() && self.commits.is_empty() {
                return;
            }
            for index in 0..BROKERS {
                self.act(&Do::End(index, 0, How::Accept)).await;
                self.act(&Do::Read(index, 9)).await;
                self.act(&Do::Commit).await;
                self.act(&Do::Hear(0)).await;
            }
            self.act(&Do::Pass(1)).await;
        }
    }
}

fn scans(permits: Vec<Place>, range: std::ops::Range<SpillSeq>, generation: u64) -> Read {
    Read::Scans { permits, at: range.start, end: range.end, generation, found: Vec::new() }
}
