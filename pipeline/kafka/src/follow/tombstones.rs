//! Which deliveries that wait no longer may be removed from their topic, and when. Pure.
//!
//! A tombstone is written only when this member has read its own outcomes up to that delivery's back from the ledger's
//! topic, with no claim before them. Whoever claims the partition later counts those outcomes too, so that no tombstone
//! ever removes what a successor still has to send. One that was never written costs nothing but room: the outcome is
//! there, and the next claimant removes the delivery.

use std::collections::{HashMap, VecDeque};

use super::record::WaitingKey;

/// How many names are kept at most. What is beyond stays in the topic until the partition is claimed again.
const PENDING_MAX: usize = 1 << 16;

/// Deliveries that wait no longer and still stand in the topic.
#[derive(Debug, Default)]
pub(crate) struct Tombstones {
    /// The append that has ended each.
    pending: HashMap<WaitingKey, u64>,
    /// The appends' names, in order, each with how many of this member's records must have been read back.
    appends: VecDeque<Ended>,
    read_back: u64,
}

#[derive(Debug)]
struct Ended {
    append: u64,
    keys: VecDeque<WaitingKey>,
    /// Not known before its records have been sent.
    behind: Option<u64>,
}

impl Tombstones {
    /// Append number `append` ends the delivery `key`.
    pub(crate) fn done(&mut self, append: u64, key: WaitingKey) {
        if self.pending.len() >= PENDING_MAX {
            return;
        }
        match self.appends.back_mut().filter(|last| last.append == append) {
            Some(last) => last.keys.push_back(key.clone()),
            None => self.appends.push_back(Ended { append, keys: [key.clone()].into(), behind: None }),
        }
        let _before = self.pending.insert(key, append);
    }

    /// The delivery `key` waits again.
    pub(crate) fn waits(&mut self, key: &WaitingKey) {
        let _before = self.pending.remove(key);
    }

    /// The records of append number `append` are among the first `behind` of this member's, and durable.
    pub(crate) fn appended(&mut self, append: u64, behind: u64) {
        if let Some(ended) = self.appends.iter_mut().find(|ended| ended.append == append) {
            ended.behind = Some(behind);
        }
    }

    /// So many of this member's records have been read back with no claim before them.
    pub(crate) fn read_back(&mut self, count: u64) {
        self.read_back = self.read_back.max(count);
    }

    /// The next one to be removed, if any is. It is named until it was [taken](Self::take).
    pub(crate) fn next(&mut self) -> Option<&WaitingKey> {
        loop {
            let ended = self.appends.front_mut()?;
            if ended.behind.is_none_or(|behind| behind > self.read_back) {
                return None;
            }
            match ended.keys.front() {
                None => drop(self.appends.pop_front()),
                // It waits again, or a later append has ended it.
                Some(key) if self.pending.get(key) != Some(&ended.append) => drop(ended.keys.pop_front()),
                Some(_) => break,
            }
        }
        self.appends.front()?.keys.front()
    }

    /// The one that was named is removed.
    pub(crate) fn take(&mut self) {
        let key = self.appends.front_mut().and_then(|ended| ended.keys.pop_front());
        if let Some(key) = key {
            let _append = self.pending.remove(&key);
        }
    }

    /// Whether nothing is left to be removed.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use state::Position;

    use super::*;
    use crate::name_of;

    fn key(at: u64) -> WaitingKey {
        WaitingKey::new("b", &Position::new(name_of("t", 0), 0, at))
    }

    fn removed(tombstones: &mut Tombstones) -> Vec<WaitingKey> {
        let mut all = Vec::new();
        while let Some(key) = tombstones.next().cloned() {
            all.push(key);
            tombstones.take();
        }
        all
    }

    #[test]
    fn nothing_is_removed_before_its_outcome_has_been_read_back() {
        let mut tombstones = Tombstones::default();
        tombstones.done(1, key(1));
        tombstones.done(2, key(2));
        tombstones.read_back(100);
        assert_eq!(removed(&mut tombstones), [], "they are not even sent");
        tombstones.appended(1, 103);
        tombstones.appended(2, 105);
        assert_eq!(removed(&mut tombstones), []);
        tombstones.read_back(104);
        assert_eq!(removed(&mut tombstones), [key(1)]);
        tombstones.read_back(105);
        assert_eq!((removed(&mut tombstones), tombstones.is_empty()), (vec![key(2)], true));
    }

    #[test]
    fn what_waits_again_is_not_removed_until_it_is_done_again() {
        let mut tombstones = Tombstones::default();
        tombstones.done(1, key(1));
        tombstones.waits(&key(1));
        tombstones.done(3, key(1));
        for (append, behind) in [(1, 1), (3, 9)] {
            tombstones.appended(append, behind);
        }
        tombstones.read_back(5);
        assert_eq!(removed(&mut tombstones), [], "the earlier end does not count");
        tombstones.read_back(9);
        assert_eq!(removed(&mut tombstones), [key(1)]);
    }
}
