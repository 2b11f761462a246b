//! Entry points for the fuzz targets (feature `fuzzing`): a batch without a cluster.

use bytes::Bytes;
use fluvio_protocol::record::{Batch, RawRecords};

use super::batch::BatchRecords;

/// A record of a batch, or what stands for several that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its offset.
    pub offset: u64,
    /// The last offset it stands for.
    pub last: u64,
    /// Its value, or the whole batch if it cannot be read.
    pub bytes: Bytes,
    /// Whether it cannot be read.
    pub unreadable: bool,
}

/// The records of a batch at `base` that takes `said` offsets, with this content, compressed as the number `codec` says, of
/// which at most `max` plain bytes are taken.
#[must_use]
pub fn batch_records(content: &[u8], base: u64, said: i32, codec: i16, max: usize) -> Vec<Record> {
    let mut batch = Batch::<RawRecords>::default();
    batch.set_base_offset(i64::try_from(base).unwrap_or(i64::MAX));
    batch.set_offset_delta(said - 1);
    batch.header.attributes = codec;
    batch.header.first_timestamp = 5_000;
    batch.mut_records().0 = Bytes::copy_from_slice(content);
    let records = BatchRecords::new(batch, max).map(|record| Record {
        offset: record.offset,
        last: record.last,
        bytes: record.bytes,
        unreadable: record.unreadable.is_some(),
    });
    records.collect()
}
