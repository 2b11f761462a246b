//! One ordered map of a database, from bytes to bytes. Every write is atomic and has its place in the order of all
//! the database's writes.

use std::ops::RangeBounds;

use super::{
    IVec, Result,
    change::Change,
    simulated::{Range, SimulatedTree},
};

/// A tree; clones share it.
#[derive(Clone)]
pub(crate) enum Tree {
    Sled(::sled::Tree),
    Simulated(SimulatedTree),
}

impl Tree {
    pub(crate) fn name(&self) -> IVec {
        match self {
            Self::Sled(tree) => tree.name(),
            Self::Simulated(tree) => tree.name(),
        }
    }

    pub(crate) fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<IVec>> {
        match self {
            Self::Sled(tree) => tree.get(key),
            Self::Simulated(tree) => tree.get(key.as_ref()),
        }
    }

    pub(crate) fn contains_key(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        match self {
            Self::Sled(tree) => tree.contains_key(key),
            Self::Simulated(tree) => tree.get(key.as_ref()).map(|value| value.is_some()),
        }
    }

    /// Puts `value` under `key`; returns the replaced value.
    pub(crate) fn insert(&self, key: impl AsRef<[u8]>, value: impl Into<IVec>) -> Result<Option<IVec>> {
        match self {
            Self::Sled(tree) => tree.insert(key, value),
            Self::Simulated(tree) => tree.put(key.as_ref(), Some(value.into())),
        }
    }

    /// Removes the value under `key`, and returns it.
    pub(crate) fn remove(&self, key: impl AsRef<[u8]>) -> Result<Option<IVec>> {
        match self {
            Self::Sled(tree) => tree.remove(key),
            Self::Simulated(tree) => tree.put(key.as_ref(), None),
        }
    }

    /// Makes these changes atomically.
    pub(crate) fn apply(&self, changes: &[Change]) -> Result<()> {
        match self {
            Self::Sled(tree) => {
                let mut batch = ::sled::Batch::default();
                for (key, value) in changes {
                    match value {
                        Some(value) => batch.insert(key.as_slice(), value.as_slice()),
                        None => batch.remove(key.as_slice()),
                    }
                }
                tree.apply_batch(batch)
            }
            Self::Simulated(tree) => tree.apply(changes),
        }
    }

    pub(crate) fn first(&self) -> Result<Option<(IVec, IVec)>> {
        match self {
            Self::Sled(tree) => tree.first(),
            Self::Simulated(tree) => tree.range::<&[u8], _>(..).next().transpose(),
        }
    }

    pub(crate) fn last(&self) -> Result<Option<(IVec, IVec)>> {
        match self {
            Self::Sled(tree) => tree.last(),
            Self::Simulated(tree) => tree.range::<&[u8], _>(..).next_back().transpose(),
        }
    }

    /// Keys and values in key order, read one at a time. Writes behind the current key are seen.
    pub(crate) fn range<K: AsRef<[u8]>>(&self, keys: impl RangeBounds<K>) -> Items {
        match self {
            Self::Sled(tree) => Items::Sled(tree.range(keys)),
            Self::Simulated(tree) => Items::Simulated(tree.range(keys)),
        }
    }

    pub(crate) fn iter(&self) -> Items {
        self.range::<&[u8]>(..)
    }
}

#[cfg(test)]
impl Tree {
    pub(crate) fn len(&self) -> usize {
        self.iter().count()
    }

    pub(crate) fn clear(&self) -> Result<()> {
        self.iter().try_for_each(|item| self.remove(item?.0).map(drop))
    }
}

/// The items of a range, from both ends.
pub(crate) enum Items {
    Sled(::sled::Iter),
    Simulated(Range),
}

impl Iterator for Items {
    type Item = Result<(IVec, IVec)>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Sled(items) => items.next(),
            Self::Simulated(items) => items.next(),
        }
    }
}

impl DoubleEndedIterator for Items {
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            Self::Sled(items) => items.next_back(),
            Self::Simulated(items) => items.next_back(),
        }
    }
}
