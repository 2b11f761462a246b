//! Reads the body of an answer within bounds of bytes and time. How it ends is for the caller to judge: mostly the status
//! has said everything.

use bytes::Bytes;
use reqwest::Response;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

/// What was read of a body.
#[derive(Debug)]
pub(super) struct AnswerBody {
    /// Its beginning, at most as long as was asked for.
    pub(super) kept: Vec<u8>,
    /// How the reading ended.
    pub(super) end: BodyEnd,
}

/// How the reading of a body ended.
#[derive(Debug)]
pub(super) enum BodyEnd {
    /// With its end.
    Whole,
    /// At the bound of bytes.
    TooLong,
    /// The time was over.
    Late,
    /// The connection broke.
    Broken(reqwest::Error),
}

/// Reads a body of at most `max` bytes until `until`, and keeps the first `keep` of them. One that is read to its end
/// leaves its connection to the next request.
pub(super) async fn read(mut response: Response, keep: usize, max: usize, until: Instant) -> AnswerBody {
    let mut body = AnswerBody { kept: Vec::new(), end: BodyEnd::Whole };
    let announced_too_long = response.content_length().is_some_and(|length| length > max as u64);
    if announced_too_long && keep == 0 {
        return AnswerBody { end: BodyEnd::TooLong, ..body };
    }
    let mut left = max;
    body.end = loop {
        let chunk = match timeout_at(until, response.chunk()).await {
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => break BodyEnd::Whole,
            Ok(Err(error)) => break BodyEnd::Broken(error),
            Err(_) => break BodyEnd::Late,
        };
        keep_some(&mut body.kept, &chunk, keep);
        match left.checked_sub(chunk.len()) {
            Some(rest) if !announced_too_long || body.kept.len() < keep => left = rest,
            _ => break BodyEnd::TooLong,
        }
    };
    body
}

/// What a body holds in JSON; none if it is none. Some servers put a byte order mark before it, which a reader may ignore
/// (RFC 8259, section 8.1).
pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body)).ok()
}

fn keep_some(kept: &mut Vec<u8>, chunk: &Bytes, keep: usize) {
    let room = keep.saturating_sub(kept.len()).min(chunk.len());
    kept.extend_from_slice(&chunk[..room]);
}
