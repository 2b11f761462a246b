//! What finds no room on a full disk queue, at a broker that would rather have dead letters than hold the line: it is
//! given up, oldest first, and takes the way through the stages that every delivery takes, so that a duplicate among it
//! is one and a conflict, too.
//!
//! Guarantees: nothing is given up for which there is room, nor of a broker that takes deliveries while all of them lag,
//! which is a surge; nothing that has waited for less than `spill_after`, unless its broker is held and it takes more
//! than that one's share of memory or holds the intake; no more letters of this kind are made than `full_letters_max`
//! bytes of them; nothing of a load before what is earlier of it. Nothing later of a load is started or goes to disk while an earlier one of it is being given up: if the
//! process ended then, the earlier one would be read again and come after it.

use stages::WhenFull;
use state::SpillSeq;

use super::{
    at::At,
    broker_queue::BrokerQueue,
    core::Core,
    events::finish,
    load_queues::Item,
    spill_batch::cost,
    step::{Effect, GivenUp},
};

/// How many bytes of one broker's deliveries are given up at a time: their letters are copies, beside the bodies.
const AT_ONCE_MAX: u64 = 4 << 20;

impl BrokerQueue {
    /// Takes the oldest delivery that is to be given up now, if there is one and `room` for its letter; `others_keep_up`
    /// if there is a broker that is neither held nor lags. One behind an earlier one of its load that is in memory, and
    /// that only the source vouches for, is passed by: the ledger does not know of that one yet, so a copy of it would be
    /// taken for the event itself.
    fn next_to_give_up(&mut self, at: At<'_>, others_keep_up: bool, room: u64) -> Option<Item> {
        let is_first = |item: &Item| !self.loads.holds_live(&item.delivery.event().load_id);
        let index = self.overflow.iter().position(is_first)?;
        let oldest = &self.overflow[index];
        // There may be room: then it waits for another of its load, and goes to disk behind it.
        if cost(oldest) > room || self.spill.has_room(cost(oldest)) {
            return None;
        }
        let share = (at.limits.in_flight_max / at.brokers.max(1)).max(1);
        let has_waited = at.now.saturating_duration_since(oldest.since) > at.limits.spill_after;
        let is_due = if self.held {
            has_waited || self.overflow.len() > share || at.around.is_pressed()
        } else {
            // It takes deliveries, only too slowly: that is its own trouble if others keep up, and a surge if none does.
            has_waited && self.lagging && others_keep_up && at.around.is_pressed()
        };
        if is_due { self.overflow.remove(index) } else { None }
    }
}

impl Core {
    /// Gives up what finds no room on disk, if its broker wants that.
    pub(super) fn give_up_overflow(&mut self, index: usize, at: At<'_>, out: &mut Vec<Effect>) {
        let queue = &mut self.queues[index];
        if queue.overflow.is_empty()
            || at.around.when_full(&queue.broker) == WhenFull::Hold
            || self.phase.is_stopping()
        {
            return;
        }
        let others_keep_up = self.counters.does_one_keep_up(at.brokers);
        let mut room = at.around.full_letters_room();
        let mut under_way: u64 = queue.giving_up.bytes();
        while under_way < AT_ONCE_MAX
            && let Some(mut item) = queue.next_to_give_up(at, others_keep_up, room)
        {
            let bytes = cost(&item);
            room -= bytes;
            under_way += bytes;
            self.counters.give_up(bytes);
            item.delivery.given_up = true;
            let delivery = item.delivery.clone();
            queue.giving_up.insert(item);
            out.push(Effect::GiveUp { queue: index, delivery });
        }
    }

    /// What was given up is on record.
    pub(super) fn on_given_up(
        &mut self,
        index: usize,
        seq: SpillSeq,
        end: GivenUp,
        at: At<'_>,
        out: &mut Vec<Effect>,
    ) {
        self.mark_dirty(index);
        let queue = &mut self.queues[index];
        let Some(mut item) = queue.giving_up.remove(seq) else { return };
        self.counters.given_up(cost(&item));
        match end {
            GivenUp::Recorded(proof) => {
                self.phase.progressed(at.now);
                out.push(finish(item, proof));
            }
            // No stage says so of what is given up; if one did, it would wait as before.
            GivenUp::PutBack { history, left } => {
                item.delivery.given_up = false;
                item.delivery.put_back(history, left);
                if self.moving.is_lost(&item) {
                    out.push(Effect::Abandon(vec![item]));
                    return;
                }
                queue.overflow.push_front(item);
                self.clear_out(index, at, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use state::SpillUsage;
    use tokio::time::Instant;

    use super::*;
    use crate::{
        limits::Limits,
        shard::{spill_batch::SpillBatch, spill_index::SpillIndex},
        testing::{at, broker, item, limits},
    };

    #[test]
    fn what_is_given_up_is_on_record_before_the_next_of_its_load_starts_or_goes_to_disk() {
        let (limits, now) = (limits(), Instant::now());
        let at = at(&limits, 1, now);
        let index = SpillIndex::new(Arc::default(), &limits, SpillUsage::default(), 0);
        let (mut queue, mut batch) = (BrokerQueue::new(broker(), index, now), SpillBatch::default());
        queue.giving_up.insert(item("a", 0));
        queue.arrive(item("a", 1), at, &mut batch);
        queue.arrive(item("b", 2), at, &mut batch);
        for held in [true, false] {
            queue.held = held;
            queue.relieve_overflow(at, &mut batch);
            assert!(batch.deliveries.iter().all(|delivery| delivery.seq == 2), "held: {held}");
            assert!(queue.start(at).is_none_or(|delivery| delivery.seq == 2), "held: {held}");
        }
        assert!(queue.giving_up.remove(0).is_some());
        queue.relieve_overflow(at, &mut batch);
        assert!(batch.deliveries.iter().any(|delivery| delivery.seq == 1), "behind what has gone to disk");
    }
    #[test]
    fn what_is_behind_an_earlier_one_of_its_load_in_memory_is_not_given_up_before_it() {
        let limits = Limits { spill_broker_max: 0, ..limits() };
        let index = SpillIndex::new(Arc::default(), &limits, SpillUsage::default(), 0);
        let mut queue = BrokerQueue::new(broker(), index, Instant::now());
        queue.held = true;
        queue.loads.push(item("a", 0));
        for (load, seq) in [("a", 1), ("b", 2), ("a", 3)] {
            queue.overflow.push_back(item(load, seq));
        }
        let at = at(&limits, 1, Instant::now() + 2 * limits.spill_after);
        let next =
            |queue: &mut BrokerQueue| queue.next_to_give_up(at, true, u64::MAX).map(|item| item.delivery.seq);
        assert_eq!((next(&mut queue), next(&mut queue)), (Some(2), None));
        queue.set_aside(at, &mut SpillBatch::default());
        assert_eq!([(); 4].map(|()| next(&mut queue)), [Some(0), Some(1), Some(3), None]);
    }
}
