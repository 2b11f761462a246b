//! The envelope around every stored value: a checksum over the tree's name, the key and the value. It reveals a value
//! that has changed, or that stands under another key or in another tree.
//!
//! A large value stands in parts ([`crate::parts`]); its head has the checksum over the whole.
//!
//! A value from an earlier release has no envelope: it begins with its own version byte, which is neither [`SEALED`]
//! nor [`PARTED`], and is returned as it is.

use crate::fault::StateFault;

/// The first byte of an envelope; four bytes of CRC-32 follow, then the value as [`crate::codec`] encodes it.
const SEALED: u8 = 0xC5;

/// The first byte of the head of a value in parts; four bytes of CRC-32 and eight of the value's length follow.
const PARTED: u8 = 0xC6;

/// How many bytes precede the value.
const HEAD: usize = 5;

/// How many bytes identify a value in parts among others under the same key: its checksum and its length.
pub(crate) const NAME: usize = 12;

/// `value` in its envelope.
pub(crate) fn seal(tree: &str, key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(HEAD + value.len());
    sealed.push(SEALED);
    sealed.extend_from_slice(&checksum(tree, key, value).to_le_bytes());
    sealed.extend_from_slice(value);
    sealed
}

/// The head of `value`, which stands in parts.
pub(crate) fn head(tree: &str, key: &[u8], value: &[u8]) -> Vec<u8> {
    let checksum = checksum(tree, key, value).to_le_bytes();
    [&[PARTED][..], &checksum, &(value.len() as u64).to_le_bytes()].concat()
}

/// What identifies a value in parts among others under the same key; none if it is not in parts.
pub(crate) fn name(stored: &[u8]) -> Option<&[u8]> {
    stored.strip_prefix(&[PARTED]).filter(|name| name.len() == NAME)
}

/// The length of a value in parts; none if it is not in parts.
pub(crate) fn parted_len(stored: &[u8]) -> Option<u64> {
    let (_, len) = name(stored)?.split_at(NAME - 8);
    len.try_into().ok().map(u64::from_le_bytes)
}

/// The bytes that a value takes in its envelope, in parts or not.
pub(crate) fn size(stored: &[u8]) -> u64 {
    parted_len(stored).map_or(stored.len() as u64, |len| (HEAD as u64).saturating_add(len))
}

/// Compares a value that was joined from its parts with its head.
///
/// # Errors
/// [`StateFault::Undecodable`] if it is not what was stored.
pub(crate) fn check_whole(
    tree: &'static str,
    key: &[u8],
    head: &[u8],
    value: &[u8],
) -> Result<(), StateFault> {
    let expected = checksum(tree, key, value);
    match kept_checksum(head) {
        Some(found) if found == expected && parted_len(head) == Some(value.len() as u64) => Ok(()),
        found => Err(changed(tree, key, expected, found.unwrap_or_default())),
    }
}

/// The index at which the value begins in the stored bytes.
///
/// # Errors
/// [`StateFault::Undecodable`] if the checksum says that these bytes were never stored under this key.
pub(crate) fn open(tree: &'static str, key: &[u8], stored: &[u8]) -> Result<usize, StateFault> {
    let found = kept_checksum(stored).filter(|_| stored[0] == SEALED);
    let Some(found) = found else { return Ok(0) };
    let expected = checksum(tree, key, &stored[HEAD..]);
    if found == expected {
        return Ok(HEAD);
    }
    Err(changed(tree, key, expected, found))
}

fn changed(tree: &'static str, key: &[u8], expected: u32, found: u32) -> StateFault {
    let key = key.escape_ascii();
    let detail = format!("the value under \"{key}\" has checksum {expected:08x}, but {found:08x} was stored");
    StateFault::Undecodable { tree, detail }
}

/// Identifies an entry of a tree and its content: two entries share a fingerprint by accident with a chance of about
/// 2^-32 for each pair. A tree's digest is the sum of its entries'.
pub(crate) fn fingerprint(tree: &str, key: &[u8], stored: &[u8]) -> u64 {
    let value = kept_checksum(stored).unwrap_or_else(|| checksum(tree, key, stored));
    mix(u64::from(crc32fast::hash(key)) << 32 | u64::from(value))
}

/// The checksum that stands in an envelope; none if there is no envelope.
fn kept_checksum(stored: &[u8]) -> Option<u32> {
    let (head, _) = stored.split_at_checked(HEAD)?;
    let has_one = head[0] == SEALED || name(stored).is_some();
    if !has_one {
        return None;
    }
    Some(u32::from_le_bytes([head[1], head[2], head[3], head[4]]))
}

fn checksum(tree: &str, key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    // With its length, so that a byte moved from the key to the value changes the checksum.
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(tree.as_bytes());
    hasher.update(key);
    hasher.update(value);
    hasher.finalize()
}

/// The finalizer of SplitMix64: checksums are linear, and sums of them would hide differences that cancel out.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_and_one_from_before_there_were_envelopes_too() {
        let sealed = seal("spill", b"k", b"\x01value");
        assert_eq!(&sealed[open("spill", b"k", &sealed).unwrap()..], b"\x01value");
        assert_eq!(open("spill", b"k", b"\x01value").unwrap(), 0);
        assert_eq!(open("spill", b"k", b"").unwrap(), 0);
    }

    #[test]
    fn every_flipped_bit_behind_the_first_byte_is_found() {
        let sealed = seal("spill", b"key", b"\x01some value");
        for bit in 8..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let fault = open("spill", b"key", &damaged).unwrap_err().to_string();
            assert!(fault.contains("spill") && fault.contains("key"), "{fault}");
        }
    }

    #[test]
    fn a_value_under_anothers_key_or_in_anothers_tree_is_found() {
        let sealed = seal("spill", b"key", b"\x01value");
        assert!(open("spill", b"kez", &sealed).is_err());
        assert!(open("dead", b"key", &sealed).is_err());
        assert!(open("spill", b"ke", &sealed).is_err());
    }

    #[test]
    fn entries_that_differ_have_fingerprints_that_differ_and_an_envelope_changes_it() {
        let entry = |key: &[u8], value: &[u8]| fingerprint("t", key, &seal("t", key, value));
        let all = [entry(b"a", b"\x01x"), entry(b"b", b"\x01x"), entry(b"a", b"\x01y")];
        assert!(all[0] != all[1] && all[0] != all[2] && all[1] != all[2]);
        assert_eq!(
            fingerprint("t", b"a", b"\x01x"),
            entry(b"a", b"\x01x"),
            "it is the value's, not the envelope's"
        );
    }
}
