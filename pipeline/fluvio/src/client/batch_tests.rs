//! Hand-made batches that no producer should make.

use std::io::Write;

use fluvio_protocol::{
    Decoder as _,
    record::{MemoryRecords, Record},
};
use proptest::prelude::*;

use super::*;

const MAX: usize = 1 << 20;

/// The content of a batch with records of these values, each with a key.
fn content(values: &[&str]) -> Vec<u8> {
    let records: MemoryRecords =
        values.iter().map(|value| Record::new_key_value("key", value.as_bytes())).collect();
    let mut bytes = Vec::new();
    records.encode(&mut bytes, 0).unwrap();
    bytes
}

/// A batch at offset 10 with this content, that takes `said` offsets.
fn batch(content: &[u8], said: i32) -> Batch<RawRecords> {
    compressed(content, said, 0)
}

fn compressed(content: &[u8], said: i32, codec: i16) -> Batch<RawRecords> {
    let mut batch = Batch::<RawRecords>::default();
    batch.set_base_offset(10);
    batch.set_offset_delta(said - 1);
    batch.header.attributes = codec;
    batch.header.first_timestamp = 5_000;
    batch.mut_records().0 = Bytes::copy_from_slice(content);
    let mut bytes = Vec::new();
    batch.encode(&mut bytes, 0).unwrap();
    let mut arrived = Batch::default();
    arrived.decode(&mut &bytes[..], 0).unwrap();
    arrived
}

fn read(batch: &Batch<RawRecords>) -> Vec<LogRecord> {
    BatchRecords::new(batch.clone(), MAX).collect()
}

/// The values before the bad place, and what is said of it: the first offset that is lost, the last, and why.
fn damage(batch: &Batch<RawRecords>) -> (Vec<String>, (u64, u64), String) {
    let records = read(batch);
    let (rest, good) = records.split_last().unwrap();
    assert!(good.iter().all(|record| record.unreadable.is_none() && record.last == record.offset));
    let values = good.iter().map(|record| String::from_utf8(record.bytes.to_vec()).unwrap());
    let mut whole = Vec::new();
    batch.encode(&mut whole, 0).unwrap();
    assert_eq!(rest.bytes, whole, "the letter has the batch");
    assert_eq!(rest.offset, 10 + good.len() as u64);
    assert_eq!(read(batch), records, "and is the same the next time");
    (values.collect(), (rest.offset, rest.last), rest.unreadable.as_deref().unwrap().to_owned())
}

/// `content` with one byte that stands `before` the text `value` made `to`.
fn broken(mut content: Vec<u8>, value: &str, before: usize, to: u8) -> Vec<u8> {
    let at = content.windows(value.len()).position(|part| part == value.as_bytes()).unwrap();
    content[at - before] = to;
    content
}

#[test]
fn a_batch_gives_its_records_with_their_offsets_and_times() {
    let mut late = Record::new("second");
    late.get_mut_header().set_timestamp_delta(7);
    let records = vec![Record::new_key_value("k", "first"), late, Record::new("")];
    let mut bytes = Vec::new();
    records.encode(&mut bytes, 0).unwrap();
    let found = read(&batch(&bytes, 3));
    let told: Vec<_> = found.iter().map(|one| (one.offset, &one.bytes[..], one.at)).collect();
    let expected: [(u64, &[u8], Option<u64>); 3] =
        [(10, b"first", Some(5_000)), (11, b"second", Some(5_007)), (12, b"", Some(5_000))];
    assert_eq!(told, expected);
    assert!(found.iter().all(|one| one.last == one.offset && one.unreadable.is_none()));
}

#[test]
fn a_length_that_is_negative_or_too_large_costs_the_rest_of_its_batch_and_nothing_else() {
    let good = || content(&["one", "two", "three"]);
    // Zigzag: 1 is -1, 126 is 63.
    for (to, len) in [(1, "-1"), (126, "63")] {
        let (values, lost, why) = damage(&batch(&broken(good(), "two", 1, to), 3));
        assert_eq!((values, lost), (vec!["one".to_owned()], (11, 12)));
        assert!(
            why.starts_with("records 11 to 12 cannot be read, of the batch at offset 10 with 3 offsets: ")
        );
        assert!(why.contains(&format!("a value has a length of {len}, where ")), "{why}");
    }
    // Before the key stand its length, its tag, the offset, the time, the attributes and the record's own length.
    let (_, lost, why) = damage(&batch(&broken(good(), "key\u{6}two", 1, 1), 3));
    assert_eq!(lost, (11, 12));
    assert!(why.contains("a key has a length of -1"), "{why}");
    let (_, lost, why) = damage(&batch(&broken(good(), "key\u{6}two", 2, 9), 3));
    assert_eq!(lost, (11, 12));
    assert!(why.contains("the byte before the key is 9"), "{why}");
    let (_, lost, why) = damage(&batch(&broken(good(), "key\u{6}one", 6, 1), 3));
    assert_eq!(lost, (10, 12));
    assert!(why.contains("a record has a length of -1"), "{why}");
}

#[test]
fn a_length_of_half_the_memory_there_is_allocates_nothing() {
    let good = content(&["one", "two"]);
    let at = good.windows(3).position(|part| part == b"two").unwrap();
    for len in [1_i64 << 40, i64::MAX, i64::MIN] {
        let mut bytes = good[..at - 1].to_vec();
        let mut zigzag = ((len << 1) ^ (len >> 63)).cast_unsigned();
        while zigzag > 0x7f {
            bytes.push(u8::try_from(zigzag & 0x7f).unwrap() | 0x80);
            zigzag >>= 7;
        }
        bytes.push(u8::try_from(zigzag).unwrap());
        bytes.extend_from_slice(b"two");
        let (values, _, why) = damage(&batch(&bytes, 2));
        assert_eq!(values, ["one"]);
        assert!(why.contains(&format!("a value has a length of {len}, where 3 bytes are left")), "{why}");
    }
    let mut endless = good[..at - 1].to_vec();
    endless.extend_from_slice(&[0xff; 40]);
    assert!(damage(&batch(&endless, 2)).2.contains("the number of a value does not end"));
}

#[test]
fn a_batch_that_is_cut_anywhere_gives_the_records_that_are_whole() {
    let whole = content(&["one", "two"]);
    let first = whole.len() - content(&["two"]).len() + 4;
    for len in 0..whole.len() {
        let (values, lost, why) = damage(&batch(&whole[..len], 2));
        let expected: &[&str] = if len < first { &[] } else { &["one"] };
        assert_eq!(
            (values, lost.1),
            (expected.iter().map(ToString::to_string).collect(), 11),
            "{len}: {why}"
        );
    }
}

#[test]
fn a_batch_that_holds_other_records_than_it_has_offsets_tells_of_it_at_its_last_offsets() {
    let three = content(&["one", "two", "three"]);
    let (values, lost, why) = damage(&batch(&three, 5));
    assert_eq!((values.len(), lost), (3, (13, 14)));
    assert!(why.contains("has offsets for 5 records and says that it holds 3"), "{why}");
    let (values, lost, _) = damage(&batch(&three, 2));
    assert_eq!((values.len(), lost), (1, (11, 11)), "two records have one offset between them");
    let mut many = three.clone();
    many[..4].copy_from_slice(&i32::MAX.to_be_bytes());
    assert_eq!(damage(&batch(&many, 3)).1, (12, 12));
    many[..4].copy_from_slice(&(-5_i32).to_be_bytes());
    assert_eq!(damage(&batch(&many, 3)).1, (10, 12));
    // It has no offset at which anything could be told; the cluster puts none such into its log.
    assert_eq!(read(&batch(&three, 0)), []);
    assert_eq!(read(&batch(&three, -7)), []);
}

#[test]
fn a_time_that_no_clock_can_show_is_none() {
    let mut late = Record::new("late");
    late.get_mut_header().set_timestamp_delta(1_000);
    let mut bytes = Vec::new();
    vec![late].encode(&mut bytes, 0).unwrap();
    let mut batch = batch(&bytes, 1);
    for first in [i64::MAX, -1, i64::MIN] {
        batch.header.first_timestamp = first;
        let found = read(&batch);
        assert_eq!((found.len(), found[0].at, &found[0].unreadable), (1, None, &None));
    }
}

/// The bytes as each of Fluvio's compressions makes them, with its number.
fn all_codecs(plain: &[u8]) -> [(i16, Vec<u8>); 4] {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(plain).unwrap();
    let mut snap = snap::write::FrameEncoder::new(Vec::new());
    snap.write_all(plain).unwrap();
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(plain).unwrap();
    [
        (1, gzip.finish().unwrap()),
        (2, snap.into_inner().unwrap()),
        (3, lz4.finish().unwrap()),
        (4, zstd::encode_all(plain, 1).unwrap()),
    ]
}

#[test]
fn a_compressed_batch_is_read_up_to_the_bound_and_beyond_it_not_at_all() {
    let plain = content(&["one", &"x".repeat(100_000)]);
    for (codec, sent) in all_codecs(&plain) {
        let batch = compressed(&sent, 2, codec);
        let of = |max| BatchRecords::new(batch.clone(), max).collect::<Vec<_>>();
        assert_eq!((of(plain.len()).len(), of(plain.len())[1].bytes.len()), (2, 100_000), "codec {codec}");
        let found = of(plain.len() - 1);
        assert_eq!((found.len(), found[0].offset, found[0].last), (1, 10, 11), "codec {codec}");
        let why = found[0].unreadable.as_deref().unwrap();
        let bound = plain.len() - 1;
        assert!(why.contains(&format!("decompressed it has more than the {bound} bytes")), "{why}");
    }
}

#[test]
fn what_cannot_be_decompressed_is_unreadable_as_a_whole() {
    let plain = content(&["one", "two"]);
    for (codec, sent) in all_codecs(&plain) {
        for damaged in [&sent[..sent.len() / 2], b"no such thing", b""] {
            let (values, lost, why) = damage(&compressed(damaged, 2, codec));
            assert_eq!((values.len(), lost), (0, (10, 11)), "codec {codec}: {why}");
        }
    }
    assert!(damage(&compressed(&plain, 2, 5)).2.contains("its compression has the number 5"));
}

#[test]
fn a_small_frame_that_wants_a_large_window_is_refused() {
    // A zstd frame's magic number, no flags, a window of 2^30 bytes (RFC 8878, section 3.1.1.1), and an empty last block.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 20 << 3, 0x01, 0x00, 0x00];
    let (_, _, why) = damage(&compressed(&frame, 1, 4));
    assert!(why.contains("cannot be decompressed") && why.contains("memory"), "{why}");
}

proptest! {
    #[test]
    fn whatever_a_batch_holds_each_of_its_offsets_is_accounted_for_once(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        values in proptest::collection::vec("[a-z]{0,9}", 0..6),
        (at, to) in (any::<proptest::sample::Index>(), any::<u8>()),
        (said, codec, mode) in (0..9_i32, 0..8_i16, 0..3_u8),
    ) {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let mut good = content(&values);
        let place = at.index(good.len());
        good[place] = to;
        let batch = match mode {
            0 => compressed(&bytes, said, codec),
            1 => batch(&good, said),
            _ => batch(&good[..place], said),
        };
        let mut next = 10;
        for record in read(&batch) {
            prop_assert_eq!(record.offset, next);
            prop_assert!(record.last >= record.offset);
            next = record.last + 1;
        }
        prop_assert_eq!(next, 10 + u64::try_from(said).unwrap());
    }
}
