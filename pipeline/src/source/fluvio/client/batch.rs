//! One batch: what the log holds of it enters, its records leave in order, each with its offset. Every offset that the
//! batch takes in the log is accounted for: behind the first place that cannot be read, one record stands for all that
//! are left, with the batch itself as its bytes and the reason beside it.
//!
//! The bytes are what a producer sent; the cluster takes them unchecked. So each length is held against what is left
//! before anything is taken by it (`fluvio-protocol` 0.12.1 allocates whatever a length says), and the same bytes always
//! give the same records. The layout is that of `fluvio_protocol::record::Record`.

use bytes::Bytes;
use fluvio_protocol::{
    Encoder,
    record::{Batch, RawRecords},
};
use state::UnixMillis;

use super::{super::partition::LogRecord, inflate::inflate};

/// The most bytes of a number of variable length: 64 bits, 7 in each.
const VARINT_MAX: u32 = 10;

/// Why a batch cannot be read from some place on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Flaw {
    /// It is compressed, and not in a known way.
    #[error("its compression has the number {codec}, which is not known")]
    Codec { codec: i16 },
    /// What it was compressed to is damaged.
    #[error("it cannot be decompressed: {detail}")]
    Inflate { detail: String },
    /// It becomes too long.
    #[error("decompressed it has more than the {max} bytes that source.max_bytes allows")]
    TooLong { max: usize },
    /// It has other records than it has offsets.
    #[error("it has offsets for {said} records and says that it holds {found}")]
    Count { said: u64, found: u64 },
    /// A part of a record is longer than what is left, or has a negative length.
    #[error("{what} has a length of {len}, where {left} bytes are left")]
    Length { what: &'static str, len: i64, left: usize },
    /// There are no more bytes.
    #[error("it ends within {what}")]
    Ends { what: &'static str },
    /// A number does not end after 64 bits.
    #[error("the number of {what} does not end")]
    Endless { what: &'static str },
    /// The byte that says whether there is a key says something else.
    #[error("the byte before the key is {tag}, neither 0 nor 1")]
    Key { tag: u8 },
}

impl Flaw {
    pub(super) fn inflate(error: impl std::fmt::Display) -> Self {
        Self::Inflate { detail: error.to_string() }
    }
}

/// The offset of a batch's first record, and how many offsets it takes in the log.
pub(super) fn span(batch: &Batch<RawRecords>) -> (u64, u64) {
    let base = u64::try_from(batch.base_offset).unwrap_or(0);
    (base, batch.records_len() as u64)
}

/// The records of a batch.
#[derive(Debug)]
pub(super) struct BatchRecords {
    batch: Batch<RawRecords>,
    base: u64,
    /// How many offsets the batch takes.
    said: u64,
    /// How many of them are accounted for.
    given: u64,
    content: Result<Content, Flaw>,
}

impl BatchRecords {
    /// The records of a whole batch, of which at most `max` plain bytes are taken.
    pub(super) fn new(batch: Batch<RawRecords>, max: usize) -> Self {
        let (base, said) = span(&batch);
        let content = inflate(&batch, max).and_then(Content::new);
        Self { batch, base, said, given: 0, content }
    }

    fn read(&mut self) -> Result<LogRecord, Flaw> {
        let content = self.content.as_mut().map_err(|flaw| flaw.clone())?;
        let (said, found) = (self.said, content.count);
        // With too many the last offset stands for the ones that have none of their own.
        if self.given >= found || (self.given + 1 == said && found > said) {
            return Err(Flaw::Count { said, found });
        }
        let (delta, bytes) = content.record()?;
        let (offset, produced) = (self.base + self.given, self.batch.get_base_timestamp());
        self.given += 1;
        let at = if produced > 0 { produced.checked_add(delta).and_then(time) } else { None };
        Ok(LogRecord { offset, last: offset, bytes, unreadable: None, at })
    }

    /// What stands for all that are left.
    fn rest(&mut self, flaw: &Flaw) -> LogRecord {
        let (offset, base, last) = (self.base + self.given, self.base, self.base + self.said - 1);
        self.given = self.said;
        let mut bytes = Vec::new();
        if self.batch.encode(&mut bytes, 0).is_err() {
            // It has no way to fail; what it holds is in the records.
            bytes = self.batch.records().0.to_vec();
        }
        let which =
            if offset == last { format!("record {offset}") } else { format!("records {offset} to {last}") };
        let why = format!(
            "{which} cannot be read, of the batch at offset {base} with {} offsets: {flaw}",
            self.said
        );
        let at = time(self.batch.get_base_timestamp()).filter(|at| *at > 0);
        LogRecord { offset, last, bytes: bytes.into(), unreadable: Some(why.into()), at }
    }
}

impl Iterator for BatchRecords {
    type Item = LogRecord;

    fn next(&mut self) -> Option<LogRecord> {
        if self.given >= self.said {
            return None;
        }
        Some(match self.read() {
            Ok(record) => record,
            Err(flaw) => self.rest(&flaw),
        })
    }
}

fn time(at: i64) -> Option<UnixMillis> {
    u64::try_from(at).ok()
}

/// The plain bytes of a batch's records, as far as they have not been read.
#[derive(Debug)]
struct Content {
    bytes: Bytes,
    place: usize,
    /// How many records it says that it holds.
    count: u64,
}

impl Content {
    fn new(bytes: Bytes) -> Result<Self, Flaw> {
        let mut content = Self { bytes, place: 0, count: 0 };
        let mut count = [0; 4];
        for byte in &mut count {
            *byte = content.byte("the number of records")?;
        }
        content.count = u64::try_from(i32::from_be_bytes(count)).unwrap_or(0);
        Ok(content)
    }

    /// The next record: its time after the batch's, in milliseconds, and its value.
    fn record(&mut self) -> Result<(i64, Bytes), Flaw> {
        // How long it is is also said by its parts, and Fluvio's own client goes by those.
        let _len = self.length("a record")?;
        let _attributes = self.byte("a record")?;
        let delta = self.varint("a time")?;
        let _offset = self.varint("an offset")?;
        match self.byte("a record")? {
            0 => {}
            1 => {
                let len = self.length("a key")?;
                self.place += len;
            }
            tag => return Err(Flaw::Key { tag }),
        }
        let len = self.length("a value")?;
        let value = Bytes::copy_from_slice(&self.bytes[self.place..self.place + len]);
        self.place += len;
        let _headers = self.varint("headers")?;
        Ok((delta, value))
    }

    /// A length, of which as many bytes are left.
    fn length(&mut self, what: &'static str) -> Result<usize, Flaw> {
        let len = self.varint(what)?;
        let left = self.bytes.len() - self.place;
        usize::try_from(len).ok().filter(|len| *len <= left).ok_or(Flaw::Length { what, len, left })
    }

    fn varint(&mut self, what: &'static str) -> Result<i64, Flaw> {
        let mut number: u64 = 0;
        for part in 0..VARINT_MAX {
            let byte = self.byte(what)?;
            number |= u64::from(byte & 0x7f) << (7 * part);
            if byte & 0x80 == 0 {
                // Zigzag: the lowest bit is the sign.
                return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
            }
        }
        Err(Flaw::Endless { what })
    }

    fn byte(&mut self, what: &'static str) -> Result<u8, Flaw> {
        let byte = self.bytes.get(self.place).copied().ok_or(Flaw::Ends { what })?;
        self.place += 1;
        Ok(byte)
    }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
