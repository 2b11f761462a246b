//! Loads of one broker that wait for their own next attempt with all that is theirs on disk. They hold no place in
//! memory, and reading back goes past them, so that however many wait, the others are read.
//!
//! Guarantees: of a load that is here, every number on disk that reading has passed is listed, and is read in the order
//! of the numbers; none of a load that is frozen, because a partition is leaving, is read. Pure data: no clock, no disk. Bounded by whoever adds, see [`numbers_max`].

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use rustc_hash::{FxHashMap, FxHashSet};
use state::SpillSeq;
use tokio::time::Instant;

/// How many numbers all brokers may have listed: some 100 MB if each is of a load of its own, 20 MB if not.
const ALL_MAX: usize = 1_000_000;
/// How many each may have in any case, however many brokers there are.
const EACH_MIN: usize = 1_024;

/// How many numbers one of so many brokers may have listed. At the bound reading stops until one of them is done.
pub(crate) fn numbers_max(brokers: usize) -> usize {
    (ALL_MAX / brokers.max(1)).max(EACH_MIN)
}

/// A delivery on disk, by its load and its number.
pub(crate) type Listed = (Arc<str>, SpillSeq);

/// One load.
#[derive(Debug, Default)]
struct Wait {
    numbers: BTreeSet<SpillSeq>,
    /// When the first of them may be read; none while one of its load is in memory.
    due: Option<Instant>,
    /// How often the first has been tried.
    attempts: u32,
    /// Whether the last one of its load that was tried has come to its end: then several may be read at once.
    moves: bool,
    /// For how many partitions it is frozen.
    frozen: usize,
}

/// The loads.
#[derive(Debug, Default)]
pub(crate) struct Deferred {
    loads: FxHashMap<Arc<str>, Wait>,
    /// Of those that are not frozen.
    due: BTreeSet<(Instant, Arc<str>)>,
    /// Partitions, each with a load that is frozen for it.
    frozen: BTreeSet<(Arc<str>, Arc<str>)>,
    numbers: usize,
    /// Their names, for a read that runs meanwhile.
    names: Arc<FxHashSet<Arc<str>>>,
}

impl Deferred {
    /// How many numbers are listed.
    pub(crate) fn len(&self) -> usize {
        self.numbers
    }

    /// Whether this load is here.
    pub(crate) fn holds(&self, load: &Arc<str>) -> bool {
        self.loads.contains_key(load)
    }

    /// Whether this number of this load is listed.
    pub(crate) fn lists(&self, load: &Arc<str>, seq: SpillSeq) -> bool {
        self.loads.get(load).is_some_and(|wait| wait.numbers.contains(&seq))
    }

    /// The names of all loads that are here.
    pub(crate) fn names(&self) -> Arc<FxHashSet<Arc<str>>> {
        self.names.clone()
    }

    /// `load` waits until `due`, with these numbers, of which the first has been tried so often.
    pub(crate) fn defer(
        &mut self,
        load: &Arc<str>,
        numbers: impl IntoIterator<Item = SpillSeq>,
        due: Instant,
        attempts: u32,
    ) {
        numbers.into_iter().for_each(|seq| self.list(load, seq));
        if let Some(wait) = self.loads.get_mut(load) {
            (wait.attempts, wait.moves) = (attempts, false);
        }
        self.set_due(load, Some(due));
    }

    /// Lists another number of `load`; when it is due does not change.
    pub(crate) fn list(&mut self, load: &Arc<str>, seq: SpillSeq) {
        if !self.loads.contains_key(load) {
            Arc::make_mut(&mut self.names).insert(load.clone());
        }
        let wait = self.loads.entry(load.clone()).or_default();
        self.numbers += usize::from(wait.numbers.insert(seq));
    }

    /// Notes how often `seq` has been tried, if it is the first of `load`.
    pub(crate) fn tried(&mut self, load: &Arc<str>, seq: SpillSeq, attempts: u32) {
        if let Some(wait) = self.loads.get_mut(load).filter(|wait| wait.numbers.first() == Some(&seq)) {
            wait.attempts = attempts;
        }
    }

    /// The next one of `load` may be read from `at` on, if none of it is in memory any more; `moved` if the one before
    /// has come to its end.
    pub(crate) fn go_on(&mut self, load: &Arc<str>, at: Instant, moved: bool) {
        let Some(wait) = self.loads.get_mut(load) else { return };
        wait.moves |= moved;
        if wait.due.is_none() {
            self.set_due(load, Some(at));
        }
    }

    /// What may be read by now, at most so many: the first of each load, and further ones of a load that moves. Nothing
    /// from number `below` on.
    pub(crate) fn due(&self, now: Instant, below: SpillSeq, most: usize) -> Vec<Listed> {
        let loads = self.due.iter().take_while(|(at, _)| *at <= now).map(|(_, load)| load);
        let of = |load: &Arc<str>| {
            let (wait, load) = (&self.loads[load], load.clone());
            let several = if wait.moves { most } else { 1 };
            let readable = wait.numbers.iter().take_while(move |seq| **seq < below);
            readable.take(several).map(move |seq| (load.clone(), *seq))
        };
        loads.flat_map(of).take(most).collect()
    }

    /// The first of the load that has been tried least, of those that may be read by now and have been tried less than so
    /// often; visits every load that is due.
    pub(crate) fn least_tried(&self, now: Instant, below: SpillSeq, than: u32) -> Option<Listed> {
        if than == 0 {
            return None;
        }
        let loads = self.due.iter().take_while(|(at, _)| *at <= now).map(|(_, load)| load);
        let first = |load| {
            let wait = &self.loads[load];
            let seq = wait.numbers.first().filter(|seq| **seq < below)?;
            (wait.attempts < than).then_some((wait.attempts, load, *seq))
        };
        let least = loads.filter_map(first).min_by_key(|(attempts, ..)| *attempts);
        least.map(|(_, load, seq)| (load.clone(), seq))
    }

    /// When the first of `load` may be read; none while one of its load is in memory.
    pub(crate) fn due_of(&self, load: &Arc<str>) -> Option<Instant> {
        self.loads.get(load)?.due
    }

    /// Takes a number out, because it has come into memory; false if it is not its turn any more. Until it
    /// [goes on](Self::go_on), no more of its load is due.
    pub(crate) fn take(&mut self, (load, seq): &Listed, now: Instant) -> bool {
        let Some(wait) = self.loads.get_mut(load) else { return false };
        // Those of a load that moves come several at once, of which the first has stopped the clock.
        let is_turn = wait.due.map_or(wait.moves, |due| due <= now);
        if !is_turn || wait.frozen > 0 || wait.numbers.first() != Some(seq) {
            return false;
        }
        self.forget((load, *seq));
        true
    }

    /// Takes a number out whatever its turn; a load with none left is not here any more.
    pub(crate) fn forget(&mut self, (load, seq): (&Arc<str>, SpillSeq)) {
        self.set_due(load, None);
        let Some(wait) = self.loads.get_mut(load) else { return };
        self.numbers -= usize::from(wait.numbers.remove(&seq));
        if wait.numbers.is_empty() {
            if wait.frozen > 0 {
                self.frozen.retain(|(_, frozen)| frozen != load);
            }
            self.loads.remove(load);
            Arc::make_mut(&mut self.names).remove(load);
        }
    }

    /// None of `load` is read, whatever its turn, until `partition` [thaws](Self::thaw).
    pub(crate) fn freeze(&mut self, partition: &Arc<str>, load: &Arc<str>) {
        let Some(wait) = self.loads.get_mut(load) else { return };
        if self.frozen.insert((partition.clone(), load.clone())) {
            wait.frozen += 1;
            if let Some(at) = wait.due {
                self.due.remove(&(at, load.clone()));
            }
        }
    }

    /// Loads that were frozen for `partition` go on, each in its turn. Whether there were any.
    pub(crate) fn thaw(&mut self, partition: &Arc<str>) -> bool {
        let from = (partition.clone(), Arc::from(""));
        let of = self.frozen.range(from..).take_while(|(frozen, _)| frozen == partition);
        let thawed: Vec<_> = of.cloned().collect();
        for frozen in &thawed {
            self.frozen.remove(frozen);
            let load = &frozen.1;
            let Some(wait) = self.loads.get_mut(load) else { continue };
            wait.frozen -= 1;
            if wait.frozen == 0
                && let Some(at) = wait.due
            {
                self.due.insert((at, load.clone()));
            }
        }
        !thawed.is_empty()
    }

    /// Nobody has to wait any longer than until `now`.
    pub(crate) fn release(&mut self, now: Instant) {
        let waiting: Vec<_> =
            self.due.iter().filter(|(at, _)| *at > now).map(|(_, load)| load.clone()).collect();
        waiting.iter().for_each(|load| self.set_due(load, Some(now)));
    }

    /// When the next load comes due after `now`.
    pub(crate) fn next_due(&self, now: Instant) -> Option<Instant> {
        if self.due.is_empty() {
            return None;
        }
        let after = (now + Duration::from_nanos(1), Arc::from(""));
        self.due.range(after..).next().map(|(at, _)| *at)
    }

    fn set_due(&mut self, load: &Arc<str>, due: Option<Instant>) {
        let Some(wait) = self.loads.get_mut(load) else { return };
        if let Some(at) = std::mem::replace(&mut wait.due, due) {
            self.due.remove(&(at, load.clone()));
        }
        if let Some(at) = due.filter(|_| wait.frozen == 0) {
            self.due.insert((at, load.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn load(name: &str) -> Arc<str> {
        Arc::from(name)
    }

    #[test]
    fn one_of_each_load_is_due_in_the_order_of_their_times_and_all_of_one_that_moves() {
        let (mut deferred, now) = (Deferred::default(), Instant::now());
        let (a, b) = (load("a"), load("b"));
        deferred.defer(&a, [3, 5, 9], now + 2 * S, 4);
        deferred.defer(&b, [4], now + S, 2);
        assert_eq!((deferred.len(), deferred.next_due(now)), (4, Some(now + S)));
        assert_eq!(deferred.due(now, 99, 8), []);
        let later = now + 2 * S;
        assert_eq!(deferred.due(later, 99, 8), [(b.clone(), 4), (a.clone(), 3)]);
        assert_eq!(deferred.due(later, 99, 1), [(b.clone(), 4)]);
        assert_eq!(deferred.due(later, 4, 8), [(a.clone(), 3)], "the other is being written");
        assert_eq!(deferred.least_tried(later, 99, u32::MAX), Some((b.clone(), 4)));
        assert!(!deferred.take(&(a.clone(), 5), later), "3 comes first");
        assert!(!deferred.take(&(a.clone(), 3), now), "not yet");
        assert!(deferred.take(&(a.clone(), 3), later) && deferred.take(&(b.clone(), 4), later));
        assert!(deferred.holds(&a) && !deferred.holds(&b));
        assert_eq!(deferred.due(later, 99, 8), [], "one of it is in memory");
        deferred.go_on(&a, later, true);
        assert_eq!(deferred.due(later, 99, 8), [(a.clone(), 5), (a.clone(), 9)]);
        assert!(deferred.take(&(a.clone(), 5), later) && deferred.take(&(a.clone(), 9), later));
        assert_eq!((deferred.len(), deferred.names().len(), deferred.due.len()), (0, 0, 0));
    }

    #[test]
    fn what_failed_again_waits_in_front_of_what_was_behind_it() {
        let (mut deferred, now) = (Deferred::default(), Instant::now());
        let a = load("a");
        deferred.defer(&a, [3, 5], now, 1);
        assert!(deferred.take(&(a.clone(), 3), now));
        deferred.list(&a, 7);
        deferred.defer(&a, [3], now + S, 2);
        assert_eq!((deferred.due(now, 99, 8), deferred.next_due(now)), (vec![], Some(now + S)));
        deferred.release(now);
        assert_eq!(deferred.due(now, 99, 8), [(a.clone(), 3)]);
        assert!(deferred.lists(&a, 5) && deferred.lists(&a, 7) && !deferred.lists(&a, 6));
    }

    #[test]
    fn what_is_frozen_is_not_read_until_the_last_partition_thaws_and_then_in_its_turn() {
        let (mut deferred, now) = (Deferred::default(), Instant::now());
        let (a, b, p, q) = (load("a"), load("b"), load("p"), load("q"));
        deferred.defer(&a, [3, 5], now, 0);
        deferred.defer(&b, [4], now + S, 1);
        deferred.freeze(&p, &a);
        deferred.freeze(&p, &a);
        deferred.freeze(&q, &a);
        deferred.freeze(&p, &b);
        deferred.freeze(&p, &load("elsewhere"));
        assert_eq!((deferred.due(now + S, 99, 8), deferred.next_due(now)), (vec![], None));
        assert_eq!(deferred.least_tried(now + S, 99, u32::MAX), None);
        assert!(!deferred.take(&(a.clone(), 3), now), "a read that had begun before");
        deferred.list(&a, 7);
        deferred.go_on(&a, now, true);
        deferred.release(now);
        assert!(deferred.thaw(&p) && !deferred.thaw(&p));
        assert_eq!((deferred.due(now, 99, 8), deferred.next_due(now)), (vec![], Some(now + S)));
        assert!(deferred.thaw(&q));
        let listed = [3, 5, 7].map(|seq| (a.clone(), seq));
        assert_eq!(deferred.due(now, 99, 8), listed);
        deferred.freeze(&p, &b);
        deferred.forget((&b, 4));
        assert!(deferred.frozen.is_empty() && !deferred.thaw(&p));
    }

    #[test]
    fn a_broker_may_list_its_share_and_a_thousand_in_any_case() {
        assert_eq!((numbers_max(0), numbers_max(10), numbers_max(1_000_000)), (1_000_000, 100_000, 1_024));
    }
}
