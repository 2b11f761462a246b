//! What the core does when time has passed: it looks at brokers that it was to look at again, and ten times a second, at
//! those that have anything to do: it sees what operators have changed, and sends to disk what holds up the others.

use super::{at::At, core::Core, spill_batch::SpillBatch, step::Effect};

/// In how many ticks each queue at which nothing can have changed by itself is looked at once: in some ten seconds, for
/// what an operator has changed.
const QUIET_TICKS: usize = 100;

impl Core {
    /// Looks at the brokers whose time has come, and at all of them if a tick is due.
    pub(super) fn on_time_reached(&mut self, at: At<'_>, out: &mut Vec<Effect>) {
        while let Some(index) = self.timers.due(at.now) {
            self.queues[index].wake = None;
            self.mark_dirty(index);
        }
        if self.timers.tick(at.now) {
            self.tick(at, out);
        }
    }

    /// Looks at the active queues, and of the others at every hundredth. With thousands of brokers, looking at all of
    /// them would cost as much as some of the deliveries.
    fn tick(&mut self, at: At<'_>, out: &mut Vec<Effect>) {
        self.ticks = self.ticks.wrapping_add(1);
        let turn = self.ticks % QUIET_TICKS;
        let active = self.active.iter().enumerate();
        let due: Vec<usize> = active
            .filter(|(index, active)| **active || index % QUIET_TICKS == turn)
            .map(|(index, _)| index)
            .collect();
        self.show_and_follow_operators(&due, at, out);
        self.relieve(&due, at, out);
        for index in due {
            let queue = &mut self.queues[index];
            queue.shown = !queue.is_idle();
            self.active[index] = queue.is_active();
        }
    }

    /// Shows what waits, and looks at brokers that an operator has paused, resumed, disabled or enabled.
    fn show_and_follow_operators(&mut self, due: &[usize], at: At<'_>, out: &mut Vec<Effect>) {
        for &index in due {
            let queue = &mut self.queues[index];
            if self.active[index] {
                out.push(Effect::Show { queue: index, gauges: queue.gauges() });
                out.push(Effect::ShowOldest { queue: index, since: queue.oldest() });
            }
            let (state, on_disk) = (at.around.state(&queue.broker, at.now), queue.spill.deliveries());
            if let Some(news) = queue.log.follow(state, on_disk) {
                out.push(Effect::Log { queue: index, news });
            }
            if queue.operator_changed(at) {
                self.mark_dirty(index);
            }
        }
    }

    /// If some brokers keep up, those that do not go to disk: when memory is full and the intake is held, and when they
    /// hold the watermark.
    fn relieve(&mut self, due: &[usize], at: At<'_>, out: &mut Vec<Effect>) {
        let pressed = at.around.is_pressed();
        for &index in due {
            self.give_up_overflow(index, at, out);
            let queue = &mut self.queues[index];
            queue.lagging =
                queue.holds_watermark(at) || (pressed && (queue.lags(at) || queue.has_lagged(at)));
            // One that leaves is none of those who share the line.
            let shares = !at.around.is_leaving(&queue.broker);
            let (lags, behind) = (queue.lagging && shares, (queue.lagging || queue.held) && shares);
            self.counters.lagging(std::mem::replace(&mut queue.counts_as_lagging, lags), lags);
            self.counters.behind(std::mem::replace(&mut queue.counts_as_behind, behind), behind);
        }
        if self.counters.do_all_lag(at.brokers) {
            return;
        }
        for &index in due {
            if self.queues[index].lagging {
                let mut batch = SpillBatch::default();
                self.queues[index].set_aside(at, &mut batch);
                self.submit(index, batch, out);
                self.mark_dirty(index);
            }
        }
    }
}
