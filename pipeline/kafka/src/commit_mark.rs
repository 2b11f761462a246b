//! The metadata of a committed offset: how many partitions the topic had, the last settled record, and the claim under
//! which the partition's state was kept, as a short text.
//!
//! It is never authority to skip anything. It tells whether the log is still the one that was read, and which
//! partitions have come since; a text of another program is no mark, and nothing follows from it.

use topics::RecordMark;

const VERSION: &str = "loadline/1";
/// What a claim's epoch stands behind.
const CLAIM: &str = "claim=";
/// What stands for something that is not known.
const NONE: &str = "-";

/// What is written beside a committed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommitMark {
    /// How many partitions the topic had.
    pub(crate) partitions: i32,
    /// The last settled record; none before the first.
    pub(crate) last: Option<RecordMark>,
    /// The epoch of this process's claim in the state topics; none if the state does not follow the partition.
    pub(crate) claim: Option<u64>,
}

impl CommitMark {
    /// The text, some 70 bytes. Earlier versions read it without the claim.
    pub(crate) fn encode(&self) -> String {
        let partitions = self.partitions;
        let mut text = match self.last {
            None => format!("{VERSION} {partitions} {NONE}"),
            Some(last) => {
                let at = last.at.map_or_else(|| NONE.to_owned(), |at| at.to_string());
                format!("{VERSION} {partitions} {} {at} {:016x}", last.offset, last.digest())
            }
        };
        if let Some(claim) = self.claim {
            text.push_str(&format!(" {CLAIM}{claim}"));
        }
        text
    }

    /// Reads a text; none if it is another program's or a newer version's.
    pub(crate) fn decode(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let is_ours = words.next()? == VERSION;
        let partitions = words.next()?.parse().ok().filter(|_| is_ours)?;
        let offset = words.next()?;
        let last = if offset == NONE {
            None
        } else {
            let at = words.next()?;
            let at = if at == NONE { None } else { Some(at.parse().ok()?) };
            let digest = u64::from_str_radix(words.next()?, 16).ok()?;
            Some(RecordMark::of_digest(offset.parse().ok()?, at, digest))
        };
        let claim = words.find_map(|word| word.strip_prefix(CLAIM)).and_then(|epoch| epoch.parse().ok());
        Some(Self { partitions, last, claim })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_another_program_has_written_is_no_mark() {
        for text in
            ["", "loadline/2 12 -", "loadline/1", "loadline/1 12", "loadline/1 12 4711 -", "{\"a\": 1}"]
        {
            assert_eq!(CommitMark::decode(text), None, "{text}");
        }
        // Kept on clusters: the same for ever.
        let last = Some(RecordMark::of_digest(4711, None, 0xab));
        let text = "loadline/1 12 4711 - 00000000000000ab";
        assert_eq!(CommitMark { partitions: 12, last, claim: None }.encode(), text);
        let claimed = CommitMark { partitions: 12, last, claim: Some(9) };
        assert_eq!(claimed.encode(), format!("{text} claim=9"));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            partitions: i32,
            last in proptest::option::of((any::<u64>(), any::<Option<u64>>(), any::<u64>())),
            claim: Option<u64>,
        ) {
            let last = last.map(|(offset, at, digest)| RecordMark::of_digest(offset, at, digest));
            let mark = CommitMark { partitions, last, claim };
            prop_assert_eq!(CommitMark::decode(&mark.encode()), Some(mark));
            prop_assert!(mark.encode().len() < 128);
        }
    }
}
