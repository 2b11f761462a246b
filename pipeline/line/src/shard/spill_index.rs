//! An index of what one broker has on disk, kept in step with every write so that the bounds can be asked without the
//! disk.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use rustc_hash::FxHashSet;
use state::{SpillSeq, SpillUsage};

use crate::{counters::Counters, limits::Limits, spill_capacity::SpillCapacity, spill_reader::HORIZON_STEP};

/// One broker's deliveries on disk.
///
/// Numbers grow with arrival. Those below `cursor` are in memory too, or done; those from `cursor` on, except the few
/// that memory still holds, are `unloaded`. Reading stops below the lowest number that is still being written.
#[derive(Debug)]
pub(crate) struct SpillIndex {
    counters: Arc<Counters>,
    broker_max: u64,
    total_max: u64,
    bytes: u64,
    deliveries: u64,
    /// The number the next arrival gets.
    next_seq: SpillSeq,
    /// Where reading goes on.
    pub(crate) cursor: SpillSeq,
    /// Deliveries on disk that are not in memory.
    pub(crate) unloaded: u64,
    /// Numbers being written, not yet durable, each with how often: one can be written again before its first write is
    /// durable, and what stands on disk until its last one is, is out of date.
    writing: BTreeMap<SpillSeq, u32>,
    /// Whether a read is under way.
    pub(crate) reading: bool,
    /// Numbers that left the disk since that read began: it may still bring them.
    gone: FxHashSet<SpillSeq>,
    /// The lowest number that was unloaded since that read began: it may not have seen it.
    unloaded_since: Option<SpillSeq>,
    /// Counts the times memory was emptied.
    generation: u64,
    /// Deliveries below this number may have been sent by a run of which no more is known.
    pub(crate) in_doubt_below: SpillSeq,
    /// Deliveries below this number may be sent: that is on record.
    pub(crate) horizon: SpillSeq,
}

impl SpillIndex {
    pub(crate) fn new(counters: Arc<Counters>, limits: &Limits, usage: SpillUsage, doubt: SpillSeq) -> Self {
        counters.spill(usage.deliveries, usage.bytes);
        Self {
            counters,
            broker_max: limits.spill_broker_max,
            total_max: limits.spill_total_max,
            bytes: usage.bytes,
            deliveries: usage.deliveries,
            // Above the doubt that an earlier run has left, so that no new delivery is taken for one of its own.
            next_seq: usage.next_seq.max(doubt),
            cursor: 0,
            unloaded: usage.deliveries,
            writing: BTreeMap::new(),
            reading: false,
            gone: FxHashSet::default(),
            unloaded_since: None,
            generation: 0,
            in_doubt_below: doubt,
            horizon: 0,
        }
    }

    /// How many deliveries are on disk.
    pub(crate) fn deliveries(&self) -> u64 {
        self.deliveries
    }

    /// The bytes they take, estimated.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The bytes of one of them, on an average.
    pub(crate) fn mean(&self) -> usize {
        let mean = self.bytes.checked_div(self.deliveries).unwrap_or_default();
        usize::try_from(mean).unwrap_or(usize::MAX)
    }

    /// The number of the next arrival.
    pub(crate) fn number(&mut self) -> SpillSeq {
        self.next_seq += 1;
        self.next_seq - 1
    }

    fn capacity(&self) -> SpillCapacity {
        let total = self.counters.spilled_bytes();
        SpillCapacity { queue: self.bytes, queue_max: self.broker_max, total, total_max: self.total_max }
    }

    /// Whether `bytes` more fit on disk.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        self.capacity().has_room(bytes)
    }

    /// Whether a dead letter of `bytes` may come back.
    pub(crate) fn has_room_for_letter(&self, bytes: u64) -> bool {
        self.capacity().has_room_for_letter(bytes, self.deliveries == 0)
    }

    /// A delivery of `bytes` goes to disk.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.deliveries += 1;
        self.counters.spill(1, bytes);
    }

    /// Delivery `seq` of `bytes` has left the disk. Costs are estimates, so the last one takes all that is left.
    pub(crate) fn remove(&mut self, seq: SpillSeq, bytes: u64) {
        if self.reading {
            self.gone.insert(seq);
        }
        self.deliveries = self.deliveries.saturating_sub(1);
        let bytes = if self.deliveries == 0 { self.bytes } else { bytes.min(self.bytes) };
        self.bytes -= bytes;
        self.counters.unspill(bytes);
    }

    /// A delivery on disk is no longer in memory and must be read again.
    pub(crate) fn unload(&mut self, seq: SpillSeq) {
        self.unloaded += 1;
        self.cursor = self.cursor.min(seq);
        self.unloaded_since = Some(self.unloaded_since.map_or(seq, |lowest| lowest.min(seq)));
    }

    /// `seq` is on disk, or goes there, and may be sent from memory: gives the number below which that has to be put on
    /// record with it, if it is not on record yet.
    pub(crate) fn may_send(&mut self, seq: SpillSeq) -> Option<SpillSeq> {
        (seq >= self.horizon).then(|| {
            self.horizon = seq + HORIZON_STEP;
            self.horizon
        })
    }

    /// A read of up to the readable end begins; it is void if memory is emptied before it is done.
    pub(crate) fn begin_read(&mut self) -> u64 {
        self.reading = true;
        self.unloaded_since = None;
        self.generation
    }

    /// That read is done, and the next one begins at `cursor`, or below it at what came to disk meanwhile. Gives the
    /// numbers that left the disk meanwhile, or nothing if the read is void.
    pub(crate) fn end_read(&mut self, generation: u64, cursor: SpillSeq) -> Option<FxHashSet<SpillSeq>> {
        self.reading = false;
        let gone = std::mem::take(&mut self.gone);
        if generation != self.generation {
            return None;
        }
        self.cursor = self.unloaded_since.map_or(cursor, |lowest| lowest.min(cursor));
        Some(gone)
    }

    /// Memory is being emptied: a read under way is void.
    pub(crate) fn void_reads(&mut self) {
        self.generation += 1;
    }

    /// `seq` is being written; nothing from it on is read until it is [`written`](Self::written).
    pub(crate) fn writing(&mut self, seq: SpillSeq) {
        *self.writing.entry(seq).or_default() += 1;
    }

    /// One write of `seq` is durable.
    pub(crate) fn written(&mut self, seq: SpillSeq) {
        if let Entry::Occupied(mut times) = self.writing.entry(seq) {
            *times.get_mut() -= 1;
            if *times.get() == 0 {
                times.remove();
            }
        }
    }

    /// The numbers that may be read: from the cursor up to the first that is being written.
    pub(crate) fn readable(&self) -> std::ops::Range<SpillSeq> {
        self.cursor..self.writing.first_key_value().map_or(self.next_seq, |(first, _)| *first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::limits;

    fn shared() -> Arc<Counters> {
        Arc::default()
    }

    fn account(shared: &Arc<Counters>, usage: SpillUsage, horizon: SpillSeq) -> SpillIndex {
        let limits = Limits { spill_broker_max: 100, spill_total_max: 150, ..limits() };
        SpillIndex::new(shared.clone(), &limits, usage, horizon)
    }

    #[test]
    fn a_broker_fills_its_own_share_and_all_of_them_the_whole() {
        let shared = shared();
        let mut one = account(&shared, SpillUsage { deliveries: 2, bytes: 90, next_seq: 7 }, 0);
        let mut other = account(&shared, SpillUsage::default(), 0);
        assert!(one.has_room(10) && !one.has_room(11), "its own share");
        assert!(other.has_room(60) && !other.has_room(61), "what is left of the whole");
        other.add(60);
        assert!(!one.has_room(1) && !other.has_room(1));
        one.remove(0, 50);
        assert!(one.has_room(50) && other.has_room(40) && !other.has_room(41));
        assert_eq!(shared.spilled(), 2);
        one.remove(1, 1);
        assert!(one.has_room(90), "the last one takes what the estimates have left");
        assert_eq!(shared.spilled_bytes(), 60);
    }

    #[test]
    fn letters_leave_half_of_the_room_to_what_comes() {
        let shared = shared();
        let mut one = account(&shared, SpillUsage::default(), 0);
        let mut other = account(&shared, SpillUsage::default(), 0);
        assert!(one.has_room_for_letter(100), "nothing else waits");
        one.add(30);
        assert!(one.has_room_for_letter(20) && !one.has_room_for_letter(21), "half of its own share");
        other.add(30);
        assert!(one.has_room_for_letter(15) && !one.has_room_for_letter(16), "half of the whole");
        assert!(one.has_room(70), "what comes may have all");
    }

    #[test]
    fn numbers_go_on_above_the_disk_and_above_what_an_earlier_run_may_have_sent() {
        let usage = SpillUsage { deliveries: 1, bytes: 1, next_seq: 7 };
        assert_eq!(account(&shared(), usage, 3).number(), 7);
        let mut account = account(&shared(), usage, 30);
        assert_eq!((account.number(), account.number(), account.in_doubt_below), (30, 31, 30));
    }

    #[test]
    fn what_may_be_sent_from_memory_is_put_on_record_once_for_many() {
        let mut account = account(&shared(), SpillUsage::default(), 30);
        assert_eq!(account.may_send(30), Some(30 + HORIZON_STEP));
        assert_eq!((account.may_send(31), account.may_send(30 + HORIZON_STEP - 1)), (None, None));
        assert_eq!(account.may_send(30 + HORIZON_STEP), Some(30 + 2 * HORIZON_STEP));
    }

    #[test]
    fn reading_stops_below_the_first_that_is_being_written() {
        let mut account = account(&shared(), SpillUsage { deliveries: 9, bytes: 9, next_seq: 9 }, 0);
        assert_eq!(account.readable(), 0..9);
        account.writing(6);
        account.writing(4);
        assert_eq!(account.readable(), 0..4);
        account.written(4);
        assert_eq!(account.readable(), 0..6);
        account.written(6);
        assert_eq!(account.readable(), 0..9);
    }

    #[test]
    fn what_is_written_twice_is_read_after_the_second_time() {
        let mut account = account(&shared(), SpillUsage { deliveries: 9, bytes: 9, next_seq: 9 }, 0);
        account.writing(4);
        account.writing(4);
        account.written(4);
        assert_eq!(account.readable(), 0..4, "the first writing is out of date");
        account.written(4);
        assert_eq!(account.readable(), 0..9);
    }

    #[test]
    fn a_read_is_void_once_memory_was_emptied_and_misses_nothing_that_came_meanwhile() {
        let mut account = account(&shared(), SpillUsage { deliveries: 9, bytes: 9, next_seq: 9 }, 0);
        let generation = account.begin_read();
        account.remove(2, 1);
        account.unload(5);
        assert_eq!(account.end_read(generation, 9), Some([2].into_iter().collect()));
        assert_eq!(account.cursor, 5, "what came to disk meanwhile is read by the next");
        let generation = account.begin_read();
        account.void_reads();
        assert_eq!((account.end_read(generation, 9), account.cursor, account.reading), (None, 5, false));
        let generation = account.begin_read();
        assert_eq!((account.end_read(generation, 9), account.cursor), (Some(FxHashSet::default()), 9));
    }
}
