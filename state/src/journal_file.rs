//! The file layout of the attempts journal: reads and writes slots of keys, and reports a damaged file.
//!
//! Layout: a header and then slots, all of [`SLOT`] bytes. Each slot has a checksum over its content and its number,
//! also when it is empty, and the header has the least number of slots, so that a torn, misplaced, wiped or missing
//! slot is noticed. A file gets its name only when it is complete.

use std::io;

use crate::{
    event::BodyDigest,
    fault::{StateFault, io_fault},
    outcome::LedgerKey,
    storage::{BootId, ByteFile, Directory},
};

/// Bytes of a slot: a divisor of the page size, so that no slot spans two pages.
pub(crate) const SLOT: usize = 128;
/// The file's name in the state directory.
pub(crate) const NAME: &str = "attempts";
/// Its name until it is complete.
const PARTIAL: &str = "attempts.new";
const MAGIC: &[u8; 16] = b"LOADLINE-ATTEMPT";
/// The layout this version writes and reads.
const VERSION: u8 = 1;
/// The offset in the header of the least number of slots.
const COUNT_AT: usize = MAGIC.len() + 2 + 16;
/// The header's length before its checksum: magic, version, whether it was closed, boot id, count.
const HEADER: usize = COUNT_AT + 4;
/// Before a key: checksum and length.
const KEY_AT: usize = 5;
/// The longest key that is stored whole, in bytes.
const KEY_MAX: usize = SLOT - KEY_AT;
/// The length byte of a slot that holds the digest of a key too long for it.
const DIGEST: u8 = u8::MAX;
/// The most bytes that are read: as many slots as deliveries can be in memory, twice.
const FILE_MAX: u64 = 512 << 20;

/// What a slot names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// The bytes of its ledger key.
    Key(Box<[u8]>),
    /// The digest of a key too long for a slot.
    Digest([u8; 16]),
}

/// The journal found in the state directory.
#[derive(Debug)]
pub(crate) enum Found {
    /// No file.
    Absent,
    /// A valid file.
    Whole(Contents),
    /// A damaged file, and what is wrong with it.
    Damaged(&'static str),
}

/// The content of a journal.
#[derive(Debug)]
pub(crate) struct Contents {
    /// Whether its process closed it, synced to the disk.
    pub(crate) closed: bool,
    /// The boot in which it was written; none if the system did not say.
    pub(crate) boot: Option<BootId>,
    pub(crate) slots: Vec<Named>,
}

/// The digest that stands for a key whose bytes are not stored.
pub(crate) fn digest(key: &[u8]) -> [u8; 16] {
    BodyDigest::of(key).to_bytes()
}

fn checksum(number: u32, content: &[u8]) -> [u8; 4] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&number.to_be_bytes());
    crc.update(content);
    crc.finalize().to_be_bytes()
}

/// Slot `number` with the name of `key` in it.
pub(crate) fn slot(number: u32, key: &LedgerKey) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    let (key, digest) = (key.as_bytes(), (key.as_bytes().len() > KEY_MAX).then(|| digest(key.as_bytes())));
    let (length, bytes) = match &digest {
        // Fits: compared above.
        None => (u8::try_from(key.len()).unwrap_or(DIGEST), key),
        Some(digest) => (DIGEST, &digest[..]),
    };
    let end = KEY_AT + bytes.len();
    slot[KEY_AT - 1] = length;
    slot[KEY_AT..end].copy_from_slice(bytes);
    let sum = checksum(number, &slot[KEY_AT - 1..end]);
    slot[..sum.len()].copy_from_slice(&sum);
    slot
}

/// Slot `number` with nothing in it.
pub(crate) fn empty(number: u32) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    let sum = checksum(number, &slot[KEY_AT - 1..KEY_AT]);
    slot[..sum.len()].copy_from_slice(&sum);
    slot
}

/// The name in slot `number`; `Ok(None)` if it is empty, an error if its checksum is wrong.
fn named(number: u32, slot: &[u8]) -> Result<Option<Named>, ()> {
    let length = slot.get(KEY_AT - 1).copied().ok_or(())?;
    let bytes = if length == DIGEST { 16 } else { usize::from(length) };
    let content = slot.get(KEY_AT - 1..KEY_AT + bytes).ok_or(())?;
    if slot[..4] != checksum(number, content) {
        return Err(());
    }
    let key = &content[1..];
    if key.is_empty() {
        return Ok(None);
    }
    if length == DIGEST {
        key.try_into().map(Named::Digest).map_err(|_| ())
    } else {
        Ok(Named::Key(key.into()))
    }
    .map(Some)
}

/// The header of a file of at least `count` slots, written in boot `boot`.
pub(crate) fn header(closed: bool, boot: Option<BootId>, count: u32) -> [u8; SLOT] {
    let mut header = [0; SLOT];
    header[..MAGIC.len()].copy_from_slice(MAGIC);
    header[MAGIC.len()] = VERSION;
    header[MAGIC.len() + 1] = u8::from(closed);
    header[MAGIC.len() + 2..COUNT_AT].copy_from_slice(&boot.unwrap_or_default());
    header[COUNT_AT..HEADER].copy_from_slice(&count.to_be_bytes());
    let sum = checksum(u32::MAX, &header[..HEADER]);
    header[HEADER..HEADER + sum.len()].copy_from_slice(&sum);
    header
}

/// Reads the journal in the state directory `dir`.
pub(crate) fn read(dir: &Directory) -> Result<Found, StateFault> {
    let bytes = match dir.read(NAME, FILE_MAX + 1) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Absent),
        Err(error) => return Err(io_fault(&dir.path().join(NAME), &error)),
        Ok(bytes) => bytes,
    };
    Ok(contents(&bytes).map_or_else(Found::Damaged, Found::Whole))
}

fn contents(bytes: &[u8]) -> Result<Contents, &'static str> {
    let (header, slots) = bytes.split_at_checked(SLOT).ok_or("it has no header")?;
    if bytes.len() as u64 > FILE_MAX || !bytes.len().is_multiple_of(SLOT) {
        return Err("it has an odd length");
    }
    let sum = checksum(u32::MAX, &header[..HEADER]);
    if header[..MAGIC.len()] != *MAGIC || header[HEADER..HEADER + sum.len()] != sum {
        return Err("its header is not one");
    }
    if header[MAGIC.len()] != VERSION {
        return Err("its layout is not known");
    }
    let count = header[COUNT_AT..HEADER].try_into().map_or(u32::MAX, u32::from_be_bytes);
    if slots.len() / SLOT < count as usize {
        return Err("slots are missing");
    }
    let boot = header[MAGIC.len() + 2..COUNT_AT].try_into().unwrap_or_default();
    let named = slots.chunks_exact(SLOT).zip(0..).map(|(slot, number)| named(number, slot));
    Ok(Contents {
        closed: header[MAGIC.len() + 1] != 0,
        boot: Some(boot).filter(|boot| *boot != BootId::default()),
        slots: named
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()
            .map_err(|()| "a slot is torn")?,
    })
}

/// Replaces the journal in `dir` by one with these slots, synced when this returns; returns the open file.
pub(crate) fn replace(dir: &Directory, closed: bool, slots: &[u8]) -> Result<ByteFile, StateFault> {
    let count = u32::try_from(slots.len() / SLOT).unwrap_or(u32::MAX);
    let bytes = [&header(closed, dir.boot_id(), count), slots].concat();
    dir.replace(NAME, PARTIAL, &bytes).map_err(|error| io_fault(&dir.path().join(NAME), &error))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, sync::Arc};

    use proptest::prelude::*;

    use super::*;

    fn at(dir: &Path) -> Directory {
        Directory::at(Arc::from(dir))
    }

    fn written(slots: &[u8]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        drop(replace(&at(dir.path()), true, slots).unwrap());
        dir
    }

    fn damage(dir: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Found {
        let mut bytes = fs::read(dir.join(NAME)).unwrap();
        change(&mut bytes);
        fs::write(dir.join(NAME), bytes).unwrap();
        read(&at(dir)).unwrap()
    }

    #[test]
    fn what_is_torn_cut_or_misplaced_is_called_damaged() {
        let (first, second) = (LedgerKey::new("acme", "e1"), LedgerKey::new("acme", "e2"));
        let slots = [slot(0, &first), slot(1, &second)].concat();
        let dir = written(&slots);
        let Found::Whole(whole) = read(&at(dir.path())).unwrap() else { panic!("it is whole") };
        assert_eq!((whole.closed, whole.boot, whole.slots.len()), (true, at(dir.path()).boot_id(), 2));
        for at in [3, MAGIC.len() + 1, MAGIC.len() + 5, SLOT + 2, SLOT + KEY_AT, 2 * SLOT + KEY_AT + 1] {
            let dir = written(&slots);
            let found = damage(dir.path(), |bytes| bytes[at] ^= 1);
            assert!(matches!(found, Found::Damaged(_)), "byte {at}: {found:?}");
        }
        let swapped = damage(written(&slots).path(), |bytes| bytes[SLOT..].rotate_left(SLOT));
        assert!(matches!(swapped, Found::Damaged("a slot is torn")), "{swapped:?}");
        let wiped = damage(written(&slots).path(), |bytes| bytes[2 * SLOT..].fill(0));
        assert!(matches!(wiped, Found::Damaged("a slot is torn")), "{wiped:?}");
        for length in [0, 1, SLOT - 1, SLOT, SLOT + 1, 2 * SLOT] {
            let cut = damage(written(&slots).path(), |bytes| bytes.truncate(length));
            assert!(matches!(cut, Found::Damaged(_)), "{length} bytes: {cut:?}");
        }
    }

    proptest! {
        #[test]
        fn a_name_comes_back_whole_or_as_its_digest(event in ".{0,80}", broker in "[a-z]{1,64}", number: u32) {
            let key = LedgerKey::new(&broker, &event);
            let expected = match key.as_bytes() {
                short if short.len() <= KEY_MAX => Named::Key(short.into()),
                long => Named::Digest(digest(long)),
            };
            prop_assert_eq!(named(number, &slot(number, &key)), Ok(Some(expected)));
        }
    }
}
