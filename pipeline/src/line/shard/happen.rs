//! What has happened at a shard: events enter, the slots they concern are brought up to date and advanced.
//!
//! Guarantees: a share is settled only with the proof that its delivery's end is on record; a delivery that has to wait
//! goes back in front of its load.

use std::sync::Arc;

use futures::{FutureExt, StreamExt};
use stages::{
    Settled, Stage,
    models::{Delivery, Fault, Receipt},
};
use state::{Mark, Word};
use tokio::time::Instant;

use super::{
    super::{
        event::{self, Event},
        queue::Origin,
        write::{Write, cost},
    },
    Shard, TOGETHER_MAX,
};

impl<Stages: Stage<In = Delivery, Out = Receipt>> Shard<Stages> {
    /// Takes an event, and what else has happened already: so everything else is not asked after for every single one.
    pub(super) fn on_events(&mut self, first: Event) -> Result<(), Fault> {
        self.on_event(first)?;
        for _ in 1..TOGETHER_MAX {
            // Nothing is missed: the loop asks again, to be woken, before it waits.
            match self.events.next().now_or_never().flatten() {
                Some(event) => self.on_event(event)?,
                None => break,
            }
        }
        self.advance_stirred();
        Ok(())
    }

    fn on_event(&mut self, event: Event) -> Result<(), Fault> {
        match event {
            Event::Ran { slot, load, ended } => {
                let ended = ended?;
                self.slots[slot].on_wire -= 1;
                match self.slots[slot].queue.running_of(&load) {
                    Some(delivery) => {
                        self.events.push(event::settle(&self.ack, slot, load.clone(), delivery, ended));
                    }
                    // Cannot happen: it stays there until it is finished, below, and that comes after this.
                    None => tracing::error!(load = %Word(&load), "a delivery has ended that was not running"),
                }
                let at = &self.slots[slot];
                if at.has_more() || at.held {
                    self.stir(slot);
                } else {
                    // There is nothing to start, and its end comes: one of thousands of brokers is far off in memory.
                    at.gauge();
                }
            }
            Event::Carried { slot, load, end, succeeded } => {
                self.on_carried(slot, &load, end?, succeeded);
                self.stir(slot);
            }
            Event::GivenUp { slot, seq, end } => {
                self.on_given_up(slot, seq, end)?;
                self.stir(slot);
            }
            Event::Written { slot, write, proofs } => {
                for ((proof, share), delivery) in proofs?.into_iter().zip(write.shares).zip(&write.deliveries)
                {
                    self.slots[slot].account.written(delivery.seq);
                    if let Some(share) = share {
                        share.settle(proof);
                    }
                }
                write.marks.into_iter().for_each(Mark::clear);
                self.stir(slot);
            }
            Event::Replayed { replaying, proofs } => {
                for slot in self.on_replayed(replaying, proofs)? {
                    self.stir(slot);
                }
            }
            Event::Loaded { slot, generation, read } => {
                let read = read?;
                self.slots[slot].take_in(
                    read,
                    generation,
                    Instant::now(),
                    self.shared.brokers(),
                    &self.clock,
                );
                self.stir(slot);
            }
        }
        Ok(())
    }

    fn on_carried(&mut self, index: usize, load: &Arc<str>, end: Settled, succeeded: bool) {
        let slot = &mut self.slots[index];
        let now = Instant::now();
        if succeeded {
            slot.window = (slot.window + 1).min(slot.broker.concurrency());
        }
        slot.meter.finish(now);
        let Some(mut item) = slot.queue.finish(load) else { return };
        // Only the probe's own end gives it back: others that started before the breaker opened may end meanwhile.
        if item.delivery.progress.is_probe() {
            slot.broker.health.release_probe(now);
        }
        match end {
            Settled::Recorded(proof) => {
                self.ending.moved(now);
                match item.origin {
                    Origin::Live(share) => share.settle(proof),
                    Origin::Disk => slot.account.remove(item.delivery.seq, cost(&item)),
                }
                slot.went(load, now);
            }
            Settled::Spilled { history, not_before } => {
                item.delivery.put_back(history);
                item.not_before = not_before;
                item.rewrite = matches!(item.origin, Origin::Disk);
                let mut write = Write::default();
                let bounds = (&self.limits, self.shared.brokers());
                slot.put_back(item, now, bounds, &self.clock, &mut write);
                if self.ending.is_stopping() {
                    slot.set_aside(&self.clock, &mut write);
                }
                self.submit(index, write);
            }
        }
    }
}
