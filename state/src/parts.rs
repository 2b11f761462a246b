//! Stores a large value in parts: a value longer than [`PART`] stands in a tree of its own, in parts, and under its
//! key stands only its head ([`envelope::head`]).
//!
//! sled counts a page with long entries by the length of a pointer, and looks at what it holds only after some
//! thousand reads and writes: its cache would keep all long values. Of parts it keeps what `state.cache` allows and
//! some ten MiB.
//!
//! A part's key is its value's key, then the checksum and the length of the whole value, then its number: a value
//! that replaces another shares no part with it. Parts are written before their head and removed after it. So a head
//! with a missing part is damage, and parts without a head are left by a crash: [`Parts::sweep`] removes them.

use std::{borrow::Cow, path::Path, sync::Arc};

use crate::{
    envelope,
    fault::StateFault,
    storage::{Database, IVec, Tree, guarded},
};

/// The longest value stored under its own key, and the length of a part. With 17 entries of this length a page is
/// still far from the 128 KiB above which sled counts it by its pointer.
pub(crate) const PART: usize = 4_096;

/// The suffix of the name of a tree's parts.
pub(crate) const SUFFIX: &str = "-parts";

/// The bytes of a part's number.
const NUMBER: usize = 4;

/// How often a page is read again, so that sled's cache accounts for it.
const TOUCHES: usize = 8;

/// The large values of one tree. Only the ledger thread writes; anyone may read.
#[derive(Clone)]
pub(crate) struct Parts {
    heads: Tree,
    parts: Tree,
    name: &'static str,
    path: Arc<Path>,
}

impl Parts {
    /// The parts of the tree `heads`; `name` is its name in errors and checksums.
    pub(crate) fn open(
        db: &Database,
        heads: &Tree,
        name: &'static str,
        path: &Arc<Path>,
    ) -> Result<Self, StateFault> {
        let tree = [&heads.name(), SUFFIX.as_bytes()].concat();
        let parts = guarded(path, || db.open_tree(tree))?;
        Ok(Self { heads: heads.clone(), parts, name, path: path.clone() })
    }

    /// The name of the tree that the parts are in.
    pub(crate) fn tree_name(&self) -> IVec {
        self.parts.name()
    }

    /// The bytes to store under `key` for `value`. Writes its parts if it is large.
    pub(crate) fn seal(&self, key: &[u8], value: &[u8]) -> Result<Vec<u8>, StateFault> {
        if value.len() <= PART {
            return Ok(envelope::seal(self.name, key, value));
        }
        let head = envelope::head(self.name, key, value);
        let mut part_key = part_key(key, &head);
        for (part, number) in value.chunks(PART).zip(0..) {
            set_number(&mut part_key, number);
            guarded(&self.path, || self.parts.insert(part_key.as_slice(), part))?;
        }
        Ok(head)
    }

    /// The value of `stored`, which was read under `key`; none if it has been removed since.
    pub(crate) fn open_value<'s>(
        &self,
        key: &[u8],
        stored: &'s [u8],
    ) -> Result<Option<Cow<'s, [u8]>>, StateFault> {
        if let Ok(value) = self.whole(key, stored) {
            return Ok(Some(value));
        }
        // Parts may be removed while they are read: it is damage only if `stored` is still there afterwards.
        let mut now = self.stored(key)?;
        while let Some(before) = now {
            let fault = match self.whole(key, &before) {
                Ok(value) => return Ok(Some(Cow::Owned(value.into_owned()))),
                Err(fault) => fault,
            };
            now = self.stored(key)?;
            if now.as_ref() == Some(&before) {
                return Err(fault);
            }
        }
        Ok(None)
    }

    fn stored(&self, key: &[u8]) -> Result<Option<IVec>, StateFault> {
        guarded(&self.path, || self.heads.get(key))
    }

    /// The value of `stored` under `key`, while its parts are not removed.
    ///
    /// # Errors
    /// [`StateFault::Undecodable`] if a part is missing, or anything has changed.
    pub(crate) fn whole<'s>(&self, key: &[u8], stored: &'s [u8]) -> Result<Cow<'s, [u8]>, StateFault> {
        let Some(len) = envelope::parted_len(stored) else {
            return Ok(Cow::Borrowed(&stored[envelope::open(self.name, key, stored)?..]));
        };
        let mut value = Vec::new();
        let mut part_key = part_key(key, stored);
        for number in 0..count(len) {
            set_number(&mut part_key, number);
            let Some(part) = guarded(&self.path, || self.parts.get(&part_key))? else {
                return Err(self.missing(key, number, len));
            };
            value.extend_from_slice(&part);
        }
        envelope::check_whole(self.name, key, stored, &value)?;
        Ok(Cow::Owned(value))
    }

    fn missing(&self, key: &[u8], number: u32, len: u64) -> StateFault {
        let (key, count) = (key.escape_ascii(), count(len));
        let detail = format!("of the {count} parts of the value under \"{key}\" part {number} is missing");
        StateFault::Undecodable { tree: self.name, detail }
    }

    /// Removes the parts of the value of `stored`, which was removed from `key`.
    pub(crate) fn remove(&self, key: &[u8], stored: &[u8]) -> Result<(), StateFault> {
        let Some(len) = envelope::parted_len(stored) else { return Ok(()) };
        let mut part_key = part_key(key, stored);
        for number in 0..count(len) {
            set_number(&mut part_key, number);
            guarded(&self.path, || self.parts.remove(&part_key))?;
        }
        Ok(())
    }

    /// Removes parts that a crash has left without a head; reads one part of each value.
    pub(crate) fn sweep(&self) -> Result<(), StateFault> {
        let (mut from, mut removed) = (Vec::new(), 0_u64);
        while let Some((found, _)) = self.first_from(&from)? {
            let (value, _) = found.split_at(found.len().saturating_sub(NUMBER));
            if self.has_head(value)? {
                (0..TOUCHES).try_for_each(|_| guarded(&self.path, || self.parts.get(&found)).map(drop))?;
                from = [value, &[u8::MAX; NUMBER]].concat();
            } else {
                guarded(&self.path, || self.parts.remove(&found))?;
                removed += 1;
                from = found.to_vec();
            }
        }
        if removed > 0 {
            tracing::warn!(
                parts = removed,
                tree = self.name,
                "removed parts of values that were being written when the process ended"
            );
        }
        Ok(())
    }

    fn first_from(&self, from: &[u8]) -> Result<Option<(IVec, IVec)>, StateFault> {
        guarded(&self.path, || self.parts.range::<&[u8]>(from..).next().transpose())
    }

    /// Whether the value with this part key prefix has its head.
    fn has_head(&self, value: &[u8]) -> Result<bool, StateFault> {
        let Some(at) = value.len().checked_sub(envelope::NAME) else { return Ok(false) };
        let (key, name) = value.split_at(at);
        Ok(self.stored(key)?.is_some_and(|stored| envelope::name(&stored) == Some(name)))
    }
}

/// How many parts a value of this length has. For a damaged length that is more than there are.
fn count(len: u64) -> u32 {
    u32::try_from(len.div_ceil(PART as u64)).unwrap_or(u32::MAX)
}

/// The key of the first part of the value with this head.
fn part_key(key: &[u8], head: &[u8]) -> Vec<u8> {
    [key, envelope::name(head).unwrap_or_default(), &[0; NUMBER]].concat()
}

fn set_number(part_key: &mut [u8], number: u32) {
    let at = part_key.len() - NUMBER;
    part_key[at..].copy_from_slice(&number.to_be_bytes());
}
