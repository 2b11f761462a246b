//! Assigns loads to partitions and partitions to consumers. All messages of a load are in one partition, and each partition
//! has exactly one consumer.

use std::ops::Range;

/// The partition of a message: by its load, or by its place in the log if it has none.
///
/// The hash is FNV-1a with 64 bits (Fowler, Noll and Vo), because it is the same on every machine; which one it is does
/// not matter.
pub(super) fn partition_of(load_id: Option<&str>, record: u64, partitions: u32) -> usize {
    let hash = load_id.map_or(record, |load_id| {
        load_id
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    });
    (hash % u64::from(partitions.max(1))) as usize
}

/// The partitions of each consumer, as Kafka's range assignor spreads those of one topic: neighbours together, the
/// first consumers one more if they do not come out even, consumers beyond the partitions none.
pub(super) fn assign(partitions: u32, consumers: u32) -> Vec<Range<usize>> {
    let (partitions, consumers) = (partitions as usize, consumers.max(1) as usize);
    let (each, more) = (partitions / consumers, partitions % consumers);
    let start = |nth: usize| nth * each + nth.min(more);
    (0..consumers).map(|nth| start(nth)..start(nth + 1)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_kafkas() {
        assert_eq!(assign(12, 3), [0..4, 4..8, 8..12]);
        assert_eq!(assign(7, 3), [0..3, 3..5, 5..7]);
        assert_eq!(assign(2, 3), [0..1, 1..2, 2..2]);
    }

    #[test]
    fn a_load_keeps_its_partition_and_what_has_none_goes_by_its_place() {
        assert_eq!(partition_of(Some("CHI-1"), 1, 12), partition_of(Some("CHI-1"), 2, 12));
        assert_eq!([0, 1, 11, 12].map(|record| partition_of(None, record, 12)), [0, 1, 11, 0]);
        let mut used = [0; 12];
        (0..1_200).for_each(|load| used[partition_of(Some(&format!("CHI-{load}")), 0, 12)] += 1);
        assert!(used.iter().all(|count| (50..200).contains(count)), "{used:?}");
    }

    proptest! {
        #[test]
        fn every_partition_has_one_consumer(partitions in 1..200u32, consumers in 1..200u32) {
            let ranges = assign(partitions, consumers);
            prop_assert_eq!(ranges.len(), consumers as usize);
            let all: Vec<usize> = ranges.into_iter().flatten().collect();
            prop_assert_eq!(all, (0..partitions as usize).collect::<Vec<_>>());
        }
    }
}
