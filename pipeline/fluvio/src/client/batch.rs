//! The records of one batch, in order, each with its offset. Every offset that the batch takes in the log is
//! accounted for: from the first record that cannot be read, one record stands for the rest, with the whole batch as
//! its bytes and the reason beside it.
//!
//! The bytes are a producer's, and the cluster does not check them. So each length is compared with what is left
//! before it is used (`fluvio-protocol` 0.12.1 allocates whatever a length says), and the same bytes always give the
//! same records. The layout is that of `fluvio_protocol::record::Record`.

use bytes::Bytes;
use fluvio_protocol::{
    Encoder,
    record::{Batch, RawRecords},
};
use state::UnixMillis;

use super::{super::partition::LogRecord, batch_fault::BatchFault, inflate::inflate};

/// The most bytes of a varint: 64 bits, 7 in each.
const VARINT_MAX: u32 = 10;

/// The offset of a batch's first record, and the number of its offsets.
pub(super) fn span(batch: &Batch<RawRecords>) -> (u64, u64) {
    let base = u64::try_from(batch.base_offset).unwrap_or(0);
    (base, batch.records_len() as u64)
}

/// The records of a batch.
#[derive(Debug)]
pub(super) struct BatchRecords {
    batch: Batch<RawRecords>,
    base: u64,
    /// The number of the batch's offsets.
    said: u64,
    /// How many of them are accounted for.
    given: u64,
    content: Result<Content, BatchFault>,
}

impl BatchRecords {
    /// The records of a whole batch, of which at most `max` plain bytes are taken.
    pub(super) fn new(batch: Batch<RawRecords>, max: usize) -> Self {
        let (base, said) = span(&batch);
        let content = inflate(&batch, max).and_then(Content::new);
        Self { batch, base, said, given: 0, content }
    }

    fn read(&mut self) -> Result<LogRecord, BatchFault> {
        let content = self.content.as_mut().map_err(|fault| fault.clone())?;
        let (said, found) = (self.said, content.count);
        // If there are too many records, the last offset stands for the rest.
        if self.given >= found || (self.given + 1 == said && found > said) {
            return Err(BatchFault::Count { said, found });
        }
        let (delta, bytes) = content.record()?;
        let (offset, produced) = (self.base + self.given, self.batch.get_base_timestamp());
        self.given += 1;
        let at = if produced > 0 { produced.checked_add(delta).and_then(time) } else { None };
        Ok(LogRecord { offset, last: offset, bytes, unreadable: None, at })
    }

    /// One record for all that are left.
    fn rest(&mut self, fault: &BatchFault) -> LogRecord {
        let (offset, base, last) = (self.base + self.given, self.base, self.base + self.said - 1);
        self.given = self.said;
        let mut bytes = Vec::new();
        if self.batch.encode(&mut bytes, 0).is_err() {
            // Encoding into memory cannot fail.
            bytes = self.batch.records().0.to_vec();
        }
        let which =
            if offset == last { format!("record {offset}") } else { format!("records {offset} to {last}") };
        let why = format!(
            "{which} cannot be read, of the batch at offset {base} with {} offsets: {fault}",
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
            Err(fault) => self.rest(&fault),
        })
    }
}

fn time(at: i64) -> Option<UnixMillis> {
    u64::try_from(at).ok()
}

/// The unread plain bytes of a batch's records.
#[derive(Debug)]
struct Content {
    bytes: Bytes,
    place: usize,
    /// The number of records it claims to hold.
    count: u64,
}

impl Content {
    fn new(bytes: Bytes) -> Result<Self, BatchFault> {
        let mut content = Self { bytes, place: 0, count: 0 };
        let mut count = [0; 4];
        for byte in &mut count {
            *byte = content.byte("the number of records")?;
        }
        content.count = u64::try_from(i32::from_be_bytes(count)).unwrap_or(0);
        Ok(content)
    }

    /// The next record: its time after the batch's, in milliseconds, and its value.
    fn record(&mut self) -> Result<(i64, Bytes), BatchFault> {
        // Its length also follows from its parts, which Fluvio's own client uses.
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
            tag => return Err(BatchFault::Key { tag }),
        }
        let len = self.length("a value")?;
        let value = Bytes::copy_from_slice(&self.bytes[self.place..self.place + len]);
        self.place += len;
        let _headers = self.varint("headers")?;
        Ok((delta, value))
    }

    /// A length that does not exceed what is left.
    fn length(&mut self, what: &'static str) -> Result<usize, BatchFault> {
        let len = self.varint(what)?;
        let left = self.bytes.len() - self.place;
        usize::try_from(len).ok().filter(|len| *len <= left).ok_or(BatchFault::Length { what, len, left })
    }

    fn varint(&mut self, what: &'static str) -> Result<i64, BatchFault> {
        let mut number: u64 = 0;
        for part in 0..VARINT_MAX {
            let byte = self.byte(what)?;
            number |= u64::from(byte & 0x7f) << (7 * part);
            if byte & 0x80 == 0 {
                // Zigzag: the lowest bit is the sign.
                return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
            }
        }
        Err(BatchFault::Endless { what })
    }

    fn byte(&mut self, what: &'static str) -> Result<u8, BatchFault> {
        let byte = self.bytes.get(self.place).copied().ok_or(BatchFault::Ends { what })?;
        self.place += 1;
        Ok(byte)
    }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
