//! What finds no room on a full disk queue, at a broker that would rather have dead letters than hold the line: it is
//! given up, oldest first, and takes the way through the stages that every delivery takes, so that a duplicate among it
//! is one and a conflict, too.
//!
//! Guarantees: nothing is given up for which there is room, nor of a broker that takes deliveries while all of them lag,
//! which is a surge; nothing that has waited for less than `spill_after`, unless its broker is held and it takes more
//! than that one's share of memory or holds the intake; no more letters of this kind are made than `full_letters_max` bytes of them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustc_hash::FxHashMap;
use stages::{
    Settled, Stage,
    models::{Delivery, Fault, Receipt, WhenFull},
};
use state::{DeadLetters, SpillSeq};
use tokio::time::Instant;

use super::{
    event,
    limits::Limits,
    queue::{Item, Origin},
    shard::Shard,
    slot::Slot,
    write::cost,
};

/// How many bytes of one broker's deliveries are given up at a time: their letters are copies, beside the bodies.
const AT_ONCE_MAX: u64 = 4 << 20;
/// So many letters are counted in one step.
const COUNT_STEP: usize = 256;

/// What is being given up, by its number.
pub(super) type Surplus = FxHashMap<SpillSeq, Item>;

/// The bytes of letters that full disk queues have made, over all brokers.
#[derive(Debug, Default)]
pub(super) struct FullLetters {
    /// On their way to the disk.
    under_way: AtomicU64,
    /// Whether those from before this run are being counted, or have been: nobody needs to know before the first.
    counting: AtomicBool,
}

impl FullLetters {
    /// How many bytes more there may be: none while those there are have not been counted.
    fn room(&self, letters: &DeadLetters, limits: &Limits) -> u64 {
        if !self.counting.swap(true, Ordering::Relaxed) {
            let letters = letters.clone();
            let count = move || {
                while !letters.count_on(COUNT_STEP)? {}
                Ok::<(), state::StateFault>(())
            };
            // A store that cannot be read is met by whoever needs it; here it means that there is no room.
            drop(tokio::task::spawn_blocking(count));
        }
        let Some(there) = letters.queue_full_bytes() else { return 0 };
        limits.full_letters_max.saturating_sub(there + self.under_way.load(Ordering::Relaxed))
    }
}

impl Slot {
    /// Takes the oldest delivery that is to be given up now, if there is one and `room` for its letter.
    fn next_surplus(&mut self, limits: &Limits, brokers: usize, around: Around, room: u64) -> Option<Item> {
        let oldest = self.overflow.front()?;
        // There may be room: then it waits for another of its load, and goes to disk behind it.
        if cost(oldest) > room || self.account.has_room(cost(oldest)) {
            return None;
        }
        let share = (limits.in_flight_max / brokers.max(1)).max(1);
        let has_waited = around.now.saturating_duration_since(oldest.since) > limits.spill_after;
        let is_due = if self.held {
            has_waited || around.pressed || self.overflow.len() > share
        } else {
            // It takes deliveries, only too slowly: that is its own trouble if others keep up, and a surge if none does.
            has_waited && around.pressed && self.lagging && around.others_keep_up
        };
        if is_due { self.overflow.pop_front() } else { None }
    }
}

/// What goes on around a broker.
#[derive(Clone, Copy, Debug)]
struct Around {
    /// Whether backpressure holds the intake.
    pressed: bool,
    /// Whether there is a broker that is neither held nor lags.
    others_keep_up: bool,
    now: Instant,
}

impl<Stages: Stage<In = Delivery, Out = Receipt>> Shard<Stages> {
    /// Gives up what finds no room on disk, if its broker wants that.
    pub(super) fn give_up_surplus(&mut self, index: usize, now: Instant) {
        let slot = &self.slots[index];
        if slot.overflow.is_empty() || slot.broker.when_full() == WhenFull::Hold || self.is_stopping() {
            return;
        }
        let around = Around {
            pressed: self.shared.is_pressed(),
            others_keep_up: self.shared.behind.load(Ordering::Relaxed) < self.shared.brokers(),
            now,
        };
        let letters = self.ack.ledger().store().dead_letters().clone();
        let mut room = self.shared.full_letters.room(&letters, &self.limits);
        let mut under_way: u64 = slot.surplus.values().map(cost).sum();
        let (limits, brokers) = (self.limits, self.shared.brokers());
        while under_way < AT_ONCE_MAX
            && let Some(item) = self.slots[index].next_surplus(&limits, brokers, around, room)
        {
            room -= cost(&item);
            under_way += cost(&item);
            self.give_up(index, item);
        }
    }

    fn give_up(&mut self, index: usize, item: Item) {
        self.shared.full_letters.under_way.fetch_add(cost(&item), Ordering::Relaxed);
        item.delivery.progress.give_up();
        let delivery = item.delivery.clone();
        self.slots[index].surplus.insert(delivery.seq, item);
        self.events.push(event::give_up(self.stages.clone(), &self.ack, index, delivery));
    }

    /// What was given up is on record.
    pub(super) fn on_given_up(
        &mut self,
        index: usize,
        seq: SpillSeq,
        end: Result<Settled, Fault>,
    ) -> Result<(), Fault> {
        let end = end?;
        let slot = &mut self.slots[index];
        let Some(mut item) = slot.surplus.remove(&seq) else { return Ok(()) };
        self.shared.full_letters.under_way.fetch_sub(cost(&item), Ordering::Relaxed);
        match (end, item.origin) {
            (Settled::Recorded(proof), Origin::Live(share)) => {
                self.ending.moved(Instant::now());
                share.settle(proof);
            }
            // Nothing in the overflow is on disk.
            (Settled::Recorded(_), Origin::Disk) => {}
            // No stage says so of what is given up; if one did, it would wait as before.
            (Settled::Spilled { history, .. }, origin) => {
                item.origin = origin;
                item.delivery.put_back(history);
                slot.overflow.push_front(item);
            }
        }
        Ok(())
    }
}
