//! What a shard does when time has passed: it looks at brokers that it was to look at again, and ten times a second, at
//! those that have anything to do, it sees what operators have turned, and sends to disk what holds up the others.

use std::sync::atomic::Ordering;

use stages::{
    Stage,
    models::{Delivery, Receipt},
};
use tokio::time::Instant;

use super::{Shard, Write};

/// In how many looks around each slot at which nothing can have changed by itself is looked at once: in some ten seconds,
/// for what an operator has turned.
const QUIET_TURNS: usize = 100;

impl<Stages: Stage<In = Delivery, Out = Receipt>> Shard<Stages> {
    /// Looks at the brokers whose time has come, and at all of them if it is time for that.
    pub(super) fn on_wake(&mut self) {
        let now = Instant::now();
        while let Some(index) = self.timers.due(now) {
            self.slots[index].wake = None;
            self.advance(index);
        }
        if self.timers.look_around(now) {
            let looked_at = self.next_look();
            self.look_around(&looked_at, now);
            self.relieve(&looked_at, now);
            for index in looked_at {
                let slot = &mut self.slots[index];
                slot.shown = !slot.is_idle();
                self.active[index] = slot.is_active();
            }
        }
    }

    /// The slots to look at this time: the active ones, and of the others every hundredth. With thousands of brokers,
    /// looking at all of them would cost as much as some of the deliveries.
    fn next_look(&mut self) -> Vec<usize> {
        self.looks = self.looks.wrapping_add(1);
        let turn = self.looks % QUIET_TURNS;
        let active = self.active.iter().enumerate();
        active
            .filter(|(index, active)| **active || index % QUIET_TURNS == turn)
            .map(|(index, _)| index)
            .collect()
    }

    /// Writes down what waits, and looks at brokers that an operator has paused, resumed, disabled or enabled.
    fn look_around(&mut self, slots: &[usize], now: Instant) {
        for &index in slots {
            if self.active[index] {
                self.slots[index].gauge_oldest(now, &self.clock);
            }
            self.slots[index].tell(now);
            if self.slots[index].was_turned(now) {
                self.advance(index);
            }
        }
    }

    /// If some brokers keep up, those that do not go to disk: when memory is full and the intake is held, and when they
    /// hold the watermark.
    fn relieve(&mut self, slots: &[usize], now: Instant) {
        let pressed = self.shared.is_pressed();
        for &index in slots {
            self.give_up_surplus(index, now);
            let slot = &mut self.slots[index];
            let lags = slot.holds_watermark(&self.limits, now)
                || (pressed && (slot.lags(&self.limits, now) || slot.has_lagged(&self.limits, now)));
            slot.lagging = lags;
            // One that leaves is none of those who share the line.
            let counts = lags && !slot.broker.is_leaving();
            if counts != std::mem::replace(&mut slot.counts_as_lagging, counts) {
                let change = if counts { 1 } else { usize::MAX };
                self.shared.lagging.fetch_add(change, Ordering::Relaxed);
            }
            let behind = (lags || slot.held) && !slot.broker.is_leaving();
            if behind != std::mem::replace(&mut slot.counts_as_behind, behind) {
                let change = if behind { 1 } else { usize::MAX };
                self.shared.behind.fetch_add(change, Ordering::Relaxed);
            }
        }
        if self.shared.lagging.load(Ordering::Relaxed) >= self.shared.brokers() {
            return;
        }
        for &index in slots {
            if self.slots[index].lagging {
                let mut write = Write::default();
                self.slots[index].set_aside(&self.clock, &mut write);
                self.submit(index, write);
                self.advance(index);
            }
        }
    }
}
