//! A batch that is being filled. Knows its encoded size, so that it is sent in time.

use bytes::Bytes;

use super::BATCH_BYTES;

/// Records of one partition, in the order of the input.
#[derive(Clone, Debug, Default)]
pub struct BatchBuilder {
    records: Vec<(Option<String>, Bytes)>,
    bytes: usize,
}

impl BatchBuilder {
    /// Adds a record.
    pub fn push(&mut self, key: Option<String>, value: &Bytes) {
        self.bytes += record_size(key.as_deref(), value);
        self.records.push((key, value.clone()));
    }

    /// The records: key and value.
    #[must_use]
    pub fn records(&self) -> &[(Option<String>, Bytes)] {
        &self.records
    }

    /// Whether a record of this many bytes must go into the next batch, so that this one does not exceed
    /// [`BATCH_BYTES`]; an empty batch takes a record of any length.
    pub fn is_too_full_for(&self, bytes: usize) -> bool {
        !self.is_empty() && self.bytes + bytes > BATCH_BYTES
    }

    /// Whether it has at least this many bytes, so that it is sent.
    pub fn has(&self, bytes: usize) -> bool {
        self.bytes >= bytes
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How many records are in it.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.records.len() as u64
    }
}

/// How many bytes a record takes in a batch. Lengths are varints in zigzag form, as in Kafka's batches of version 2.
fn record_size(key: Option<&str>, value: &Bytes) -> usize {
    // Attributes, the deltas of time and offset, whether there is a key, and how many headers there are.
    const FIXED: usize = 5;
    let data = |len: usize| varint_size(len) + len;
    let inner = FIXED + key.map_or(0, |key| data(key.len())) + data(value.len());
    data(inner)
}

/// How many bytes a length takes.
fn varint_size(len: usize) -> usize {
    let bits = usize::BITS - len.leading_zeros() + 1;
    bits.div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_full_before_it_is_too_long_for_a_consumer() {
        let mut filling = BatchBuilder::default();
        let event = Bytes::from(vec![b'x'; 1_000]);
        while !filling.has(BATCH_BYTES) {
            filling.push(Some("LD-1".to_owned()), &event);
        }
        assert!(filling.bytes < BATCH_BYTES + 2_000 && filling.len() > 60);
    }
}
