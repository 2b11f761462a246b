//! Encodes a batch for the wire, each time it is sent.

use fluvio_protocol::record::{Batch, MemoryRecords, RawRecords, Record, RecordData, RecordKey};
use state::UnixMillis;

use crate::{ClusterFault, produce::BatchBuilder};

/// The batch as it goes over the wire.
pub(super) fn encode(builder: &BatchBuilder, now: UnixMillis) -> Result<Batch<RawRecords>, ClusterFault> {
    let records = builder.records().iter().map(|(key, value)| {
        let key = key.as_deref().map_or(RecordKey::NULL, RecordKey::from);
        Record::new_key_value(key, RecordData::from(value.to_vec()))
    });
    let mut batch = Batch::<MemoryRecords>::default();
    batch.add_records(&mut records.collect());
    let header = batch.get_mut_header();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    (header.first_timestamp, header.max_time_stamp) = (now, now);
    batch.try_into().map_err(|error| ClusterFault::Refused { what: "a batch", code: format!("{error}") })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use fluvio_protocol::Encoder;

    use super::*;
    use crate::produce::BATCH_BYTES;

    #[test]
    fn a_batch_has_the_records_in_order_with_their_keys_and_the_time() {
        let mut filling = BatchBuilder::default();
        assert!(filling.is_empty());
        for (key, value) in [(Some("LD-1"), "a"), (None, "b"), (Some("LD-2"), "c")] {
            filling.push(key.map(str::to_owned), &Bytes::from_static(value.as_bytes()));
        }
        assert!(!filling.has(BATCH_BYTES) && filling.len() == 3);
        let batch = encode(&filling, 1_234).unwrap();
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
    fn a_record_is_counted_as_long_as_it_is_in_the_clusters_form() {
        for len in [0, 1, 55, 63, 64, 127, 128, 1_000, 8_191, 8_192, 100_000, 1_048_575, 1_048_576] {
            for key in [None, Some("LD-1".to_owned()), Some("x".repeat(64))] {
                let value = Bytes::from(vec![b'x'; len]);
                let mut builder = BatchBuilder::default();
                builder.push(key.clone(), &value);
                let wire = Record::new_key_value(
                    key.as_deref().map_or(RecordKey::NULL, RecordKey::from),
                    RecordData::from(value.to_vec()),
                );
                let size = wire.write_size(0);
                assert!(builder.has(size) && !builder.has(size + 1), "{len} bytes under {key:?}");
            }
        }
    }
}
