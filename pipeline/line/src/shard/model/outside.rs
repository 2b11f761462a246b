//! The rest of the world: the wire, the ledger and the disk, an end of the process and a new start.

use std::{collections::BTreeSet, time::Duration};

use futures::FutureExt;
use stages::models::{Failure, FailureKind, Leftover, Receipt};
use state::{FailedAttempt, Spill, SpillUsage, SpilledDelivery};

use super::{
    BROKERS, Do, How, PARTITIONS,
    world::{Commit, Name, Read, Side, World, proof},
};
use crate::{
    shard::step::{AttemptEnd, GivenUp, Input},
    spill_reader::{Scan, SpillRead},
    stop::Level,
};

impl World {
    pub(super) fn read(&mut self, queue: usize, numbers: u64) {
        let (lived, side) = (self.monotonic(), &mut self.sides[queue]);
        match side.read.take() {
            None => {}
            Some(Read::Waits(mut permits, asked)) => {
                side.read = Some(match (&mut permits).now_or_never() {
                    None => Read::Waits(permits, asked),
                    Some(permits) => {
                        let wanted = asked.wanted.clone().within(permits.len(), asked.scan_first);
                        let due =
                            wanted.due.iter().filter_map(|(_, seq)| side.disk.get(seq).cloned()).collect();
                        let missing = wanted.due.iter().filter(|(_, seq)| !side.disk.contains_key(seq));
                        let missing = missing.cloned().collect();
                        let scan = Scan::new(&wanted, asked.passing.clone(), lived);
                        let (generation, range) = (asked.generation, asked.range);
                        Read::Scans { permits, generation, range, due, missing, scan }
                    }
                });
            }
            Some(Read::Scans { permits, generation, mut range, due, missing, mut scan }) => {
                let to = range.end.min(range.start.saturating_add(numbers));
                while range.start < to && !scan.is_done() {
                    if let Some(spilled) = side.disk.get(&range.start) {
                        scan.meet(spilled.clone());
                    }
                    range.start += 1;
                }
                if range.start < range.end && !scan.is_done() {
                    side.read = Some(Read::Scans { permits, generation, range, due, missing, scan });
                    return;
                }
                let (Scan { deliveries, passed, .. }, cursor) = (scan, range.start);
                let read = SpillRead { due, missing, deliveries, passed, permits, cursor, horizon: 0 };
                // That it may be sent goes on record first.
                self.commits.push_back(Commit::Input(Input::ReadDone { queue, generation, read }));
            }
        }
    }

    /// The attempt is over, and what came of it on its way back to the core.
    pub(super) fn end(&mut self, queue: usize, which: usize, how: How) {
        let (now, at) = (self.now, self.monotonic());
        let side = &mut self.sides[queue];
        if side.on_wire.is_empty() {
            return;
        }
        let (mut delivery, mark, probe) = side.on_wire.remove(which % side.on_wire.len());
        let (load, health) = (delivery.event().load_id.clone(), &self.brokers[queue].health);
        let failure = Failure {
            kind: FailureKind::Transient,
            status: (!matches!(how, How::Cut)).then_some(500),
            cause: "scripted".to_owned(),
            retry_after: None,
            may_have_arrived: false,
            answer: None,
        };
        let end = match how {
            How::FoundSpilled if !delivery.on_disk && side.disk.contains_key(&delivery.seq) => {
                AttemptEnd::FoundSpilled { left: Leftover::default() }
            }
            How::Untried => {
                let (history, left) = (delivery.history, Leftover::default());
                AttemptEnd::PutBack { history, not_before: None, left }
            }
            How::Accept | How::FoundSpilled => {
                health.on_success(at);
                AttemptEnd::Verdict(Ok(Receipt { failed_attempts: 0, status: 200, at: 0 }))
            }
            How::Fail | How::Cut | How::Throttle => {
                let evidence = health.evidence(&failure, &load, &delivery.history);
                match how {
                    How::Throttle => {
                        health.on_throttled(now, now + Duration::from_millis(20), &failure, evidence);
                    }
                    _ => health.on_failure(mark, now, &failure, evidence),
                }
                let (status, cause) = (failure.status, "scripted".to_owned());
                let attempt = FailedAttempt { at, status, cause, may_have_arrived: false, answer: None };
                delivery.history.push(attempt, false);
                // Longer each time, and in the end longer than any `hold_min` of the test.
                let not_before = Some(now + Duration::from_millis(2 << delivery.history.attempts.min(4)));
                let left = Leftover::default();
                AttemptEnd::PutBack { history: delivery.history, not_before, left }
            }
        };
        probe.into_iter().for_each(|probe| health.release_probe(probe, now));
        self.heard.push(Input::AttemptDone { queue, load, end });
    }

    pub(super) fn commit(&mut self) {
        match self.commits.pop_front() {
            None => {}
            Some(Commit::Write(queue, batch, written)) => {
                let spilled = batch.deliveries[written].clone();
                self.sides[queue].disk.insert(spilled.seq, spilled);
                if written + 1 == batch.deliveries.len() {
                    let proofs = batch.deliveries.iter().map(|_| proof()).collect();
                    self.heard.push(Input::Written { queue, batch, proofs });
                } else {
                    self.commits.push_front(Commit::Write(queue, batch, written + 1));
                }
            }
            Some(Commit::Verdict { queue, load, succeeded, name, on_disk }) => {
                self.done.insert(name);
                if let Some(seq) = on_disk {
                    self.sides[queue].disk.remove(&seq);
                }
                self.heard.push(Input::Recorded { queue, load, succeeded, proof: proof() });
            }
            Some(Commit::GivenUp { queue, seq, name }) => {
                self.done.insert(name);
                self.heard.push(Input::GivenUp { queue, seq, end: GivenUp::Recorded(proof()) });
            }
            Some(Commit::Replay(deliveries, placed)) => {
                for (spilled, (queue, seq)) in deliveries.into_iter().zip(&placed) {
                    self.sides[*queue].disk.insert(*seq, spilled);
                }
                self.heard.push(Input::ReplayWritten { placed });
            }
            Some(Commit::Drop(part)) => self.drop_from_disk(part),
            Some(Commit::Input(input)) => self.heard.push(input),
        }
    }

    /// Stops in good order, and starts again on what is on disk.
    pub(super) fn restart(&mut self) {
        self.give(Input::Stop(Level::Drain));
        let rest: Vec<(usize, How)> =
            (0..BROKERS).flat_map(|queue| [How::Fail, How::Accept].map(|how| (queue, how))).collect();
        for (queue, how) in rest.iter().cycle().take(40) {
            self.end(*queue, 0, *how);
            self.commit();
            self.hear(0);
        }
        while !self.commits.is_empty() || !self.heard.is_empty() {
            self.commit();
            self.hear(0);
        }
        if self.core.running_count() > 0 {
            self.problem = Some("something still runs after a stop in good order".to_owned());
        }
        self.start_again();
    }

    /// Another process starts on what is on disk, whatever this one was at.
    pub(super) fn start_again(&mut self) {
        let sides: Vec<Side> = std::mem::take(&mut self.sides);
        let disks: Vec<_> = sides.into_iter().map(|side| side.disk).collect();
        let bytes = |spilled: &SpilledDelivery| Spill::cost(spilled) + 28 * spilled.history.last.len() as u64;
        let usage = disks.iter().map(|disk| SpillUsage {
            deliveries: disk.len() as u64,
            bytes: disk.values().map(bytes).sum(),
            next_seq: disk.keys().last().map_or(0, |last| last + 1),
        });
        let mut next = Self::on(usage.collect(), self.limits, self.letters, self.now);
        next.began = self.began;
        next.follows = self.follows;
        next.moved = std::mem::take(&mut self.moved);
        for (side, disk) in next.sides.iter_mut().zip(disks) {
            side.disk = disk;
        }
        next.log = std::mem::take(&mut self.log);
        next.done = std::mem::take(&mut self.done);
        next.settled = std::mem::take(&mut self.settled);
        next.started = std::mem::take(&mut self.started);
        next.replayed = std::mem::take(&mut self.replayed);
        next.problem = self.problem.take();
        *self = next;
        self.forget_letters();
        // The source is read again from its first open record.
        self.source = self.left().filter(|name| !self.is_on_disk(name)).cloned().collect();
        self.advance(true);
    }

    /// What was to be sent again and is neither done nor on disk, nor on its way there, is a dead letter as before.
    pub(super) fn forget_letters(&mut self) {
        let on_its_way = |name: &Name| {
            self.commits.iter().any(|commit| match commit {
                Commit::Replay(deliveries, _) => deliveries.iter().any(|spilled| is(spilled, name)),
                _ => false,
            })
        };
        let gone = |name: &&Name| {
            self.replayed.contains(*name)
                && !(self.done.contains(*name) || self.is_on_disk(name) || on_its_way(name))
                // It waits elsewhere, and comes with its partition.
                && !self.moved.contains(*name)
        };
        let gone: BTreeSet<Name> = self.log.iter().filter(gone).cloned().collect();
        // Its place in the log stays taken.
        self.done.extend(gone);
    }

    pub(super) fn is_on_disk(&self, name: &Name) -> bool {
        self.sides[name.0].disk.values().any(|spilled| is(spilled, name))
    }

    /// What was settled is done or on disk; and what the next run would find on disk, if the process ended now, comes
    /// before what it would read again.
    pub(super) fn could_end_now(&self) -> Result<(), String> {
        let is_kept = |name: &&Name| self.is_on_disk(name) || self.moved.contains(*name);
        if let Some(lost) = self.settled.iter().find(|name| !self.done.contains(*name) && !is_kept(name)) {
            return Err(format!("{lost:?} is settled, and neither done nor on disk"));
        }
        let first_time = |name: &&Name| !self.replayed.contains(*name);
        for (queue, load, at) in self.left().filter(first_time).filter(|name| !self.is_on_disk(name)) {
            let of_load = |name: &&Name| name.0 == *queue && name.1 == *load;
            let disk =
                self.log.iter().filter(of_load).filter(first_time).filter(|name| self.is_on_disk(name));
            if disk.last().is_some_and(|newest| *at < newest.2) {
                return Err(format!("a later one of {load} is on disk, {at} is not"));
            }
        }
        Ok(())
    }

    /// What all attempts come to from now on: accepted, but for those of the first `bad` loads.
    fn ends(&self, queue: usize, bad: usize) -> How {
        let first = self.sides[queue].on_wire.first().map(|(delivery, ..)| delivery.event().load_id.clone());
        let is_bad = (0..bad).any(|load| first.as_deref() == Some(&*format!("L{load}")));
        if is_bad { How::Fail } else { How::Accept }
    }

    /// Lets everything go on, for long enough, until all is done but what is of the first `bad` loads, which are refused.
    pub(super) fn calm_down(&mut self, bad: usize) {
        let is_bad = |name: &Name| (0..bad).any(|load| *name.1 == *format!("L{load}"));
        for _ in 0..3_000 {
            (0..PARTITIONS).for_each(|part| self.go_on(part));
            let runs = bad == 0 && self.core.running_count() > 0;
            if self.left().all(is_bad)
                && !self.moves()
                && !runs
                && self.heard.is_empty()
                // What it was to bring may have gone to somebody else.
                && self.sides.iter().all(|side| side.read.is_none())
                && self.commits.is_empty()
            {
                return;
            }
            for queue in 0..BROKERS {
                let how = self.ends(queue, bad);
                self.act(&Do::End(queue, 0, how));
                self.act(&Do::Read(queue, 9));
                self.act(&Do::Commit);
                self.act(&Do::Hear(0));
                self.act(&Do::Hear(0));
            }
            self.act(&Do::Pass(1));
        }
    }
}

/// Whether this is what has that name.
pub(super) fn is(spilled: &SpilledDelivery, (_, load, at): &Name) -> bool {
    spilled.event.load_id == *load && spilled.event.position.offset == *at
}
