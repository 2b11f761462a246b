//! A file's identity, as stored in a checkpoint: device, inode and a fingerprint of its beginning.
//!
//! The inode alone is not enough: it is reused after a deletion and stays the same through a copytruncate. The
//! beginning alone is not enough either: two files may start with the same line. Rotation never changes a file's
//! beginning, so both together follow a file through its renames.

use std::sync::Arc;

use sha2::{Digest, Sha256};

/// The most bytes of a file's beginning that are fingerprinted: more than a common event, so that two files differ
/// within them, and still one cheap read.
pub(super) const HEAD_MAX: usize = 1024;

const VERSION: u8 = 1;
const LEN: usize = 1 + 8 + 8 + 2 + 16;

/// A file's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileMark {
    inode: Inode,
    /// How many bytes are fingerprinted: fewer than [`HEAD_MAX`] if the file was shorter then.
    head_len: u16,
    /// The first 128 bits of their SHA-256.
    head_digest: [u8; 16],
}

/// A file's place in the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inode {
    pub(super) device: u64,
    pub(super) number: u64,
}

impl FileMark {
    /// The identity of the file at `inode` that begins with `head`, of which [`HEAD_MAX`] bytes count.
    pub(super) fn new(inode: Inode, head: &[u8]) -> Self {
        let head = &head[..head.len().min(HEAD_MAX)];
        Self { inode, head_len: head.len() as u16, head_digest: digest(head) }
    }

    /// How many bytes of the beginning it covers.
    pub(super) fn head_len(&self) -> usize {
        usize::from(self.head_len)
    }

    /// Whether the fingerprint is complete.
    pub(super) fn is_full(&self) -> bool {
        self.head_len() == HEAD_MAX
    }

    /// Whether the same bytes are fingerprinted, at any inode.
    pub(super) fn has_head_of(&self, other: &Self) -> bool {
        self.head_len == other.head_len && self.head_digest == other.head_digest
    }

    /// Whether a file that begins with `head`, at any inode, is the marked one or a copy of it. An empty fingerprint
    /// matches nothing.
    pub(super) fn begins(&self, head: &[u8]) -> bool {
        let len = usize::from(self.head_len);
        len > 0 && head.get(..len).is_some_and(|head| digest(head) == self.head_digest)
    }

    /// Whether the inode is the marked file's. With a fingerprint the device may differ, because device numbers
    /// change with a reboot or a remount.
    pub(super) fn may_be(&self, inode: Inode) -> bool {
        if self.head_len == 0 { self.inode == inode } else { self.inode.number == inode.number }
    }

    pub(super) fn encode(&self) -> Arc<[u8]> {
        let mut bytes = [VERSION; LEN];
        bytes[1..9].copy_from_slice(&self.inode.device.to_le_bytes());
        bytes[9..17].copy_from_slice(&self.inode.number.to_le_bytes());
        bytes[17..19].copy_from_slice(&self.head_len.to_le_bytes());
        bytes[19..].copy_from_slice(&self.head_digest);
        Arc::from(bytes)
    }

    /// `None` if the bytes are not what [`FileMark::encode`] writes.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&version, bytes) = bytes.split_first()?;
        let (device, bytes) = bytes.split_first_chunk()?;
        let (number, bytes) = bytes.split_first_chunk()?;
        let (head_len, bytes) = bytes.split_first_chunk()?;
        let head_digest = bytes.try_into().ok()?;
        let inode = Inode { device: u64::from_le_bytes(*device), number: u64::from_le_bytes(*number) };
        let head_len = u16::from_le_bytes(*head_len);
        (version == VERSION && usize::from(head_len) <= HEAD_MAX).then_some(Self {
            inode,
            head_len,
            head_digest,
        })
    }
}

fn digest(head: &[u8]) -> [u8; 16] {
    let hash = Sha256::digest(head);
    let mut first = [0; 16];
    first.copy_from_slice(&hash[..16]);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Inode = Inode { device: 1, number: 2 };

    fn is(mark: &FileMark, inode: Inode, head: &[u8]) -> bool {
        mark.may_be(inode) && (mark.head_len() == 0 || mark.begins(head))
    }

    #[test]
    fn a_mark_survives_its_bytes_and_fits_a_checkpoint() {
        let mark = FileMark::new(HERE, &[7; 3_000]);
        let bytes = mark.encode();
        assert!(bytes.len() <= state::MARK_MAX);
        assert_eq!(FileMark::decode(&bytes), Some(mark));
        for broken in [&bytes[1..], &bytes[..LEN - 1], &[0; LEN], &[]] {
            assert_eq!(FileMark::decode(broken), None);
        }
    }

    #[test]
    fn a_file_that_has_grown_is_still_itself_and_another_one_is_not() {
        let mark = FileMark::new(HERE, b"short");
        let elsewhere = Inode { device: 1, number: 3 };
        let remounted = Inode { device: 9, number: 2 };
        assert!(is(&mark, HERE, b"short and then some"));
        assert!(is(&mark, remounted, b"short"));
        assert!(!is(&mark, HERE, b"shor"), "truncated");
        assert!(!is(&mark, HERE, b"other"), "the inode was reused");
        assert!(!is(&mark, elsewhere, b"short") && mark.begins(b"short"), "a copy");
    }

    #[test]
    fn an_empty_fingerprint_leaves_only_device_and_inode() {
        let mark = FileMark::new(HERE, b"");
        assert!(is(&mark, HERE, b"anything") && !mark.begins(b"anything"));
        assert!(!is(&mark, Inode { device: 9, number: 2 }, b""));
    }
}
