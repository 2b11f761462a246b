//! Which partition a key belongs to: SipHash-2-4 with a zero key over the key as Rust hashes a byte slice, modulo the
//! number of partitions. The same as Fluvio's own clients do, so that a load's events stay together whoever produces
//! them.

use std::hash::{Hash, Hasher};

use siphasher::sip::SipHasher;

/// The partition of `key` among `count`, which is at least 1.
pub(crate) fn partition_of(key: &[u8], count: u32) -> u32 {
    let mut hasher = SipHasher::new();
    key.hash(&mut hasher);
    let partition = hasher.finish() % u64::from(count.max(1));
    u32::try_from(partition).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_spread_over_all_partitions_and_each_stays_in_its_own() {
        let of = |count| (0..1_000).map(move |load| partition_of(format!("LD-{load}").as_bytes(), count));
        let mut counts = [0; 4];
        of(4).for_each(|partition| counts[partition as usize] += 1);
        assert!(counts.iter().all(|count| (180..320).contains(count)), "{counts:?}");
        assert!(of(4).eq(of(4)) && of(1).all(|partition| partition == 0));
    }
}
