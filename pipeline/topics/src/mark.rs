//! The mark in a partition's checkpoint: topic, partition number and the last record read.
//!
//! The cluster gives a topic no identity: a topic that is deleted and recreated has the same name and counts from 0
//! again. The last record read stands in for it: if another one is at its offset, the log is another one.

use std::{hash::Hasher, sync::Arc};

use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher13;
use state::UnixMillis;

/// A mark without a record, as earlier versions wrote it.
const BARE: u8 = 1;
/// A mark with a record.
const WITH_RECORD: u8 = 2;
const DIGEST: usize = 16;
/// The digest of the topic, and the number.
const PLACE: usize = DIGEST + 4;
/// A record's offset, time and digest.
const RECORD: usize = 3 * 8;
const LEN: usize = 1 + PLACE + RECORD;
/// The producer gave no time.
const NO_TIME: u64 = u64::MAX;

/// Identifies a record that was read, to detect another one at its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordMark {
    /// Its offset; the last one, if it stands for several.
    pub offset: u64,
    /// When it was produced, if the producer gave a time.
    pub at: Option<UnixMillis>,
    /// SipHash-1-3 of its value with the key 0: it is computed for every record, and guards against no adversary.
    digest: u64,
}

impl RecordMark {
    /// The mark of the record at `offset` with the value `bytes`.
    #[must_use]
    pub fn new(offset: u64, at: Option<UnixMillis>, bytes: &[u8]) -> Self {
        let mut hasher = SipHasher13::new();
        hasher.write(bytes);
        Self { offset, at, digest: hasher.finish() }
    }

    /// The mark of a record with a known digest.
    #[must_use]
    pub fn of_digest(offset: u64, at: Option<UnixMillis>, digest: u64) -> Self {
        Self { offset, at, digest }
    }

    /// The digest of its value.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }
}

/// A partition's identity, and its last record read, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    place: [u8; PLACE],
    last: Option<RecordMark>,
}

impl Mark {
    /// A partition of which no record was read: 128 bits of the topic's SHA-256, and the number.
    #[must_use]
    pub fn new(topic: &str, partition: u32) -> Self {
        let mut place = [0; PLACE];
        place[..DIGEST].copy_from_slice(&Sha256::digest(topic.as_bytes())[..DIGEST]);
        place[DIGEST..].copy_from_slice(&partition.to_le_bytes());
        Self { place, last: None }
    }

    /// The same partition, without a record.
    #[must_use]
    pub fn bare(self) -> Self {
        Self { last: None, ..self }
    }

    /// The same partition, after `last` was read.
    #[must_use]
    pub fn behind(self, last: RecordMark) -> Self {
        Self { last: Some(last), ..self }
    }

    /// The last record read.
    #[must_use]
    pub fn last(&self) -> Option<RecordMark> {
        self.last
    }

    /// Reads a checkpoint's mark; none if it is not one of this partition, or of a newer version.
    #[must_use]
    pub fn decode(&self, mark: &[u8]) -> Option<Self> {
        let (version, rest) = mark.split_first()?;
        let record = rest.strip_prefix(&self.place)?;
        let last = match (*version, record.len()) {
            (BARE, 0) => None,
            (WITH_RECORD, RECORD) => {
                let mut words = record.chunks_exact(8).filter_map(|word| word.try_into().ok());
                let mut word = || words.next().map(u64::from_le_bytes);
                let (offset, at, digest) = (word()?, word()?, word()?);
                Some(RecordMark { offset, at: (at != NO_TIME).then_some(at), digest })
            }
            _ => return None,
        };
        Some(Self { last, ..*self })
    }

    /// The mark of a checkpoint.
    #[must_use]
    pub fn encode(&self) -> Arc<[u8]> {
        let mut mark = [0; LEN];
        mark[0] = BARE;
        mark[1..=PLACE].copy_from_slice(&self.place);
        let Some(RecordMark { offset, at, digest }) = self.last else { return Arc::from(&mark[..=PLACE]) };
        mark[0] = WITH_RECORD;
        let words = [offset, at.unwrap_or(NO_TIME), digest];
        for (into, word) in mark[1 + PLACE..].chunks_exact_mut(8).zip(words) {
            into.copy_from_slice(&word.to_le_bytes());
        }
        Arc::from(&mark[..])
    }
}

/// Whether a checkpoint with this mark belongs to this partition.
#[must_use]
pub fn is_of(mark: &[u8], topic: &str, partition: u32) -> bool {
    Mark::new(topic, partition).decode(mark).is_some()
}

/// The mark of a partition of which no record was read.
#[must_use]
pub fn mark(topic: &str, partition: u32) -> Arc<[u8]> {
    Mark::new(topic, partition).encode()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken(offset: u64, at: Option<UnixMillis>, value: &[u8]) -> RecordMark {
        RecordMark::new(offset, at, value)
    }

    #[test]
    fn a_mark_tells_partitions_apart_and_fits_a_checkpoint() {
        let last = taken(u64::MAX, Some(5), b"value");
        let bare =
            [("a", 0), ("a", 1), ("b", 0), ("shipment-events", u32::MAX)].map(|(t, p)| Mark::new(t, p));
        let all: Vec<_> = bare.iter().flat_map(|mark| [*mark, mark.behind(last)]).collect();
        let different: std::collections::BTreeSet<_> = all.iter().map(Mark::encode).collect();
        assert_eq!(different.len(), all.len());
        assert!(
            different.iter().all(|bytes| matches!(bytes.len(), 21 | 45) && bytes.len() <= state::MARK_MAX)
        );
        for (which, mark) in bare.iter().enumerate() {
            let of_it = different.iter().filter(|bytes| mark.decode(bytes).is_some());
            assert_eq!(of_it.count(), 2, "its own two of all, and no other: {which}");
        }
    }

    #[test]
    fn a_mark_of_an_earlier_version_has_no_record_and_a_newer_or_a_cut_one_is_none() {
        let mark = Mark::new("t", 3);
        // As version 1 wrote it: SHA-256 of the topic begins with these.
        let mut earlier = vec![1];
        earlier.extend_from_slice(&Sha256::digest(b"t")[..16]);
        earlier.extend_from_slice(&[3, 0, 0, 0]);
        assert_eq!((mark.decode(&earlier), &mark.encode()[..]), (Some(mark), &earlier[..]));
        let whole = mark.behind(taken(4, None, b"value")).encode();
        assert!((0..whole.len()).all(|len| mark.decode(&whole[..len]).is_none()));
        let newer = [&[3], &whole[1..]].concat();
        assert_eq!(mark.decode(&newer), None);
    }

    #[test]
    fn a_record_differs_by_its_offset_its_time_and_its_bytes() {
        let one = taken(4, Some(5), b"value");
        assert_eq!(one, taken(4, Some(5), b"value"));
        let others = [taken(5, Some(5), b"value"), taken(4, Some(6), b"value"), taken(4, None, b"value")];
        assert!(others.iter().chain([&taken(4, Some(5), b"valuf")]).all(|other| *other != one));
        // Kept on disk: the same for ever.
        assert_eq!(one.digest, 0x2ab9_a8f9_f118_6f14);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(offset: u64, at in proptest::option::of(0..NO_TIME), value: Vec<u8>) {
            let mark = Mark::new("t", 3).behind(taken(offset, at, &value));
            prop_assert_eq!(mark.decode(&mark.encode()), Some(mark));
        }
    }
}
