//! A partition's identity, as it is kept in a checkpoint: topic and number enter, mark bytes leave. The cluster has no
//! identity that could be kept beside them: a topic that is deleted and made anew has the same mark.

use std::sync::Arc;

use sha2::{Digest, Sha256};

const VERSION: u8 = 1;
const DIGEST: usize = 16;

/// The mark of a partition: a version, 128 bits of the topic's SHA-256, the number.
pub fn mark(topic: &str, partition: u32) -> Arc<[u8]> {
    let mut mark = Vec::with_capacity(1 + DIGEST + 4);
    mark.push(VERSION);
    mark.extend_from_slice(&Sha256::digest(topic.as_bytes())[..DIGEST]);
    mark.extend_from_slice(&partition.to_le_bytes());
    Arc::from(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_tells_partitions_apart_and_fits_a_checkpoint() {
        let marks = [mark("a", 0), mark("a", 1), mark("b", 0), mark("shipment-events", u32::MAX)];
        let different: std::collections::BTreeSet<_> = marks.iter().collect();
        assert_eq!(different.len(), marks.len());
        assert!(marks.iter().all(|mark| mark.len() == 21 && mark.len() <= state::MARK_MAX));
        assert_eq!(mark("a", 0), mark("a", 0));
    }
}
