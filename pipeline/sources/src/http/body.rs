//! Splits a post's body into records: one JSON value, the elements of a JSON array, or the lines of NDJSON. Each
//! record is its own bytes exactly as they are in the body.
//!
//! The content decides what a body is, because producers often send the wrong content type. Only a type that says
//! NDJSON is believed: then a broken line is one broken record among good ones, and becomes a dead letter like a
//! broken line of a file. A body of any other type that is neither JSON nor begins with a line of JSON is refused as
//! a whole, so that half of an indented object does not become a dozen dead letters.

use std::{cell::Cell, fmt};

use bytes::Bytes;
use serde::de::{self, DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The bounds of a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordLimits {
    /// The most records.
    pub(super) records_max: usize,
    /// The most bytes of one.
    pub(super) record_max: usize,
}

/// Why a body gives no records.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyFault {
    #[error("the body holds no record; post a JSON object, an array of them, or NDJSON")]
    Empty,
    #[error("the body is neither JSON nor NDJSON: {0}; nothing of it was accepted")]
    Unreadable(#[from] serde_json::Error),
    #[error("the body holds more than {max} records; post them in several bodies")]
    TooMany { max: usize },
    #[error(
        "record {number} of the body has {len} bytes, {max} is the limit; nothing of the body was accepted"
    )]
    TooLong { number: usize, len: usize, max: usize },
    #[error(
        "the headers name one CloudEvent, and the body holds {records} records: post each alone, or a batch in structured mode"
    )]
    SeveralOfOne { records: usize },
}

/// The records of `body`, in order; none only if it is an empty array. `says_lines` if its content type says NDJSON.
pub(super) fn records(body: &Bytes, says_lines: bool, limits: RecordLimits) -> Result<Vec<Bytes>, BodyFault> {
    // A reader may pass over a byte order mark (RFC 8259, section 8.1).
    let body = if body.starts_with(BYTE_ORDER_MARK) { &body.slice(BYTE_ORDER_MARK.len()..) } else { body };
    let records = split(body, says_lines, limits.records_max)?;
    let max = limits.record_max;
    match records.iter().position(|record| record.len() > max) {
        Some(at) => Err(BodyFault::TooLong { number: at + 1, len: records[at].len(), max }),
        None => Ok(records),
    }
}

fn split(body: &Bytes, says_lines: bool, max: usize) -> Result<Vec<Bytes>, BodyFault> {
    let start = body.iter().position(|byte| !byte.is_ascii_whitespace()).ok_or(BodyFault::Empty)?;
    if says_lines {
        return lines(body, max);
    }
    if body[start] == b'[' {
        return elements(body, max);
    }
    match serde_json::from_slice::<&RawValue>(body) {
        Ok(value) => Ok(vec![body.slice_ref(value.get().as_bytes())]),
        Err(_) if first_line_is_json(&body[start..]) => lines(body, max),
        Err(error) => Err(error.into()),
    }
}

fn first_line_is_json(body: &[u8]) -> bool {
    memchr::memchr(b'\n', body).is_some_and(|end| serde_json::from_slice::<&RawValue>(&body[..end]).is_ok())
}

/// The non-empty lines, without their endings.
fn lines(body: &Bytes, max: usize) -> Result<Vec<Bytes>, BodyFault> {
    let mut records = Vec::new();
    for line in body.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        if records.len() == max {
            return Err(BodyFault::TooMany { max });
        }
        records.push(body.slice_ref(line));
    }
    Ok(records)
}

fn elements(body: &Bytes, max: usize) -> Result<Vec<Bytes>, BodyFault> {
    let too_many = Cell::new(false);
    let mut array = serde_json::Deserializer::from_slice(body);
    let read = Elements { max, too_many: &too_many }.deserialize(&mut array);
    if too_many.get() {
        return Err(BodyFault::TooMany { max });
    }
    let elements = read?;
    array.end()?;
    Ok(elements.into_iter().map(|element| body.slice_ref(element.get().as_bytes())).collect())
}

/// Reads an array's elements unparsed, at most `max`.
struct Elements<'c> {
    max: usize,
    too_many: &'c Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Elements<'_> {
    type Value = Vec<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = array.next_element()? {
            if elements.len() == self.max {
                self.too_many.set(true);
                return Err(de::Error::custom("too many elements"));
            }
            elements.push(element);
        }
        Ok(elements)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: RecordLimits = RecordLimits { records_max: 4, record_max: 40 };

    fn of(body: &str, says_lines: bool) -> Result<Vec<String>, String> {
        let records = records(&Bytes::copy_from_slice(body.as_bytes()), says_lines, LIMITS);
        let text = |record: Bytes| String::from_utf8(record.to_vec()).unwrap();
        records.map(|all| all.into_iter().map(text).collect()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn each_record_is_its_own_bytes_as_they_stand_in_the_body() {
        let table = [
            (" {\"a\" : 1.50,\n \"b\":\"\\u00e9\"}\n", vec!["{\"a\" : 1.50,\n \"b\":\"\\u00e9\"}"]),
            ("[ {\"a\" : 1e1} ,\n{}, [1, 2],null]", vec!["{\"a\" : 1e1}", "{}", "[1, 2]", "null"]),
            ("{\"a\": 1}\r\n\n\r\n{\"b\": 2} \n", vec!["{\"a\": 1}", "{\"b\": 2} "]),
            ("{\"a\": 1}\nnot json\n{\"cut", vec!["{\"a\": 1}", "not json", "{\"cut"]),
            ("\n{}\n{}", vec!["{}", "{}"]),
            ("17", vec!["17"]),
            // A batch of CloudEvents may be empty.
            (" [ ] ", vec![]),
            ("\u{feff}{\"a\": 1}", vec!["{\"a\": 1}"]),
            ("\u{feff}[1]", vec!["1"]),
        ];
        for (body, expected) in table {
            assert_eq!(of(body, false).unwrap(), expected, "{body}");
        }
        assert_eq!(of("[1]\nnot json\n{}", true).unwrap(), ["[1]", "not json", "{}"], "the type is believed");
    }

    #[test]
    fn a_body_that_cannot_be_read_says_why_and_where() {
        let table = [
            ("", "no record"),
            (" \r\n ", "no record"),
            ("{\n \"a\": 1,\n \"b\": }\n", "line 3 column 7"),
            ("{\"a\": 1", "EOF while parsing an object at line 1"),
            ("not json\n{}\n", "line 1"),
            ("[{}, {]", "line 1 column 7"),
            ("[{}] x", "trailing characters at line 1 column 6"),
            ("[1,2,3,4,5]", "more than 4 records"),
            ("1\n2\n3\n4\n5", "more than 4 records"),
            ("[1, \"01234567890123456789012345678901234567890\"]", "record 2 of the body has 43 bytes, 40"),
        ];
        for (body, why) in table {
            let fault = of(body, false).unwrap_err();
            assert!(fault.contains(why), "{body}: {fault}");
        }
        let not_text = records(&Bytes::from_static(b"{\"a\": \"\xff\"}"), false, LIMITS);
        assert!(matches!(not_text, Err(BodyFault::Unreadable(_))), "{not_text:?}");
    }

    #[test]
    fn nesting_as_deep_as_a_body_is_long_is_no_trouble() {
        let limits = RecordLimits { records_max: 1, record_max: 1 << 20 };
        let deep = Bytes::from("[".repeat(100_000) + &"]".repeat(100_000));
        assert!(records(&deep, false, limits).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_give_records_within_the_limits_or_a_fault_but_never_a_panic(
            body in prop_oneof![any::<Vec<u8>>(), "[\\[\\]{},:\"a1\n\r ]{0,60}".prop_map(String::into_bytes)],
            says_lines: bool,
        ) {
            if let Ok(records) = records(&Bytes::from(body), says_lines, LIMITS) {
                prop_assert!(records.len() <= 4);
                prop_assert!(records.iter().all(|record| !record.is_empty() && record.len() <= 40));
            }
        }
    }
}
