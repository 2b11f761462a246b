//! A sled tree that knows its name and its directory: every value stands in its [`envelope`], every error leaves as a
//! [`StateFault`], and nothing prints the tree's contents.

use std::{fmt, ops::RangeBounds, path::Path, sync::Arc};

use bincode::{Decode, Encode};
use sled::IVec;

use crate::{codec, envelope, fault::StateFault, store::sled_fault};

/// One named tree of the store.
#[derive(Clone)]
pub(crate) struct Table {
    tree: sled::Tree,
    name: &'static str,
    path: Arc<Path>,
}

impl Table {
    /// Opens the tree `name`, creating it if need be; `path` is the state directory, for errors.
    pub(crate) fn open(db: &sled::Db, name: &'static str, path: &Arc<Path>) -> Result<Self, StateFault> {
        let tree = db.open_tree(name).map_err(|error| sled_fault(path, error))?;
        Ok(Self { tree, name, path: path.clone() })
    }

    pub(crate) fn get<T: Decode<()>>(&self, key: &[u8]) -> Result<Option<T>, StateFault> {
        let value = self.tree.get(key).map_err(|error| sled_fault(&self.path, error))?;
        value.map(|value| self.decode(key, &value)).transpose()
    }

    pub(crate) fn put<T: Encode>(&self, key: &[u8], value: &T) -> Result<(), StateFault> {
        self.put_encoded(key, &codec::encode(self.name, value)?)
    }

    /// Puts a value that is encoded already under `key`.
    pub(crate) fn put_encoded(&self, key: &[u8], value: &[u8]) -> Result<(), StateFault> {
        self.insert(key, envelope::seal(self.name, key, value)).map(drop)
    }

    /// Puts a value without an envelope, for what releases from before there were envelopes have to read.
    pub(crate) fn put_bare<T: Encode>(&self, key: &[u8], value: &T) -> Result<(), StateFault> {
        self.insert(key, codec::encode(self.name, value)?).map(drop)
    }

    fn insert(&self, key: &[u8], stored: Vec<u8>) -> Result<Option<IVec>, StateFault> {
        self.tree.insert(key, stored).map_err(|error| sled_fault(&self.path, error))
    }

    /// Changes several keys in one: after a crash all of them are changed, or none.
    pub(crate) fn apply(&self, changes: sled::Batch) -> Result<(), StateFault> {
        self.tree.apply_batch(changes).map_err(|error| sled_fault(&self.path, error))
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
        let old = self.insert(key, self.encode(key, value)?)?;
        Ok(old.and_then(|old| self.decode(key, &old).ok()))
    }

    pub(crate) fn remove(&self, key: &[u8]) -> Result<(), StateFault> {
        self.tree.remove(key).map(drop).map_err(|error| sled_fault(&self.path, error))
    }

    /// Keys and values in key order, read one at a time.
    pub(crate) fn range<R: RangeBounds<Vec<u8>>>(
        &self,
        keys: R,
    ) -> impl DoubleEndedIterator<Item = Result<(IVec, IVec), StateFault>> + use<'_, R> {
        self.tree.range(keys).map(|item| item.map_err(|error| sled_fault(&self.path, error)))
    }

    /// The value that these bytes under `key` hold.
    pub(crate) fn decode<T: Decode<()>>(&self, key: &[u8], stored: &[u8]) -> Result<T, StateFault> {
        codec::decode(self.name, self.bare(key, stored)?)
    }

    /// The same without its envelope, as [`codec`] has encoded it.
    pub(crate) fn bare<'s>(&self, key: &[u8], stored: &'s [u8]) -> Result<&'s [u8], StateFault> {
        Ok(&stored[envelope::open(self.name, key, stored)?..])
    }

    /// How many entries there are; visits every one.
    pub(crate) fn len(&self) -> usize {
        self.tree.len()
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Table").field(&self.name).finish()
    }
}
