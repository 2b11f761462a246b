//! A record as the client has it becomes one of this crate: its bytes are copied, so that the response it came in is let
//! go, and of a value that is too long only the beginning.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use rdkafka::{
    Message,
    message::{BorrowedHeaders, BorrowedMessage, Headers as _},
};
use topics::RecordMark;

use crate::{
    consumer::{LogRecord, Wanted},
    headers::Headers,
};

/// What is taken of `message`; its key only if `keys` are asked for.
pub(super) fn record(message: &BorrowedMessage<'_>, wanted: &Wanted, keys: bool) -> LogRecord {
    let value = message.payload();
    let offset = u64::try_from(message.offset()).unwrap_or_default();
    let at = message.timestamp().to_millis().and_then(|at| u64::try_from(at).ok());
    LogRecord {
        mark: RecordMark::new(offset, at, value.unwrap_or_default()),
        value: value.map(|value| Bytes::copy_from_slice(value.get(..wanted.record_max).unwrap_or(value))),
        full_len: value.map_or(0, |value| value.len() as u64),
        headers: message.headers().map(|all| headers(all, wanted)).unwrap_or_default(),
        key: message.key().filter(|_| keys).map(Bytes::copy_from_slice),
    }
}

fn headers(all: &BorrowedHeaders, wanted: &Wanted) -> Headers {
    let each = (0..all.count()).filter_map(|index| {
        // rdkafka panics at a name that is not UTF-8, which a producer may well write: such a header is left out.
        let header = catch_unwind(AssertUnwindSafe(|| all.try_get(index))).ok()??;
        Some((header.key, header.value?))
    });
    Headers::of(each, wanted.id_header.as_deref())
}
