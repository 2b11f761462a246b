//! A log of deliveries as NDJSON, as a sender or a broker's TMS may keep one: what `loadline audit` reads. A line is
//! written whole or not at all; the times in it never go back.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use state::{Clock, UnixMillis};

/// A log of deliveries.
#[derive(Debug)]
pub struct DeliveryLog {
    path: PathBuf,
    out: Mutex<Out>,
}

#[derive(Debug)]
struct Out {
    file: File,
    last: UnixMillis,
    error: Option<io::Error>,
}

/// What a line says of the event.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Fields {
    event_id: Value,
    load_id: Value,
    status: Value,
    occurred_at: Value,
    sequence: Value,
}

impl DeliveryLog {
    /// A new, empty log.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        let out = Out { file: File::create(path)?, last: 0, error: None };
        Ok(Self { path: path.to_owned(), out: Mutex::new(out) })
    }

    /// Adds a delivery of `body` to `broker`, with what was answered if the log is to say so, and does `then` before any
    /// other line is written.
    pub fn add(&self, broker: &str, body: &[u8], answer: Option<Value>, then: impl FnOnce()) {
        let event: Fields = serde_json::from_slice(body).unwrap_or_default();
        let digest = format!("{:?}", crate::BodyDigest::of(body));
        let mut out = self.out.lock();
        out.last = out.last.max(Clock::System.now());
        let at = i64::try_from(out.last).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
        let mut line = json!({
            "time": at.unwrap_or_default().to_string(), "broker": broker, "eventId": event.event_id,
            "loadId": event.load_id, "status": event.status, "occurredAt": event.occurred_at,
            "sequence": event.sequence, "digest": digest,
        });
        if let Some(answer) = answer {
            line["answer"] = answer;
        }
        if out.error.is_none() {
            out.error = writeln!(out.file, "{line}").err();
        }
        then();
    }

    /// Whether all lines were written.
    ///
    /// # Errors
    /// The first one that was not; nothing behind it was.
    pub fn finish(&self) -> io::Result<()> {
        match self.out.lock().error.take() {
            Some(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))),
            None => Ok(()),
        }
    }
}
