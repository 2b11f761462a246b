//! A batch being filled: records enter, the cluster's own form of a batch leaves, as often as it has to be sent.

use bytes::Bytes;
use fluvio_protocol::{
    Encoder,
    record::{Batch, MemoryRecords, RawRecords, Record, RecordData, RecordKey},
};
use state::UnixMillis;

use super::BATCH_BYTES;
use crate::source::ClusterFault;

/// Records of one partition, in the order of the input.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filling {
    records: MemoryRecords,
    bytes: usize,
}

impl Filling {
    /// Adds a record.
    pub(crate) fn push(&mut self, key: Option<String>, value: &Bytes) {
        let key = key.map_or(RecordKey::NULL, RecordKey::from);
        let record = Record::new_key_value(key, RecordData::from(value.to_vec()));
        self.bytes += record.write_size(0);
        self.records.push(record);
    }

    /// Whether a record of so many bytes has to go into the next batch, so that this one does not grow beyond
    /// [`BATCH_BYTES`]; an empty one takes a record of any length.
    pub(crate) fn is_too_full_for(&self, bytes: usize) -> bool {
        !self.is_empty() && self.bytes + bytes > BATCH_BYTES
    }

    /// Whether it has so many bytes, so that it is to be sent.
    pub(crate) fn has(&self, bytes: usize) -> bool {
        self.bytes >= bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(crate) fn len(&self) -> u64 {
        self.records.len() as u64
    }

    /// The batch as it goes over the wire.
    pub(crate) fn batch(&self, now: UnixMillis) -> Result<Batch<RawRecords>, ClusterFault> {
        let mut batch = Batch::<MemoryRecords>::default();
        batch.add_records(&mut self.records.clone());
        let header = batch.get_mut_header();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        (header.first_timestamp, header.max_time_stamp) = (now, now);
        batch.try_into().map_err(|error| ClusterFault::Refused { what: "a batch", code: format!("{error}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_the_records_in_order_with_their_keys_and_the_time() {
        let mut filling = Filling::default();
        assert!(filling.is_empty());
        for (key, value) in [(Some("LD-1"), "a"), (None, "b"), (Some("LD-2"), "c")] {
            filling.push(key.map(str::to_owned), &Bytes::from_static(value.as_bytes()));
        }
        assert!(!filling.has(BATCH_BYTES) && filling.len() == 3);
        let batch = filling.batch(1_234).unwrap();
        assert_eq!((batch.records_len(), batch.get_base_timestamp()), (3, 1_234));
        let records = batch.memory_records().unwrap();
        let shown: Vec<_> = records
            .iter()
            .map(|record| {
                let key = record.key().map(|key| key.to_vec());
                (key, record.value().to_vec(), record.offset_delta())
            })
            .collect();
        let expected = [
            (Some(b"LD-1".to_vec()), b"a".to_vec(), 0),
            (None, b"b".to_vec(), 1),
            (Some(b"LD-2".to_vec()), b"c".to_vec(), 2),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_batch_is_full_before_it_is_too_long_for_a_consumer() {
        let mut filling = Filling::default();
        let event = Bytes::from(vec![b'x'; 1_000]);
        while !filling.has(BATCH_BYTES) {
            filling.push(Some("LD-1".to_owned()), &event);
        }
        assert!(filling.bytes < BATCH_BYTES + 2_000 && filling.len() > 60);
    }
}
