//! Which partition a key belongs to: murmur2 of the key modulo the number of partitions, as Java's producer and
//! librdkafka's `murmur2_random` have it, so that a load's events stay together whoever produces them.

/// The partition of `key` among `count`, which is at least 1.
#[must_use]
pub fn partition_of(key: &[u8], count: u32) -> u32 {
    // The sign bit is cut off, as Java does.
    (murmur2(key) & 0x7fff_ffff) % count.max(1)
}

/// MurmurHash2 for 32 bits, with the seed of Kafka's `Utils.murmur2`.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let (words, rest) = data.as_chunks::<4>();
    let mut hash = SEED ^ length;
    for word in words {
        let mut mixed = u32::from_le_bytes(*word).wrapping_mul(M);
        mixed = (mixed ^ (mixed >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ mixed;
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| tail << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_hash_that_java_gives_it() {
        // From org.apache.kafka.common.utils.UtilsTest.testMurmur2.
        let known: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, hash) in known {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn keys_spread_over_all_partitions_and_none_is_beyond() {
        let mut counts = [0; 12];
        for load in 0..6_000 {
            counts[partition_of(format!("LD-{load}").as_bytes(), 12) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (380..640).contains(count)), "{counts:?}");
        assert_eq!((partition_of(b"", 1), partition_of(b"x", 0)), (0, 0));
    }
}
