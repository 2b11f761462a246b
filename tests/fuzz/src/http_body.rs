//! Posts: a body is split into records, each its own bytes as they stand in it; a compressed one is unpacked within bounds.

use sources::fuzzing::{inflate, records};

const RECORDS_MAX: usize = 16;
const RECORD_MAX: usize = 512;
/// Below what the ratio between compressed and plain bytes would stop, so that this bound is what stops it.
const BODY_MAX: usize = 16 << 10;

/// Takes `input` as a plain body, of any content type.
pub fn http_body(input: &[u8]) {
    for says_lines in [false, true] {
        let Ok(records) = records(input, says_lines, RECORDS_MAX, RECORD_MAX) else { continue };
        assert!(records.len() <= RECORDS_MAX);
        let mut rest = input;
        for record in &records {
            assert!(!record.is_empty() && record.len() <= RECORD_MAX);
            let at =
                rest.windows(record.len()).position(|part| part == record).expect("it stands in the body");
            rest = &rest[at + record.len()..];
        }
        let unmarked = input.strip_prefix("\u{feff}".as_bytes()).unwrap_or(input);
        match serde_json::from_slice(unmarked) {
            Ok(serde_json::Value::Array(elements)) if !says_lines => {
                assert_eq!(elements.len(), records.len(), "each element is a record");
            }
            _ => assert!(!records.is_empty(), "only an empty array holds none"),
        }
    }
}

/// Takes `input` as a compressed body.
pub fn http_gzip(input: &[u8]) {
    if let Ok(plain) = inflate(input, BODY_MAX) {
        assert!(plain.len() <= BODY_MAX);
        http_body(&plain);
    }
}
