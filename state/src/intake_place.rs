//! A place in the intake log: how many records and how many bytes are before it. The log's checkpoint carries both,
//! so that a start knows the backlog without reading it.

use crate::{checkpoint::Checkpoint, fault::StateFault};

/// About what a record takes beside its bytes: key, header and its share of the store's pages.
const RECORD_COST: u64 = 64;

const VERSION: u8 = 1;

/// A place between two records of the intake log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct IntakePlace {
    /// Records before it, since the log began: the offset of the next one.
    pub offset: u64,
    /// Bytes before it, 64 for each record included.
    pub bytes: u64,
}

impl IntakePlace {
    /// The place behind a record of `len` bytes that stands here.
    #[must_use]
    pub fn after(self, len: usize) -> Self {
        Self { offset: self.offset + 1, bytes: self.bytes.saturating_add(RECORD_COST + len as u64) }
    }

    /// The mark of a checkpoint at this place.
    #[must_use]
    pub fn mark(&self) -> [u8; 9] {
        let mut mark = [VERSION; 9];
        mark[1..].copy_from_slice(&self.bytes.to_le_bytes());
        mark
    }
}

impl TryFrom<&Checkpoint> for IntakePlace {
    type Error = StateFault;

    fn try_from(checkpoint: &Checkpoint) -> Result<Self, StateFault> {
        match checkpoint.mark.split_first() {
            Some((&VERSION, bytes)) if bytes.len() == 8 => {
                let bytes = bytes.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte));
                Ok(Self { offset: checkpoint.offset, bytes })
            }
            _ => {
                let detail = format!("the checkpoint of the intake log has the mark {:?}", checkpoint.mark);
                Err(StateFault::Undecodable { tree: "sources", detail })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_its_checkpoint_and_a_foreign_mark_is_a_fault() {
        let place = IntakePlace { offset: 7, bytes: 0x0102_0304_0506_0708 };
        let checkpoint = Checkpoint { epoch: 0, offset: place.offset, mark: place.mark().to_vec() };
        assert_eq!(IntakePlace::try_from(&checkpoint).unwrap(), place);
        for mark in [vec![], vec![1; 8], vec![2; 9], vec![1; 35]] {
            let foreign = Checkpoint { mark, ..checkpoint.clone() };
            assert!(IntakePlace::try_from(&foreign).is_err(), "{foreign:?}");
        }
    }

    #[test]
    fn a_record_counts_with_what_it_takes_beside_its_bytes() {
        assert_eq!(IntakePlace::default().after(10).after(0), IntakePlace { offset: 2, bytes: 138 });
    }
}
