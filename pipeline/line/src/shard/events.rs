//! What the core does when something it has asked for has come to its end: an attempt, a record, a write.
//!
//! Guarantees: a share is settled only with the proof that its delivery's end is on record, or that it is on disk; a
//! delivery that has to wait goes back in front of its load.

use std::sync::Arc;

use stages::models::{Leftover, RunState, Verdict};
use state::{History, Outcome, Recorded, Word};
use tokio::time::Instant;

use super::{
    at::At,
    core::Core,
    load_queues::{Backing, Item},
    spill_batch::{SpillBatch, cost},
    step::{AttemptEnd, Effect},
};

impl Core {
    pub(super) fn on_attempt_done(
        &mut self,
        index: usize,
        load: &Arc<str>,
        end: AttemptEnd,
        at: At<'_>,
        out: &mut Vec<Effect>,
    ) {
        let queue = &mut self.queues[index];
        queue.on_wire -= 1;
        let Some(item) = queue.loads.running_item(load) else {
            // Cannot happen: it stays there until it is finished, and that comes after this.
            tracing::error!(load = %Word(load), "a delivery has ended that was not running");
            return;
        };
        let end = match end {
            AttemptEnd::Verdict(end) => end,
            AttemptEnd::PutBack { history, not_before, left } => {
                return self.put_back(index, load, (history, not_before, left), at, out);
            }
            // It was copied to disk after it had begun: the entry is its own.
            AttemptEnd::FoundSpilled { left } if item.delivery.on_disk => {
                let history = item.delivery.history.clone();
                return self.put_back(index, load, (history, None, left), at, out);
            }
            AttemptEnd::FoundSpilled { left } => {
                item.delivery.run = Arc::new(RunState::after(left));
                Err(Verdict::Duplicate { of: Outcome::Spilled })
            }
        };
        // From here on it is not copied to disk any more.
        item.recording = true;
        let delivery = item.delivery.clone();
        out.push(Effect::Record { queue: index, delivery, end });
        let queue = &self.queues[index];
        if queue.has_more() || queue.held {
            self.mark_dirty(index);
        } else {
            // There is nothing to start, and its end comes: one of thousands of brokers is far off in memory.
            out.push(Effect::Show { queue: index, gauges: queue.gauges() });
        }
    }

    /// A delivery has to wait for another attempt.
    fn put_back(
        &mut self,
        index: usize,
        load: &Arc<str>,
        (history, not_before, left): (History, Option<Instant>, Leftover),
        at: At<'_>,
        out: &mut Vec<Effect>,
    ) {
        self.mark_dirty(index);
        let queue = &mut self.queues[index];
        queue.completions.finish(at.now);
        let Some(mut item) = queue.loads.finish(load) else { return };
        item.delivery.probe = false;
        item.delivery.put_back(history, left);
        item.not_before = not_before;
        item.rewrite = matches!(item.backing, Backing::Disk);
        out.extend(self.moving.ended(&item).map(Effect::Quiet));
        let queue = &mut self.queues[index];
        if self.moving.is_lost(&item) {
            queue.finished(load, at.now);
            out.push(Effect::Abandon(vec![item]));
            return;
        }
        let mut batch = SpillBatch::default();
        if queue.is_leaving(&item) {
            queue.put_back_leaving(item, at, &mut batch);
        } else {
            queue.put_back(item, at, &mut batch);
        }
        if self.phase.is_stopping() {
            queue.set_aside(at, &mut batch);
        }
        self.submit(index, batch, out);
    }

    pub(super) fn on_recorded(
        &mut self,
        index: usize,
        load: &Arc<str>,
        succeeded: bool,
        proof: Recorded,
        at: At<'_>,
        out: &mut Vec<Effect>,
    ) {
        self.mark_dirty(index);
        let queue = &mut self.queues[index];
        if succeeded {
            queue.window = (queue.window + 1).min(at.around.concurrency(&queue.broker));
        }
        queue.completions.finish(at.now);
        let Some(item) = queue.loads.finish(load) else { return };
        self.phase.progressed(at.now);
        if matches!(item.backing, Backing::Disk) {
            queue.spill.remove(item.delivery.seq, cost(&item));
        }
        queue.finished(load, at.now);
        out.extend(self.moving.ended(&item).map(Effect::Quiet));
        out.push(finish(item, proof));
    }

    pub(super) fn on_written(
        &mut self,
        index: usize,
        batch: SpillBatch,
        proofs: Vec<Recorded>,
        out: &mut Vec<Effect>,
    ) {
        self.mark_dirty(index);
        let SpillBatch { deliveries, shares, unloaded, marks, .. } = batch;
        for ((proof, share), delivery) in proofs.into_iter().zip(shares).zip(&deliveries) {
            self.queues[index].spill.written(delivery.seq);
            if let Some(share) = share {
                out.push(Effect::Settle { share, proof });
            }
        }
        out.extend(marks.into_iter().map(Effect::ClearMark));
        out.extend(unloaded.into_iter().map(|item| Effect::Free(item.permit)));
    }
}

/// What is left to do for `item`, whose end is on record.
pub(super) fn finish(item: Item, proof: Recorded) -> Effect {
    let share = match item.backing {
        Backing::Source(share) => Some(share),
        Backing::Disk => None,
    };
    Effect::Finish { share, permit: item.permit, proof }
}
