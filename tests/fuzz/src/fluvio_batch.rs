//! Batches of a Fluvio topic: whatever a producer sent, each offset of the batch is accounted for, once, and the same bytes
//! give the same records.

use fluvio_engine::fuzzing::{Record, batch_records};

/// The most plain bytes of one batch.
const PLAIN_MAX: usize = 64 << 10;
/// Where the batch stands.
const BASE: u64 = 10;

/// Takes `input` as a batch's content: two bytes say how many offsets it takes and how it is compressed.
pub fn fluvio_batch(input: &[u8]) {
    let [said, codec, content @ ..] = input else { return };
    let (said, codec) = (i32::from(*said) + 1, i16::from(*codec % 8));
    let records = batch_records(content, BASE, said, codec, PLAIN_MAX);
    let mut next = BASE;
    for Record { offset, last, bytes, unreadable } in &records {
        assert_eq!(*offset, next, "no offset is left out and none comes twice");
        assert!(last >= offset && (*unreadable || last == offset));
        assert!(*unreadable || bytes.len() <= PLAIN_MAX);
        next = last + 1;
    }
    assert_eq!(next, BASE + u64::from(said.unsigned_abs()), "each offset is accounted for");
    assert_eq!(batch_records(content, BASE, said, codec, PLAIN_MAX), records);
}
