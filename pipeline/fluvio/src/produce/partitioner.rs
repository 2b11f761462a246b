//! The partition of a key: SipHash-2-4 with a zero key over the key as Rust hashes a byte slice, modulo the number of
//! partitions. Fluvio's own clients do the same, so a load's events stay together whoever produces them.

use std::hash::{Hash, Hasher};

use siphasher::sip::SipHasher;

/// The partition of `key` among `count`, which is at least 1.
pub fn partition_of(key: &[u8], count: u32) -> u32 {
    let mut hasher = SipHasher::new();
    key.hash(&mut hasher);
    let partition = hasher.finish() % u64::from(count.max(1));
    u32::try_from(partition).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_where_other_clients_put_it() {
        // Where the producer of Fluvio's own client 0.26.1 put these keys on topics of 2, 4, 7 and 16 partitions; those of
        // 1,000 by another implementation of SipHash-2-4, held to the vector of its paper
        // (https://cr.yp.to/siphash/siphash-20120918.pdf, appendix A).
        let known: [(&[u8], [u32; 5]); 9] = [
            (b"", [1, 3, 3, 7, 119]),
            (b"a", [1, 3, 2, 11, 587]),
            (b"LD-1", [1, 1, 0, 5, 933]),
            (b"LD-2", [1, 3, 4, 11, 931]),
            (b"LD-1000", [0, 0, 3, 12, 348]),
            (b"LOAD-00000042", [1, 1, 2, 5, 997]),
            (b"0123456789abcdef", [1, 3, 4, 11, 283]),
            (&[0xff; 9], [1, 1, 2, 1, 273]),
            ("Z\u{fc}rich-7".as_bytes(), [1, 3, 1, 7, 271]),
        ];
        for (key, partitions) in known {
            let given = [2, 4, 7, 16, 1_000].map(|count| partition_of(key, count));
            assert_eq!(given, partitions, "{key:?}");
        }
    }

    #[test]
    fn keys_spread_over_all_partitions_and_each_stays_in_its_own() {
        let of = |count| (0..1_000).map(move |load| partition_of(format!("LD-{load}").as_bytes(), count));
        let mut counts = [0; 4];
        of(4).for_each(|partition| counts[partition as usize] += 1);
        assert!(counts.iter().all(|count| (180..320).contains(count)), "{counts:?}");
        assert!(of(4).eq(of(4)) && of(1).all(|partition| partition == 0));
    }
}
