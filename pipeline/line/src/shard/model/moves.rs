//! Partitions that are taken away and come again.

use futures::FutureExt;
use state::Waiting;

use super::{
    Do, PARTITIONS,
    outside::is,
    part::{Part, Stage, name_of, part_of},
    world::{Commit, Name, World},
};
use crate::{
    in_flight_permits::Permit,
    partitions::Partition,
    reply::reply,
    shard::{
        load_queues::Item,
        step::{Arrival, Input},
    },
    testing::share_of,
    ticket::{Share, Tickets},
};

impl World {
    /// Whether what has this name can be read.
    pub(super) fn is_here(&self, (_, load, _): &Name) -> bool {
        matches!(self.parts[part_of(load)].stage, Stage::Here)
    }

    /// Whether nothing of this load may be started.
    pub(super) fn is_leaving(&self, load: &str) -> bool {
        matches!(self.parts[part_of(load)].stage, Stage::Leaving(..) | Stage::Dropping(_))
    }

    /// Whether any partition is leaving.
    pub(super) fn moves(&self) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part.stage, Stage::Leaving(..) | Stage::Dropping(_) | Stage::HandedOver))
    }

    /// A partition that leaves or has left gets on.
    pub(super) fn go_on(&mut self, part: usize) {
        let next = if matches!(self.parts[part].stage, Stage::HandedOver) { Do::Release } else { Do::Come };
        self.act(&next(part));
    }

    /// The place in the source of the record that the intake has read and that waits for a place in memory, if it is of this
    /// partition.
    fn waiting(&self, part: usize) -> Option<usize> {
        let next = self.source.iter().position(|name| self.is_here(name)).filter(|_| self.place.is_some());
        next.filter(|next| part_of(&self.source[*next].1) == part)
    }

    /// A partition is handed over. One of which a record waits for a place is left out: that record would go on waiting.
    pub(super) fn hand_over(&mut self, part: usize) {
        let is_here = matches!(self.parts[part].stage, Stage::Here);
        if is_here && !self.core.is_stopping() && self.waiting(part).is_none() {
            let tickets = self.parts[part].tickets.clone();
            tickets.retire();
            self.parts[part].stage = Stage::HandedOver;
            self.give(Input::HandOver(Partition { source: name_of(part), tickets }));
        }
    }

    /// A partition is released.
    pub(super) fn release(&mut self, part: usize) {
        let is_there = matches!(self.parts[part].stage, Stage::Here | Stage::HandedOver);
        if !is_there || self.core.is_stopping() {
            return;
        }
        let waiting = self.waiting(part).and_then(|waiting| self.source.remove(waiting));
        let arrival = waiting.and_then(|name| {
            let permit = self.permits.leaving().now_or_never()?.ok()?;
            Some((name.2, self.arrival(&name, permit)))
        });
        // It is one of its load's, or another's.
        let next = arrival.as_ref().and_then(|_| {
            let next = self.source.iter().position(|name| self.is_here(name) && part_of(&name.1) == part);
            let name = self.source.remove(next?)?;
            let share = self.share(&name);
            Some((name, share))
        });
        let (reply, quiet) = reply();
        let tickets = self.parts[part].tickets.clone();
        tickets.retire();
        tickets.begin_to_leave();
        let leave = Input::Leave { partition: Partition { source: name_of(part), tickets }, reply };
        // The shard may hear of it before, or after.
        let (before, after) = match arrival {
            Some((at, arrival)) if at % 2 == 0 => (Some((arrival, next)), None),
            arrival => (None, arrival.map(|(_, arrival)| (arrival, next))),
        };
        self.arrive_leaving(before);
        self.parts[part].stage = Stage::Leaving(quiet, false);
        self.give(leave);
        self.arrive_leaving(after);
    }

    /// A record that waited for a place has one beyond the bounds, and the next one finds one within them, if there is one
    /// by now.
    fn arrive_leaving(&mut self, both: Option<(Arrival, Option<(Name, Share)>)>) {
        let Some((first, next)) = both else { return };
        self.give(Input::Arrived(first));
        self.arrive_within(next);
    }

    fn arrive_within(&mut self, next: Option<(Name, Share)>) {
        let Some((name, share)) = next else { return };
        self.place = None;
        match self.permits.arrival().now_or_never() {
            Some(Ok(permit)) => {
                let delivery = self.delivery(&name);
                self.give(Input::Arrived(Arrival { delivery, share, permit }));
            }
            _ => self.back_to_source(name),
        }
    }

    pub(super) fn arrival(&self, name: &Name, permit: Permit) -> Arrival {
        Arrival { delivery: self.delivery(name), share: self.share(name), permit }
    }

    fn share(&self, name: &Name) -> Share {
        share_of(&self.parts[part_of(&name.1)].tickets, name.2)
    }

    fn back_to_source(&mut self, name: Name) {
        let place = self.source.iter().position(|other| other.2 > name.2).unwrap_or(self.source.len());
        self.source.insert(place, name);
    }

    /// A partition comes again.
    pub(super) fn come(&mut self, part: usize) {
        if matches!(self.parts[part].stage, Stage::Away) {
            self.parts[part] = Part::default();
        }
    }

    /// A partition is lost, and comes again once someone else has done what was left of it.
    pub(super) fn lose(&mut self, part: usize) {
        if !matches!(self.parts[part].stage, Stage::Here) || self.core.is_stopping() {
            return;
        }
        let on_its_way = |name: &Name| {
            self.commits.iter().any(|commit| match commit {
                Commit::Write(_, batch, _) => batch.deliveries.iter().any(|spilled| is(spilled, name)),
                _ => false,
            })
        };
        let is_elsewhere = |name: &&Name| {
            part_of(&name.1) == part
                && !self.replayed.contains(*name)
                && !(self.is_on_disk(name) || on_its_way(name))
        };
        let elsewhere: Vec<_> = self.left().filter(is_elsewhere).cloned().collect();
        self.source.retain(|name| !elsewhere.contains(name));
        self.done.extend(elsewhere);
        let lost = std::mem::take(&mut self.parts[part]).tickets;
        lost.lose();
        self.lost.push(lost.clone());
        self.give(Input::Lost(lost));
    }

    /// What was abandoned is read again.
    pub(super) fn read_again(&mut self, items: Vec<Item>) {
        for item in items {
            let at = item.delivery.event().position.offset;
            let Some(name) = self.log.iter().find(|name| name.2 == at).cloned() else { continue };
            if !self.done.contains(&name) {
                self.back_to_source(name);
            }
        }
    }

    fn leave(&mut self, part: usize) {
        self.parts[part].stage = Stage::Away;
        self.give(Input::Left { partition: name_of(part) });
    }

    /// What is on disk of a partition is removed there; it comes again with the partition, before anything that is read.
    pub(super) fn drop_from_disk(&mut self, part: usize) {
        let mut dropped = Vec::new();
        for (queue, side) in self.sides.iter_mut().enumerate() {
            let its = side.disk.values().filter(|spilled| part_of(&spilled.event.load_id) == part);
            let its: Vec<_> = its.cloned().collect();
            for spilled in its {
                side.disk.remove(&spilled.seq);
                let waiting = Waiting { broker: self.brokers[queue].id.clone(), ..Waiting::from(&spilled) };
                dropped.push((queue, spilled.event.position.offset, waiting));
            }
        }
        for (queue, at, waiting) in &dropped {
            let name = (*queue, waiting.load_id.clone(), *at);
            self.settled.remove(&name);
            self.moved.insert(name.clone());
            self.back_to_source(name);
        }
        let dropped: Vec<_> = dropped.into_iter().map(|(.., waiting)| waiting).collect();
        self.heard.push(Input::Dropped(dropped.into()));
        self.dropping.push(part);
    }

    /// The core has heard of what was dropped first.
    pub(super) fn heard_of_dropped(&mut self) {
        let part = self.dropping.remove(0);
        self.parts[part].stage = Stage::Dropping(true);
    }

    /// Partitions leave of which nothing is under way any more.
    pub(super) fn settle_moves(&mut self) {
        for part in 0..PARTITIONS {
            let Stage::Leaving(quiet, told) = &mut self.parts[part].stage else { continue };
            *told |= quiet.try_recv().is_ok();
            if !*told {
                continue;
            }
            let mut wire = self.sides.iter().flat_map(|side| &side.on_wire);
            if wire.any(|(delivery, ..)| part_of(&delivery.event().load_id) == part) {
                self.problem = Some(format!("{} is quiet, with a delivery on the wire", name_of(part)));
            }
            if self.parts[part].tickets.gone().now_or_never().is_none() {
                continue;
            }
            if self.follows {
                self.parts[part].stage = Stage::Dropping(false);
                self.commits.push_back(Commit::Drop(part));
            } else {
                self.leave(part);
            }
        }
        for part in 0..PARTITIONS {
            if matches!(self.parts[part].stage, Stage::Dropping(true)) {
                self.leave(part);
            }
        }
        let gone = |lost: &Tickets| lost.gone().now_or_never().is_some();
        let lost: Vec<_> = self.lost.iter().filter(|lost| gone(lost)).cloned().collect();
        for lost in lost {
            self.lost.retain(|other| !other.is(&lost));
            self.give(Input::Gone(lost));
        }
    }
}
