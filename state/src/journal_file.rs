//! The bytes of the attempts journal: keys of deliveries enter and stand in slots, and leave again after a restart, or
//! the file is called damaged.
//!
//! Layout: a header and then slots, all of [`SLOT`] bytes. Each has a checksum over its content and its number, an empty
//! one too, and the header says how many there are at least, so that a torn, misplaced, wiped or missing one is noticed.
//! A file gets its name only when it is whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use crate::{event::BodyDigest, fault::StateFault, outcome::LedgerKey, store::io_fault};

/// Bytes of a slot: a divisor of the page's, so that none stands on two pages.
pub(crate) const SLOT: usize = 128;
/// What the file is called in the state directory.
pub(crate) const NAME: &str = "attempts";
/// What it is called until it is whole.
const PARTIAL: &str = "attempts.new";
const MAGIC: &[u8; 16] = b"LOADLINE-ATTEMPT";
/// The layout this version writes and reads.
const VERSION: u8 = 1;
/// Where the header says how many slots there are at least.
const COUNT_AT: usize = MAGIC.len() + 2 + 16;
/// Behind the magic: version, whether it was closed, boot id, count; then the checksum.
const HEADER: usize = COUNT_AT + 4;
/// Before a key: checksum and length.
const KEY_AT: usize = 5;
/// The longest key that is kept as it is, in bytes.
const KEY_MAX: usize = SLOT - KEY_AT;
/// Stands for a length where the key is too long and its digest is kept.
const DIGEST: u8 = u8::MAX;
/// The most bytes that are read: as many slots as deliveries can be in memory, twice.
const FILE_MAX: u64 = 512 << 20;
/// Which start of the machine this is. A page that was written and not synced outlives the process, not the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A start of the machine.
pub(crate) type BootId = [u8; 16];

/// Whose attempt may be on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// The bytes of its ledger key.
    Key(Box<[u8]>),
    /// The digest of a key too long for a slot.
    Digest([u8; 16]),
}

/// What the state directory has for a journal.
#[derive(Debug)]
pub(crate) enum Found {
    /// No file.
    Absent,
    /// A file that is what was written.
    Whole(Contents),
    /// Something else, and what is wrong with it.
    Damaged(&'static str),
}

/// What a journal says.
#[derive(Debug)]
pub(crate) struct Contents {
    /// Whether its process closed it, synced to the disk.
    pub(crate) closed: bool,
    /// The start of the machine in which it was written; none if it could not be told.
    pub(crate) boot: Option<BootId>,
    pub(crate) slots: Vec<Named>,
}

/// This start of the machine; none where the system does not tell.
pub(crate) fn boot_id() -> Option<BootId> {
    let text = fs::read_to_string(BOOT_ID).ok()?;
    let digits: String = text.trim().chars().filter(|c| *c != '-').collect();
    u128::from_str_radix(&digits, 16).ok().filter(|id| *id != 0).map(u128::to_be_bytes)
}

/// The name under which a key is remembered where its bytes are not kept.
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
        // Fits by the comparison above.
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

/// The name in slot `number`; `Ok(None)` if it is empty, an error if it is not what was written.
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

/// The header of a file of at least `count` slots.
pub(crate) fn header(closed: bool, count: u32) -> [u8; SLOT] {
    let mut header = [0; SLOT];
    header[..MAGIC.len()].copy_from_slice(MAGIC);
    header[MAGIC.len()] = VERSION;
    header[MAGIC.len() + 1] = u8::from(closed);
    header[MAGIC.len() + 2..COUNT_AT].copy_from_slice(&boot_id().unwrap_or_default());
    header[COUNT_AT..HEADER].copy_from_slice(&count.to_be_bytes());
    let sum = checksum(u32::MAX, &header[..HEADER]);
    header[HEADER..HEADER + sum.len()].copy_from_slice(&sum);
    header
}

/// Reads the journal in the state directory `dir`.
pub(crate) fn read(dir: &Path) -> Result<Found, StateFault> {
    let path = dir.join(NAME);
    let mut bytes = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut bytes));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Absent),
        Err(error) => return Err(io_fault(&path, &error)),
        Ok(_) => {}
    }
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

/// Puts a journal with these slots in the place of the one in `dir`, on the disk when this returns; gives it, open.
pub(crate) fn replace(dir: &Path, closed: bool, slots: &[u8]) -> Result<File, StateFault> {
    let (partial, path) = (dir.join(PARTIAL), dir.join(NAME));
    let write = || {
        let options =
            || OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).to_owned();
        let mut file = options().open(&partial)?;
        file.write_all(&header(closed, u32::try_from(slots.len() / SLOT).unwrap_or(u32::MAX)))?;
        file.write_all(slots)?;
        file.sync_all()?;
        fs::rename(&partial, &path)?;
        File::open(dir)?.sync_all()?;
        Ok(file)
    };
    write().map_err(|error| io_fault(&path, &error))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(slots: &[u8]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        drop(replace(dir.path(), true, slots).unwrap());
        dir
    }

    fn damage(dir: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Found {
        let mut bytes = fs::read(dir.join(NAME)).unwrap();
        change(&mut bytes);
        fs::write(dir.join(NAME), bytes).unwrap();
        read(dir).unwrap()
    }

    #[test]
    fn what_is_torn_cut_or_misplaced_is_called_damaged() {
        let (first, second) = (LedgerKey::new("acme", "e1"), LedgerKey::new("acme", "e2"));
        let slots = [slot(0, &first), slot(1, &second)].concat();
        let dir = written(&slots);
        let Found::Whole(whole) = read(dir.path()).unwrap() else { panic!("it is whole") };
        assert_eq!((whole.closed, whole.boot, whole.slots.len()), (true, boot_id(), 2));
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
