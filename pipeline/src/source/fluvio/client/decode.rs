//! A response of the leader: its batches enter, records leave, and the offset behind the last of them, which is what may
//! be acknowledged.

use bytes::Bytes;
use fluvio_protocol::record::{Batch, RawRecords};
use fluvio_spu_schema::server::stream_fetch::DefaultStreamFetchResponse;

use super::{
    super::partition::{ClusterFault, LogRecord},
    leader::accepted,
};

/// How far a stream has been decoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoder {
    /// Where the stream was opened: the batch that holds this offset may begin before it.
    at: u64,
    next: u64,
    max_bytes: usize,
}

/// What came out of a response.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) records: Vec<LogRecord>,
    /// What is wrong with what follows them.
    pub(super) then: Option<ClusterFault>,
}

impl Decoder {
    /// A stream that was opened at `at`, in responses of at most `max_bytes`.
    pub(super) fn new(at: u64, max_bytes: usize) -> Self {
        Self { at, next: at, max_bytes }
    }

    /// The offset behind the last decoded record.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Decodes a response, up to the first batch that is not whole.
    pub(super) fn decode(&mut self, response: DefaultStreamFetchResponse) -> Result<Decoded, ClusterFault> {
        let partition = response.partition;
        accepted("records", &partition.error_code)?;
        let before = self.next;
        let mut decoded = Decoded { records: Vec::new(), then: None };
        for batch in partition.records.batches {
            if let Err(fault) = self.decode_batch(&batch, &mut decoded.records) {
                decoded.then = Some(fault);
                break;
            }
        }
        // A response with nothing in it although there is something: what there is does not fit.
        let more = u64::try_from(partition.high_watermark).is_ok_and(|end| end > before);
        if self.next == before && more && decoded.then.is_none() {
            return Err(ClusterFault::BatchTooLong { at: before, max_bytes: self.max_bytes });
        }
        Ok(decoded)
    }

    fn decode_batch(
        &mut self,
        batch: &Batch<RawRecords>,
        into: &mut Vec<LogRecord>,
    ) -> Result<(), ClusterFault> {
        let base = u64::try_from(batch.base_offset).unwrap_or(0);
        let records = batch
            .memory_records()
            .map_err(|error| ClusterFault::BatchUnreadable { at: base, detail: error.to_string() })?;
        let (said, found) = (batch.records_len(), records.len());
        let produced = batch.get_base_timestamp();
        into.reserve(found);
        for (offset, record) in (base..).zip(records) {
            // Those before the place the stream was opened at are in its first batch only by chance.
            if offset < self.at {
                continue;
            }
            let at =
                if produced > 0 { u64::try_from(produced + record.timestamp_delta()).ok() } else { None };
            into.push(LogRecord { offset, bytes: Bytes::clone(record.value()), at });
            self.next = offset + 1;
        }
        if said == found { Ok(()) } else { Err(ClusterFault::BatchBroken { at: base, said, found }) }
    }
}

#[cfg(test)]
mod tests {
    use fluvio_protocol::{
        Decoder as _, Encoder,
        link::ErrorCode,
        record::{MemoryRecords, Record, RecordSet},
    };

    use super::*;

    /// A batch of `count` records from `base` on, 100 bytes each.
    fn batch(base: i64, count: usize) -> Batch<RawRecords> {
        let mut records: MemoryRecords = (0..count).map(|_| Record::new(vec![b'x'; 100])).collect();
        let mut batch = Batch::<MemoryRecords>::default();
        batch.add_records(&mut records);
        batch.set_base_offset(base);
        batch.get_mut_header().first_timestamp = 5_000;
        batch.try_into().unwrap()
    }

    fn response(records: RecordSet<RawRecords>) -> DefaultStreamFetchResponse {
        let mut response = DefaultStreamFetchResponse::default();
        response.partition.records = records;
        response.partition.high_watermark = 1_000;
        response
    }

    /// What arrives of these batches if the leader's response may have `max_bytes`.
    fn cut(batches: Vec<Batch<RawRecords>>, max_bytes: usize) -> RecordSet<RawRecords> {
        let mut whole = Vec::new();
        RecordSet { batches }.encode(&mut whole, 0).unwrap();
        // The length stands before the batches, and is of what was sent.
        let sent = max_bytes.min(whole.len() - 4);
        let mut wire = i32::try_from(sent).unwrap().to_be_bytes().to_vec();
        wire.extend_from_slice(&whole[4..4 + sent]);
        let mut arrived = RecordSet::default();
        arrived.decode(&mut &wire[..], 0).unwrap();
        arrived
    }

    fn offsets(decoded: &Decoded) -> Vec<u64> {
        decoded.records.iter().map(|record| record.offset).collect()
    }

    #[test]
    fn a_batch_that_the_byte_limit_cuts_off_is_not_taken_and_not_acknowledged() {
        let batches = || vec![batch(10, 20), batch(30, 20), batch(50, 20)];
        let one = {
            let mut bytes = Vec::new();
            batch(10, 20).encode(&mut bytes, 0).unwrap();
            bytes.len()
        };
        for (max_bytes, whole) in
            [(3 * one, 3), (3 * one - 1, 2), (2 * one + 70, 2), (2 * one - 50, 1), (one, 1)]
        {
            let mut decoder = Decoder::new(10, max_bytes);
            let decoded = decoder.decode(response(cut(batches(), max_bytes))).unwrap();
            assert_eq!(offsets(&decoded), (10..10 + 20 * whole).collect::<Vec<u64>>(), "{max_bytes} bytes");
            assert_eq!((decoder.next(), &decoded.then), (10 + 20 * whole, &None));
        }
        let mut decoder = Decoder::new(10, one - 1);
        let fault = decoder.decode(response(cut(batches(), one - 1))).unwrap_err();
        assert_eq!(fault, ClusterFault::BatchTooLong { at: 10, max_bytes: one - 1 });
    }

    #[test]
    fn a_stream_opened_within_a_batch_gives_its_rest_and_what_follows() {
        let mut decoder = Decoder::new(14, 1 << 20);
        let decoded = decoder.decode(response(cut(vec![batch(10, 6), batch(16, 2)], 1 << 20))).unwrap();
        assert_eq!((offsets(&decoded), decoder.next()), (vec![14, 15, 16, 17], 18));
        assert_eq!((decoded.records[0].bytes.len(), decoded.records[0].at), (100, Some(5_000)));
    }

    #[test]
    fn a_batch_that_has_other_records_than_it_says_is_told_of_after_those_before_it() {
        let mut wrong = batch(16, 2);
        wrong.set_offset_delta(4);
        let mut decoder = Decoder::new(10, 1 << 20);
        let decoded = decoder.decode(response(RecordSet { batches: vec![batch(10, 6), wrong] })).unwrap();
        assert_eq!(decoded.records.len(), 8);
        assert_eq!(decoded.then, Some(ClusterFault::BatchBroken { at: 16, said: 5, found: 2 }));
    }

    #[test]
    fn a_response_with_nothing_in_it_is_fine_if_there_is_nothing() {
        let mut nothing = response(RecordSet::default());
        nothing.partition.high_watermark = 10;
        let mut decoder = Decoder::new(10, 1);
        assert!(decoder.decode(nothing).unwrap().records.is_empty());
        assert_eq!(decoder.next(), 10);
    }

    #[test]
    fn a_refusal_is_a_fault_in_the_clusters_words() {
        let mut refusal = response(RecordSet::default());
        refusal.partition.error_code = ErrorCode::NotLeaderForPartition;
        let fault = Decoder::new(0, 1).decode(refusal).unwrap_err();
        assert!(fault.to_string().contains("not the leader"), "{fault}");
    }
}
