//! A sled tree with what every value in it needs: an [`envelope`], [`Parts`] for large bodies, [`TreeDigests`] where
//! entries are accounted for. Errors and panics become a [`StateFault`], and `Debug` never prints contents.

use std::{borrow::Cow, fmt, ops::RangeBounds, path::Path, sync::Arc};

use crate::{
    codec::Layout,
    envelope,
    fault::StateFault,
    parts::Parts,
    readable_entries::for_each_readable,
    storage::{Change, Database, IVec, Tree, guarded, guarded_items},
    tree_digest::{Groups, TreeDigests},
};

/// The trees whose values hold bodies.
const BODIES: [&str; 2] = ["spill", "dead"];

/// One named tree of the store.
#[derive(Clone)]
pub(crate) struct Table {
    tree: Tree,
    /// Its large values; none if it has no bodies.
    parts: Option<Parts>,
    name: &'static str,
    path: Arc<Path>,
    digests: Option<Arc<TreeDigests>>,
}

impl Table {
    /// Opens the tree `name`, and creates it if it does not exist; `path` is the state directory, for errors.
    pub(crate) fn open(db: &Database, name: &'static str, path: &Arc<Path>) -> Result<Self, StateFault> {
        let tree = guarded(path, || db.open_tree(name))?;
        let parts = BODIES.contains(&name).then(|| Parts::open(db, &tree, name, path)).transpose()?;
        Ok(Self { tree, parts, name, path: path.clone(), digests: None })
    }

    /// This table with digests: every entry is accounted for, in the group that `group` finds in its key.
    pub(crate) fn with_digests(self, group: fn(&[u8]) -> &[u8]) -> Self {
        Self { digests: Some(Arc::new(TreeDigests::new(group))), ..self }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    #[cfg(test)]
    pub(crate) fn parts(&self) -> &Parts {
        self.parts.as_ref().unwrap()
    }

    /// Its digests, if it has any.
    pub(crate) fn digests(&self) -> Option<&TreeDigests> {
        self.digests.as_deref()
    }

    pub(crate) fn get<T: Layout>(&self, key: &[u8]) -> Result<Option<T>, StateFault> {
        let value = guarded(&self.path, || self.tree.get(key))?;
        value.map_or(Ok(None), |value| self.decode_found(key, &value))
    }

    /// The fingerprint of the entry under `key`, if there is one.
    pub(crate) fn fingerprint(&self, key: &[u8]) -> Result<Option<u64>, StateFault> {
        let value = guarded(&self.path, || self.tree.get(key))?;
        Ok(value.map(|value| envelope::fingerprint(self.name, key, &value)))
    }

    pub(crate) fn put<T: Layout>(&self, key: &[u8], value: &T) -> Result<(), StateFault> {
        self.put_encoded(key, &value.to_layout(self.name)?)
    }

    /// Puts an encoded value under `key`.
    pub(crate) fn put_encoded(&self, key: &[u8], value: &[u8]) -> Result<(), StateFault> {
        let (old, new) = self.swap(key, value)?;
        self.discard(key, old.as_deref(), Some(&new))
    }

    /// Puts a value without an envelope, for values that releases without envelopes must read.
    pub(crate) fn put_bare<T: Layout>(&self, key: &[u8], value: &T) -> Result<(), StateFault> {
        self.insert(key, &value.to_layout(self.name)?.into()).map(drop)
    }

    /// Puts an encoded value; returns the replaced stored bytes, whose parts are still there, and the new ones.
    fn swap(&self, key: &[u8], value: &[u8]) -> Result<(Option<IVec>, IVec), StateFault> {
        let stored = match &self.parts {
            Some(parts) => parts.seal(key, value)?,
            None => envelope::seal(self.name, key, value),
        };
        let stored = IVec::from(stored);
        Ok((self.insert(key, &stored)?, stored))
    }

    /// Removes the parts of `old`, which `new` has replaced under `key`.
    fn discard(&self, key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) -> Result<(), StateFault> {
        match (&self.parts, old) {
            (Some(parts), Some(old)) if Some(old) != new => parts.remove(key, old),
            _ => Ok(()),
        }
    }

    fn insert(&self, key: &[u8], stored: &IVec) -> Result<Option<IVec>, StateFault> {
        let old = guarded(&self.path, || self.tree.insert(key, stored.clone()))?;
        self.note(key, old.as_deref(), Some(stored));
        Ok(old)
    }

    fn note(&self, key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) {
        if let Some(digests) = &self.digests {
            digests.note(self.name, key, old, new);
        }
    }

    /// Applies several changes atomically, with values in their envelopes. Only for trees without bodies.
    pub(crate) fn apply(&self, changes: &[Change]) -> Result<(), StateFault> {
        let before = changes.iter().map(|(key, _)| guarded(&self.path, || self.tree.get(key)));
        let before = before.collect::<Result<Vec<_>, _>>()?;
        guarded(&self.path, || self.tree.apply(changes))?;
        for ((key, value), before) in changes.iter().zip(before) {
            self.note(key, before.as_deref(), value.as_deref());
        }
        Ok(())
    }

    /// The stored bytes of `value` under `key`.
    pub(crate) fn encode<T: Layout>(&self, key: &[u8], value: &T) -> Result<Vec<u8>, StateFault> {
        Ok(envelope::seal(self.name, key, &value.to_layout(self.name)?))
    }

    /// Puts `value` under `key` and returns the replaced value; none if that could not be decoded.
    pub(crate) fn replace<T: Layout>(&self, key: &[u8], value: &T) -> Result<Option<T>, StateFault> {
        let (old, new) = self.swap(key, &value.to_layout(self.name)?)?;
        let before = old.as_ref().and_then(|old| self.decode(key, old).ok());
        self.discard(key, old.as_deref(), Some(&new))?;
        Ok(before)
    }

    pub(crate) fn remove(&self, key: &[u8]) -> Result<(), StateFault> {
        let old = guarded(&self.path, || self.tree.remove(key))?;
        self.note(key, old.as_deref(), None);
        self.discard(key, old.as_deref(), None)
    }

    /// Removes parts of values whose write a crash has interrupted.
    pub(crate) fn sweep(&self) -> Result<(), StateFault> {
        self.parts.as_ref().map_or(Ok(()), Parts::sweep)
    }

    /// Keys and stored bytes in key order, read one at a time; for [`decode`](Self::decode), [`bare`](Self::bare) and
    /// [`envelope::size`].
    pub(crate) fn range<R: RangeBounds<Vec<u8>>>(
        &self,
        keys: R,
    ) -> impl DoubleEndedIterator<Item = Result<(IVec, IVec), StateFault>> + use<'_, R> {
        guarded_items(&self.path, self.tree.range(keys))
    }

    /// The value of `stored` under `key`; for trees without bodies, or while nothing is removed.
    pub(crate) fn decode<T: Layout>(&self, key: &[u8], stored: &[u8]) -> Result<T, StateFault> {
        T::from_layout(self.name, &self.whole(key, stored)?)
    }

    /// The value of `stored`, which was read under `key`; none if it is in parts and has been removed since.
    pub(crate) fn decode_found<T: Layout>(&self, key: &[u8], stored: &[u8]) -> Result<Option<T>, StateFault> {
        let bare = self.bare(key, stored)?;
        bare.map(|bare| T::from_layout(self.name, &bare)).transpose()
    }

    /// As [`decode_found`](Self::decode_found), still encoded by [`codec`].
    pub(crate) fn bare<'s>(&self, key: &[u8], stored: &'s [u8]) -> Result<Option<Cow<'s, [u8]>>, StateFault> {
        match &self.parts {
            Some(parts) => parts.open_value(key, stored),
            None => self.whole(key, stored).map(Some),
        }
    }

    /// As [`bare`](Self::bare), while nothing is removed.
    fn whole<'s>(&self, key: &[u8], stored: &'s [u8]) -> Result<Cow<'s, [u8]>, StateFault> {
        match &self.parts {
            Some(parts) => parts.whole(key, stored),
            None => Ok(Cow::Borrowed(&stored[envelope::open(self.name, key, stored)?..])),
        }
    }

    /// The number of entries; reads every one.
    pub(crate) fn len(&self) -> usize {
        self.range(..).filter(Result::is_ok).count()
    }

    /// Calls `on` with every entry that can be read, without its envelope. Returns the faults of reading and of `on`.
    pub(crate) fn each(&self, on: impl FnMut(&[u8], &[u8]) -> Result<(), StateFault>) -> Vec<StateFault> {
        for_each_readable(&self.path, &self.tree, (self.name, self.parts.as_ref()), on)
    }

    /// The digest of each group, found by reading every value and verifying its checksum.
    ///
    /// # Errors
    /// A fault of the store, or [`StateFault::Undecodable`] for the first value that has changed.
    pub(crate) fn tally(&self) -> Result<Groups, StateFault> {
        let mut found = Groups::new();
        for item in self.range(..) {
            let (key, stored) = item?;
            self.bare(&key, &stored)?;
            let group = self.digests.as_ref().map_or(&[][..], |digests| digests.group_of(&key));
            if !found.contains_key(group) {
                found.insert(group.into(), Default::default());
            }
            if let Some(tally) = found.get_mut(group) {
                tally.add(envelope::fingerprint(self.name, &key, &stored));
            }
        }
        Ok(found)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Table").field(&self.name).finish()
    }
}
