//! A sled tree that knows its name and its directory: every value stands in its [`envelope`], every error and every panic
//! leaves as a [`StateFault`], large bodies stand in [`Parts`], what is written is accounted for in its [`Tallies`] if it has some, and nothing prints the
//! tree's contents.

use std::{borrow::Cow, fmt, ops::RangeBounds, path::Path, sync::Arc};

use bincode::{Decode, Encode};
use sled::IVec;

use crate::{
    codec, envelope,
    fault::StateFault,
    guard::{guarded, guarded_items},
    parts::Parts,
    survey::each,
    tally::{Groups, Tallies},
};

/// A key, and the value that is to stand there in its envelope; none if nothing is to.
pub(crate) type Change = (Vec<u8>, Option<Vec<u8>>);

/// The trees whose values hold bodies.
const BODIES: [&str; 2] = ["spill", "dead"];

/// One named tree of the store.
#[derive(Clone)]
pub(crate) struct Table {
    tree: sled::Tree,
    /// Where its large values stand; none if it has none.
    parts: Option<Parts>,
    name: &'static str,
    path: Arc<Path>,
    tallies: Option<Arc<Tallies>>,
}

impl Table {
    /// Opens the tree `name`, creating it if need be; `path` is the state directory, for errors.
    pub(crate) fn open(db: &sled::Db, name: &'static str, path: &Arc<Path>) -> Result<Self, StateFault> {
        let tree = guarded(path, || db.open_tree(name))?;
        let parts = BODIES.contains(&name).then(|| Parts::open(db, &tree, name, path)).transpose()?;
        Ok(Self { tree, parts, name, path: path.clone(), tallies: None })
    }

    /// The same, with every entry accounted for, by the group that `group` finds in its key.
    pub(crate) fn accounted(self, group: fn(&[u8]) -> &[u8]) -> Self {
        Self { tallies: Some(Arc::new(Tallies::new(group))), ..self }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    #[cfg(test)]
    pub(crate) fn parts(&self) -> &Parts {
        self.parts.as_ref().unwrap()
    }

    /// What has been written since it was opened, if that is accounted for.
    pub(crate) fn tallies(&self) -> Option<&Tallies> {
        self.tallies.as_deref()
    }

    pub(crate) fn get<T: Decode<()>>(&self, key: &[u8]) -> Result<Option<T>, StateFault> {
        let value = guarded(&self.path, || self.tree.get(key))?;
        value.map_or(Ok(None), |value| self.decode_found(key, &value))
    }

    /// What tells the entry under `key` from others; none if there is none.
    pub(crate) fn fingerprint(&self, key: &[u8]) -> Result<Option<u64>, StateFault> {
        let value = guarded(&self.path, || self.tree.get(key))?;
        Ok(value.map(|value| envelope::fingerprint(self.name, key, &value)))
    }

    pub(crate) fn put<T: Encode>(&self, key: &[u8], value: &T) -> Result<(), StateFault> {
        self.put_encoded(key, &codec::encode(self.name, value)?)
    }

    /// Puts a value that is encoded already under `key`.
    pub(crate) fn put_encoded(&self, key: &[u8], value: &[u8]) -> Result<(), StateFault> {
        let (old, new) = self.swap(key, value)?;
        self.discard(key, old.as_deref(), Some(&new))
    }

    /// Puts a value without an envelope, for what releases from before there were envelopes have to read.
    pub(crate) fn put_bare<T: Encode>(&self, key: &[u8], value: &T) -> Result<(), StateFault> {
        self.insert(key, &codec::encode(self.name, value)?.into()).map(drop)
    }

    /// Puts a value that is encoded already; gives what is stored under `key` no longer, whose parts are still there, and
    /// what is stored now.
    fn swap(&self, key: &[u8], value: &[u8]) -> Result<(Option<IVec>, IVec), StateFault> {
        let stored = match &self.parts {
            Some(parts) => parts.seal(key, value)?,
            None => envelope::seal(self.name, key, value),
        };
        let stored = IVec::from(stored);
        Ok((self.insert(key, &stored)?, stored))
    }

    /// Removes the parts of what stood under `key` until `new` took its place.
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
        if let Some(tallies) = &self.tallies {
            tallies.note(self.name, key, old, new);
        }
    }

    /// Puts or removes what stands under several keys, in one: after a crash all of them are changed, or none. Only for
    /// trees without bodies.
    pub(crate) fn apply(&self, changes: &[Change]) -> Result<(), StateFault> {
        let mut batch = sled::Batch::default();
        let mut before = Vec::with_capacity(changes.len());
        for (key, value) in changes {
            before.push(guarded(&self.path, || self.tree.get(key))?);
            match value {
                Some(value) => batch.insert(key.as_slice(), value.as_slice()),
                None => batch.remove(key.as_slice()),
            }
        }
        guarded(&self.path, || self.tree.apply_batch(batch))?;
        for ((key, value), before) in changes.iter().zip(before) {
            self.note(key, before.as_deref(), value.as_deref());
        }
        Ok(())
    }

    /// `value` as it stands under `key` in this tree.
    pub(crate) fn encode<T: Encode>(&self, key: &[u8], value: &T) -> Result<Vec<u8>, StateFault> {
        Ok(envelope::seal(self.name, key, &codec::encode(self.name, value)?))
    }

    /// Puts `value` under `key` and gives what stood there before; none if that cannot be read, for it is gone now.
    pub(crate) fn replace<T: Encode + Decode<()>>(
        &self,
        key: &[u8],
        value: &T,
    ) -> Result<Option<T>, StateFault> {
        let (old, new) = self.swap(key, &codec::encode(self.name, value)?)?;
        let before = old.as_ref().and_then(|old| self.decode(key, old).ok());
        self.discard(key, old.as_deref(), Some(&new))?;
        Ok(before)
    }

    pub(crate) fn remove(&self, key: &[u8]) -> Result<(), StateFault> {
        let old = guarded(&self.path, || self.tree.remove(key))?;
        self.note(key, old.as_deref(), None);
        self.discard(key, old.as_deref(), None)
    }

    /// Removes what a crash has left of values that were being written.
    pub(crate) fn sweep(&self) -> Result<(), StateFault> {
        self.parts.as_ref().map_or(Ok(()), Parts::sweep)
    }

    /// Keys and what is stored under them, in key order, read one at a time; for [`decode`](Self::decode),
    /// [`bare`](Self::bare) and [`envelope::size`].
    pub(crate) fn range<R: RangeBounds<Vec<u8>>>(
        &self,
        keys: R,
    ) -> impl DoubleEndedIterator<Item = Result<(IVec, IVec), StateFault>> + use<'_, R> {
        guarded_items(&self.path, self.tree.range(keys))
    }

    /// The value of which `stored` stands under `key`; for trees without bodies, or while nothing is removed.
    pub(crate) fn decode<T: Decode<()>>(&self, key: &[u8], stored: &[u8]) -> Result<T, StateFault> {
        codec::decode(self.name, &self.whole(key, stored)?)
    }

    /// The value of which `stored` was found under `key`; none if it stands in parts and has been removed since.
    pub(crate) fn decode_found<T: Decode<()>>(
        &self,
        key: &[u8],
        stored: &[u8],
    ) -> Result<Option<T>, StateFault> {
        let bare = self.bare(key, stored)?;
        bare.map(|bare| codec::decode(self.name, &bare)).transpose()
    }

    /// The same without its envelope, as [`codec`] has encoded it.
    pub(crate) fn bare<'s>(&self, key: &[u8], stored: &'s [u8]) -> Result<Option<Cow<'s, [u8]>>, StateFault> {
        match &self.parts {
            Some(parts) => parts.open_value(key, stored),
            None => self.whole(key, stored).map(Some),
        }
    }

    /// The same while nothing is removed.
    fn whole<'s>(&self, key: &[u8], stored: &'s [u8]) -> Result<Cow<'s, [u8]>, StateFault> {
        match &self.parts {
            Some(parts) => parts.whole(key, stored),
            None => Ok(Cow::Borrowed(&stored[envelope::open(self.name, key, stored)?..])),
        }
    }

    /// How many entries there are; visits every one.
    pub(crate) fn len(&self) -> usize {
        self.range(..).filter(Result::is_ok).count()
    }

    /// Gives every entry that can be read to `on`, without its envelope; gives what could not be read, or used.
    pub(crate) fn each(&self, on: impl FnMut(&[u8], &[u8]) -> Result<(), StateFault>) -> Vec<StateFault> {
        each(&self.path, &self.tree, (self.name, self.parts.as_ref()), on)
    }

    /// What is there, by group; reads every value and checks it against its checksum. Without groups, all is one.
    ///
    /// # Errors
    /// A fault of the store, or [`StateFault::Undecodable`] for the first value that has changed.
    pub(crate) fn tally(&self) -> Result<Groups, StateFault> {
        let mut found = Groups::new();
        for item in self.range(..) {
            let (key, stored) = item?;
            self.bare(&key, &stored)?;
            let group = self.tallies.as_ref().map_or(&[][..], |tallies| tallies.group_of(&key));
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
