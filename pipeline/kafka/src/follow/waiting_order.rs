//! In which order the deliveries of a topic are given back, without holding their bodies: those of one load in the order
//! of their source, although one that was tried again stands behind later ones in the topic. Pure.
//!
//! What is held: some hundred bytes for each delivery that waits, and bodies up to a bound. What does not fit is passed over,
//! and comes with the next reading of the topic.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use state::{Position, Restored, SpilledDelivery};

use super::record::WaitingKey;

/// Which deliveries wait, as far as the topic has been read.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    waiting: HashMap<WaitingKey, Entry>,
    lanes: RandomState,
}

/// A delivery that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    /// Its broker and load.
    lane: u64,
    /// Where its event stands in the source.
    at: (u64, u64, Option<u32>),
    /// Where it stands in the topic.
    offset: u64,
}

impl Survey {
    /// A delivery stands at `offset`, and replaces what had its name before.
    pub(crate) fn put(&mut self, key: WaitingKey, delivery: &SpilledDelivery, offset: u64) {
        let position = &delivery.event.position;
        let lane = lane(&self.lanes, delivery);
        let _before = self.waiting.insert(key, Entry { lane, at: place(position), offset });
    }

    /// The delivery of this name waits no longer.
    pub(crate) fn done(&mut self, key: &WaitingKey) {
        let _was_there = self.waiting.remove(key);
    }

    /// All of them, to be given in order; of those only if `left` says so.
    pub(crate) fn order(self, left: Option<&WaitingOrder>, buffer_max: usize) -> WaitingOrder {
        let mut entries: Vec<_> = self.waiting.into_values().collect();
        if let Some(left) = left {
            entries.retain(|entry| left.is_left(entry));
        }
        entries.sort_unstable();
        let given = vec![false; entries.len()];
        let left = entries.len();
        WaitingOrder { entries, given, left, lanes: self.lanes, held: HashMap::new(), bytes: 0, buffer_max }
    }
}

/// Gives deliveries back in their order.
#[derive(Debug)]
pub(crate) struct WaitingOrder {
    /// By lane, in it by place.
    entries: Vec<Entry>,
    given: Vec<bool>,
    left: usize,
    lanes: RandomState,
    /// Those whose turn has not come, by index.
    held: HashMap<usize, Box<SpilledDelivery>>,
    bytes: usize,
    buffer_max: usize,
}

impl WaitingOrder {
    /// How many are still to be given.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// How lanes are told apart, for another survey of the same deliveries.
    pub(crate) fn again(&self) -> Survey {
        Survey { waiting: HashMap::new(), lanes: self.lanes.clone() }
    }

    /// Begins another reading of the topic.
    pub(crate) fn rewind(&mut self) {
        self.held.clear();
        self.bytes = 0;
    }

    /// A delivery was read at `offset`; what is to be given now, in this order, is put into `ready`.
    pub(crate) fn read(&mut self, delivery: Box<SpilledDelivery>, offset: u64, ready: &mut Vec<Restored>) {
        let position = &delivery.event.position;
        let (lane, at) = (lane(&self.lanes, &delivery), place(position));
        let Ok(mut index) = self.entries.binary_search(&Entry { lane, at, offset }) else { return };
        if self.given[index] {
            return;
        }
        if !self.is_turn(index) {
            let bytes = delivery.event.body.len();
            if self.bytes + bytes <= self.buffer_max {
                self.bytes += bytes;
                let _before = self.held.insert(index, delivery);
            }
            return;
        }
        let mut next = Some(delivery);
        while let Some(delivery) = next {
            ready.push(Restored::Waiting(delivery));
            self.given[index] = true;
            self.left -= 1;
            index += 1;
            let is_same = self.entries.get(index).is_some_and(|entry| entry.lane == lane);
            next = self.held.remove(&index).filter(|_| is_same);
            self.bytes -= next.as_ref().map_or(0, |delivery| delivery.event.body.len());
        }
    }

    /// Whether everything before it in its lane has been given.
    fn is_turn(&self, index: usize) -> bool {
        let before = index.checked_sub(1);
        before
            .is_none_or(|before| self.given[before] || self.entries[before].lane != self.entries[index].lane)
    }

    fn is_left(&self, entry: &Entry) -> bool {
        let from = self.entries.partition_point(|known| (known.lane, known.at) < (entry.lane, entry.at));
        self.entries
            .get(from)
            .is_some_and(|known| (known.lane, known.at) == (entry.lane, entry.at) && !self.given[from])
    }
}

/// Where an event stands in its partition.
fn place(position: &Position) -> (u64, u64, Option<u32>) {
    (position.epoch, position.offset, position.index)
}

fn lane(lanes: &RandomState, delivery: &SpilledDelivery) -> u64 {
    lanes.hash_one((&delivery.broker, &delivery.event.load_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::follow::testing::waiting;

    /// Reads `log` (load, offset in the source) as often as needed; what is given, and how often it was read.
    fn given(log: &[(&str, u64)], done: &[u64], buffer_max: usize) -> (Vec<(String, u64)>, u32) {
        let delivery = |(load, at): &(&str, u64)| waiting("b", load, *at, b"0123456789");
        let mut survey = Survey::default();
        for (offset, record) in (0..).zip(log) {
            let delivery = delivery(record);
            survey.put(WaitingKey::new("b", &delivery.event.position), &delivery, offset);
        }
        for at in done {
            survey.done(&WaitingKey::new("b", &waiting("b", "l", *at, b"").event.position));
        }
        let (mut order, mut all, mut times) = (survey.order(None, buffer_max), Vec::new(), 0);
        while order.left() > 0 && times < 10 {
            order.rewind();
            times += 1;
            for (offset, record) in (0..).zip(log) {
                let mut ready = Vec::new();
                order.read(Box::new(delivery(record)), offset, &mut ready);
                all.extend(ready.iter().map(place));
            }
        }
        (all, times)
    }

    fn place(given: &Restored) -> (String, u64) {
        let Restored::Waiting(delivery) = given else { unreachable!("only what waits") };
        (delivery.event.load_id.to_string(), delivery.event.position.offset)
    }

    fn of(load: &str, all: &[(String, u64)]) -> Vec<u64> {
        all.iter().filter(|(of, _)| of == load).map(|(_, at)| *at).collect()
    }

    #[test]
    fn one_that_was_tried_again_comes_before_the_later_ones_of_its_load() {
        let log = [("x", 1), ("x", 2), ("y", 3), ("x", 5), ("x", 1), ("y", 6)];
        let (all, times) = given(&log, &[], 1_000);
        assert_eq!((of("x", &all), of("y", &all), times), (vec![1, 2, 5], vec![3, 6], 1));
        assert_eq!(all[0], ("y".to_owned(), 3), "nobody waits for another load");
        // Without room the topic is read again.
        let (all, times) = given(&log, &[], 10);
        assert_eq!((of("x", &all), of("y", &all), times), (vec![1, 2, 5], vec![3, 6], 2));
        let (all, times) = given(&log, &[], 0);
        assert_eq!((of("x", &all), times), (vec![1, 2, 5], 2));
    }

    #[test]
    fn what_is_done_is_not_given() {
        let (all, _) = given(&[("x", 1), ("x", 2), ("x", 3), ("x", 1)], &[1, 3], 1_000);
        assert_eq!(of("x", &all), [2]);
    }

    #[test]
    fn what_has_moved_meanwhile_is_found_by_another_survey() {
        let delivery = |at| waiting("b", "x", at, b"");
        let key = |at| WaitingKey::new("b", &delivery(at).event.position);
        let mut survey = Survey::default();
        survey.put(key(1), &delivery(1), 0);
        survey.put(key(2), &delivery(2), 1);
        let (mut order, mut ready) = (survey.order(None, 100), Vec::new());
        order.read(Box::new(delivery(1)), 0, &mut ready);
        // Compaction has removed the second, which stands at 7 now; 9 is somebody else's.
        let mut again = order.again();
        for (at, offset) in [(1, 6), (2, 7), (9, 8)] {
            again.put(key(at), &delivery(at), offset);
        }
        let mut order = again.order(Some(&order), 100);
        for (at, offset) in [(1, 6), (2, 7), (9, 8)] {
            order.read(Box::new(delivery(at)), offset, &mut ready);
        }
        let given: Vec<_> = ready.iter().map(|given| place(given).1).collect();
        assert_eq!((given, order.left()), (vec![1, 2], 0));
    }
}
