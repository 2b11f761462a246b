//! The digest of a tree: the number of its entries and the sum of their fingerprints, updated with every write. Any
//! entry that is missing, added or outdated changes it.

use std::collections::BTreeMap;

use bincode::{Decode, Encode};
use parking_lot::Mutex;

use crate::envelope;

/// The number of entries and the sum of their fingerprints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct TreeDigest {
    pub(crate) entries: u64,
    pub(crate) digest: u64,
}

impl TreeDigest {
    pub(crate) fn add(&mut self, fingerprint: u64) {
        self.entries = self.entries.wrapping_add(1);
        self.digest = self.digest.wrapping_add(fingerprint);
    }

    pub(crate) fn remove(&mut self, fingerprint: u64) {
        self.entries = self.entries.wrapping_sub(1);
        self.digest = self.digest.wrapping_sub(fingerprint);
    }
}

/// Digests by group, such as a broker's name; the groups of a tree are few.
pub(crate) type Groups = BTreeMap<Box<[u8]>, TreeDigest>;

/// The digests of one tree, in memory.
#[derive(Debug)]
pub(crate) struct TreeDigests {
    /// Finds the group in a key.
    group: fn(&[u8]) -> &[u8],
    groups: Mutex<BTreeMap<Box<[u8]>, Group>>,
}

#[derive(Debug, Default)]
struct Group {
    tally: TreeDigest,
    /// Whether it has changed since the last `take_changed`.
    changed: bool,
}

impl TreeDigests {
    pub(crate) fn new(group: fn(&[u8]) -> &[u8]) -> Self {
        Self { group, groups: Mutex::default() }
    }

    pub(crate) fn group_of<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        (self.group)(key)
    }

    /// Accounts for the replacement of `old` by `new` under `key`.
    pub(crate) fn note(&self, tree: &str, key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) {
        if old == new {
            return;
        }
        let group = self.group_of(key);
        let mut groups = self.groups.lock();
        if !groups.contains_key(group) {
            groups.insert(group.into(), Default::default());
        }
        if let Some(Group { tally, changed }) = groups.get_mut(group) {
            *changed = true;
            old.into_iter().for_each(|old| tally.remove(envelope::fingerprint(tree, key, old)));
            new.into_iter().for_each(|new| tally.add(envelope::fingerprint(tree, key, new)));
        }
    }

    /// The groups that have changed since the last call.
    pub(crate) fn take_changed(&self) -> Groups {
        let mut groups = self.groups.lock();
        let changed = groups.iter_mut().filter(|(_, group)| group.changed);
        let taken = changed.map(|(name, group)| {
            group.changed = false;
            (name.clone(), group.tally)
        });
        taken.collect()
    }

    /// Sets the digests to those found in the tree.
    pub(crate) fn set(&self, found: Groups) {
        let groups = found.into_iter().map(|(name, tally)| (name, Group { tally, changed: false }));
        *self.groups.lock() = groups.collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(key: &[u8]) -> &[u8] {
        &key[..1]
    }

    #[test]
    fn writes_in_any_order_come_to_the_same_and_what_is_undone_leaves_nothing() {
        let (one, other) = (TreeDigests::new(first), TreeDigests::new(first));
        let put = |digests: &TreeDigests, key, old, new| digests.note("t", key, old, new);
        put(&one, b"a1", None, Some(b"x"));
        put(&one, b"a2", None, Some(b"y"));
        put(&one, b"a1", Some(b"x"), Some(b"z"));
        put(&other, b"a1", None, Some(b"z"));
        put(&other, b"a2", None, Some(b"y"));
        let found = one.take_changed();
        assert_eq!(found, other.take_changed());
        assert_eq!(found[&b"a"[..]].entries, 2);
        assert!(one.take_changed().is_empty(), "nothing has changed since");
        put(&one, b"a1", Some(b"z"), None);
        put(&one, b"a2", Some(b"y"), None);
        assert_eq!(one.take_changed()[&b"a"[..]], TreeDigest::default());
    }
}
