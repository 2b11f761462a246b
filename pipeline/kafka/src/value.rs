//! A record's value as the line takes it: what stands around an event is taken away, within a bound, or named if it
//! cannot be. Pure.

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use stages::{BinaryEvent, models::Unreadable};

use crate::{
    consumer::LogRecord,
    headers::{CONTENT_ENCODING, CONTENT_TYPE, Headers, TRACE_PARENT},
    options::Framing,
};

/// What stands before a value that a schema registry's serializer has written: a zero byte and the schema's number.
const FRAME: usize = 5;

/// How values are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ValueForm {
    pub(crate) framing: Framing,
    /// The longest value that is given whole, in bytes.
    pub(crate) record_max: usize,
}

/// A value, or as much of it as there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    /// The event's bytes; only the beginning if `full_len` is larger.
    pub(crate) bytes: Bytes,
    /// How many there are, or more than `bytes` has if that is not known.
    pub(crate) full_len: u64,
    /// Why it is no event, if so.
    pub(crate) unreadable: Option<Unreadable>,
}

impl ValueForm {
    /// The value of `record`.
    pub(crate) fn read(&self, record: LogRecord) -> Value {
        let LogRecord { value, full_len, headers, .. } = record;
        let Some(bytes) = value else {
            let why = "the record has a key and no value (a tombstone): there is no event to deliver";
            return Value {
                bytes: Bytes::new(),
                full_len: 0,
                unreadable: Some(Unreadable::NoValue(why.into())),
            };
        };
        if full_len > bytes.len() as u64 {
            return Value { bytes, full_len, unreadable: None };
        }
        match self.unwrap(bytes.clone(), &headers) {
            Ok(value) => value,
            Err(why) => Value { bytes, full_len, unreadable: Some(why) },
        }
    }

    fn unwrap(&self, bytes: Bytes, headers: &Headers) -> Result<Value, Unreadable> {
        let bytes = self.unframed(bytes)?;
        let value = self.decompressed(bytes, headers)?;
        if self.framing != Framing::CloudEvents || value.full_len > value.bytes.len() as u64 {
            return Ok(value);
        }
        let attributes: Vec<_> = headers.cloud_event().collect();
        let event = BinaryEvent {
            attributes: &attributes,
            content_type: headers.text(CONTENT_TYPE),
            traceparent: headers.text(TRACE_PARENT),
        };
        Ok(event.structured(&value.bytes).map_or(value, Value::whole))
    }

    fn unframed(&self, bytes: Bytes) -> Result<Bytes, Unreadable> {
        // No JSON begins with a zero byte.
        let [0, number @ ..] = &*bytes else { return Ok(bytes) };
        if self.framing == Framing::SchemaRegistry && bytes.len() >= FRAME {
            return Ok(bytes.slice(FRAME..));
        }
        match number.first_chunk().filter(|_| self.framing != Framing::SchemaRegistry) {
            None => Ok(bytes),
            Some(number) => Err(Unreadable::Framed(format!(
                "the value begins with a zero byte and the number {}, as a schema registry's serializer writes it: set source.framing = \"schema-registry\" if it is JSON",
                u32::from_be_bytes(*number)
            )
            .into())),
        }
    }

    fn decompressed(&self, bytes: Bytes, headers: &Headers) -> Result<Value, Unreadable> {
        let encoding = headers.text(CONTENT_ENCODING).map(|encoding| encoding.trim().to_ascii_lowercase());
        match encoding.as_deref() {
            None | Some("" | "identity") => Ok(Value::whole(bytes)),
            Some("gzip" | "x-gzip") => self.gunzipped(&bytes),
            Some(other) => Err(Unreadable::Encoded(format!(
                "the value has the content-encoding {other}, which is not read here: have the producer use gzip, or the topic's own compression"
            )
            .into())),
        }
    }

    fn gunzipped(&self, bytes: &[u8]) -> Result<Value, Unreadable> {
        let mut plain = Vec::new();
        let max = self.record_max as u64;
        // One byte more tells that there is more.
        let read = MultiGzDecoder::new(bytes).take(max.saturating_add(1)).read_to_end(&mut plain);
        read.map_err(|error| {
            let why = format!("the value has the content-encoding gzip and cannot be decompressed: {error}");
            Unreadable::Encoded(why.into())
        })?;
        let full_len = plain.len() as u64;
        plain.truncate(self.record_max);
        Ok(Value { bytes: plain.into(), full_len, unreadable: None })
    }
}

impl Value {
    fn whole(bytes: Bytes) -> Self {
        Self { full_len: bytes.len() as u64, bytes, unreadable: None }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::testing::log_record;

    const FORM: ValueForm = ValueForm { framing: Framing::None, record_max: 64 };

    fn gzip(plain: &[u8]) -> Bytes {
        let mut into = GzEncoder::new(Vec::new(), Compression::default());
        into.write_all(plain).unwrap();
        into.finish().unwrap().into()
    }

    fn read(form: ValueForm, value: Option<Bytes>, headers: &[(&str, &[u8])]) -> Value {
        let full_len = value.as_ref().map_or(0, |value| value.len() as u64);
        form.read(LogRecord {
            value,
            full_len,
            headers: Headers::of(headers.iter().copied(), None),
            ..log_record(1)
        })
    }

    #[test]
    fn a_tombstone_is_named() {
        let value = read(FORM, None, &[]);
        assert!(value.bytes.is_empty() && value.unreadable.unwrap().detail().contains("tombstone"));
    }

    #[test]
    fn a_schema_registrys_frame_is_stripped_if_it_is_expected_and_named_if_not() {
        let framed = Bytes::from_static(b"\0\0\0\x01\x02{}");
        let stripping = ValueForm { framing: Framing::SchemaRegistry, ..FORM };
        assert_eq!(&read(stripping, Some(framed.clone()), &[]).bytes[..], b"{}");
        // The number may stand in a header instead.
        assert_eq!(&read(stripping, Some(Bytes::from_static(b"{}")), &[]).bytes[..], b"{}");
        let named = read(FORM, Some(framed.clone()), &[]);
        assert_eq!(named.bytes, framed);
        assert!(named.unreadable.unwrap().detail().contains("the number 258"));
        assert_eq!(read(FORM, Some(Bytes::from_static(b"\0{")), &[]).unreadable, None, "for decode to name");
    }

    #[test]
    fn a_compressed_value_is_decompressed_within_the_bound() {
        let header: &[(&str, &[u8])] = &[("Content-Encoding", b" GZIP")];
        let value = read(FORM, Some(gzip(b"{\"a\": 1}")), header);
        assert_eq!((&value.bytes[..], value.full_len), (&b"{\"a\": 1}"[..], 8));
        let bomb = read(FORM, Some(gzip(&[b' '; 1 << 20])), header);
        assert_eq!((bomb.bytes.len(), bomb.full_len), (64, 65), "cut, and told so");
        let damaged = read(FORM, Some(Bytes::from_static(b"no gzip")), header);
        assert!(damaged.unreadable.unwrap().detail().contains("cannot be decompressed"));
        let unknown = read(FORM, Some(Bytes::from_static(b"x")), &[("content-encoding", b"br")]);
        assert!(unknown.unreadable.unwrap().detail().contains("content-encoding br"));
    }

    #[test]
    fn what_is_cut_stays_as_it_is() {
        let cut =
            LogRecord { value: Some(Bytes::from_static(b"\0\0\0\0\x01{")), full_len: 99, ..log_record(1) };
        let value = FORM.read(cut);
        assert_eq!((value.full_len, value.unreadable), (99, None));
    }
}
