//! Takes the complete batches of a leader's response, and the offset behind the last of them, which is what may be
//! acknowledged.
//!
//! A batch's header has its length and its number of offsets, so the content need not be read here; [`BatchRecords`]
//! accounts for each offset. What the byte limit has cut off is sent again.

use fluvio_protocol::record::{BATCH_HEADER_SIZE, Batch, RawRecords};
use fluvio_spu_schema::server::stream_fetch::DefaultStreamFetchResponse;

use super::{
    super::partition::{ClusterFault, LogRecord},
    batch::{BatchRecords, span},
    leader::accepted,
};

/// The most decompressed bytes of a batch, as a multiple of `max_bytes`. By default that is 32 MiB; Fluvio's producer
/// puts at most 1 MiB into a request.
const INFLATED_TIMES: usize = 16;
/// The length of a schema's id, which stands between header and records.
const SCHEMA_ID: usize = size_of::<u32>();

/// The position of a stream's decoding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoder {
    /// The offset at which the stream was opened; its batch may begin before it.
    at: u64,
    next: u64,
    max_bytes: usize,
}

impl Decoder {
    /// A stream that was opened at `at`, in responses of at most `max_bytes`.
    pub(super) fn new(at: u64, max_bytes: usize) -> Self {
        Self { at, next: at, max_bytes }
    }

    /// The offset behind the last batch taken; it never decreases.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// The batches of a response, up to the first that is not whole.
    ///
    /// # Errors
    /// A refusal; [`ClusterFault::BatchTooLong`] and [`ClusterFault::Backward`] if there is nothing from [`Self::next`]
    /// on, although the log has more.
    pub(super) fn take(
        &mut self,
        response: DefaultStreamFetchResponse,
    ) -> Result<Vec<Batch<RawRecords>>, ClusterFault> {
        let partition = response.partition;
        accepted("records", &partition.error_code)?;
        let (at, max_bytes) = (self.next, self.max_bytes);
        let mut batches = partition.records.batches;
        batches.truncate(batches.iter().take_while(|batch| is_whole(batch)).count());
        for (base, said) in batches.iter().map(span) {
            self.next = self.next.max(base.saturating_add(said));
        }
        let more = u64::try_from(partition.high_watermark).is_ok_and(|end| end > at);
        match (self.next == at && more, batches.is_empty()) {
            // An empty response although there is more: the next batch does not fit.
            (true, true) => Err(ClusterFault::BatchTooLong { at, max_bytes }),
            // Requesting it again would give the same response for ever.
            (true, false) => Err(ClusterFault::Backward { at }),
            (false, _) => Ok(batches),
        }
    }

    /// The records of a batch that was taken, from the place the stream was opened at on.
    pub(super) fn records(&self, batch: Batch<RawRecords>) -> impl Iterator<Item = LogRecord> + Send + use<> {
        let at = self.at;
        let records = BatchRecords::new(batch, self.max_bytes.saturating_mul(INFLATED_TIMES));
        // Those before it are in the stream's first batch only by chance.
        records.skip_while(move |record| record.last < at)
    }
}

/// Whether a batch is as long as it says. The pinned client gives no other; later ones do (docs/fluvio-failures.md).
fn is_whole(batch: &Batch<RawRecords>) -> bool {
    let schema = if batch.header.has_schema() { SCHEMA_ID } else { 0 };
    usize::try_from(batch.batch_len()) == Ok(BATCH_HEADER_SIZE + schema + batch.records().0.len())
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

    fn arrived(batches: Vec<Batch<RawRecords>>) -> DefaultStreamFetchResponse {
        response(cut(batches, 1 << 20))
    }

    /// The offsets that each record of a response stands for.
    fn offsets(
        decoder: &mut Decoder,
        response: DefaultStreamFetchResponse,
    ) -> Result<Vec<(u64, u64)>, ClusterFault> {
        let batches = decoder.take(response)?;
        let records = batches.into_iter().flat_map(|batch| decoder.records(batch));
        Ok(records.map(|record| (record.offset, record.last)).collect())
    }

    fn each(offsets: std::ops::Range<u64>) -> Vec<(u64, u64)> {
        offsets.map(|offset| (offset, offset)).collect()
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
            let found = offsets(&mut decoder, response(cut(batches(), max_bytes))).unwrap();
            assert_eq!(found, each(10..10 + 20 * whole), "{max_bytes} bytes");
            assert_eq!(decoder.next(), 10 + 20 * whole);
        }
        let mut decoder = Decoder::new(10, one - 1);
        let fault = decoder.take(response(cut(batches(), one - 1))).unwrap_err();
        assert_eq!(fault, ClusterFault::BatchTooLong { at: 10, max_bytes: one - 1 });
    }

    #[test]
    fn a_batch_that_a_client_gives_cut_is_not_taken_for_a_damaged_one() {
        let mut short = cut(vec![batch(16, 2)], 1 << 20).batches.remove(0);
        let records = &mut short.mut_records().0;
        records.truncate(records.len() - 1);
        let mut batches = cut(vec![batch(10, 6)], 1 << 20).batches;
        batches.push(short.clone());
        let mut decoder = Decoder::new(10, 1 << 20);
        assert_eq!(offsets(&mut decoder, response(RecordSet { batches })).unwrap(), each(10..16));
        assert_eq!(decoder.next(), 16, "the next response begins with it");
        let fault = decoder.take(response(RecordSet { batches: vec![short] })).unwrap_err();
        assert_eq!(fault, ClusterFault::BatchTooLong { at: 16, max_bytes: 1 << 20 });
    }

    #[test]
    fn a_stream_opened_within_a_batch_gives_its_rest_and_what_follows() {
        let mut decoder = Decoder::new(14, 1 << 20);
        let found = offsets(&mut decoder, arrived(vec![batch(10, 6), batch(16, 2)])).unwrap();
        assert_eq!((found, decoder.next()), (each(14..18), 18));
    }

    #[test]
    fn offsets_without_a_record_are_accounted_for_wherever_the_stream_was_opened() {
        let mut wrong = batch(16, 2);
        wrong.set_offset_delta(4);
        let batches = || vec![batch(10, 6), wrong.clone(), batch(21, 1)];
        for at in [10, 17, 18] {
            let mut decoder = Decoder::new(at, 1 << 20);
            let mut expected = each(at..18);
            expected.extend([(18, 20), (21, 21)]);
            assert_eq!(offsets(&mut decoder, arrived(batches())).unwrap(), expected);
            assert_eq!(decoder.next(), 22);
        }
        // Within what one letter stands for it is the same letter; behind that it is none.
        for (at, expected) in [(20, vec![(18, 20), (21, 21)]), (21, each(21..22))] {
            assert_eq!(offsets(&mut Decoder::new(at, 1 << 20), arrived(batches())).unwrap(), expected);
        }
    }

    #[test]
    fn what_comes_again_is_given_and_never_acknowledged_backwards() {
        let mut decoder = Decoder::new(10, 1 << 20);
        let found = offsets(&mut decoder, arrived(vec![batch(10, 6), batch(12, 2), batch(16, 1)])).unwrap();
        assert_eq!(found.len(), 9);
        assert_eq!(decoder.next(), 17);
        let fault = decoder.take(arrived(vec![batch(10, 6)])).unwrap_err();
        assert_eq!((fault, decoder.next()), (ClusterFault::Backward { at: 17 }, 17));
    }

    #[test]
    fn a_response_with_nothing_in_it_is_fine_if_there_is_nothing() {
        let mut nothing = response(RecordSet::default());
        nothing.partition.high_watermark = 10;
        let mut decoder = Decoder::new(10, 1);
        assert!(decoder.take(nothing).unwrap().is_empty());
        assert_eq!(decoder.next(), 10);
    }

    #[test]
    fn a_refusal_is_a_fault_in_the_clusters_words() {
        let mut refusal = response(RecordSet::default());
        refusal.partition.error_code = ErrorCode::NotLeaderForPartition;
        let fault = Decoder::new(0, 1).take(refusal).unwrap_err();
        assert!(fault.to_string().contains("not the leader"), "{fault}");
    }
}
