//! Events to try things on: one from a file, or one of which only the fields are known.

use bytes::Bytes;
use futures::FutureExt;
use stages::{
    Decode, Stage,
    models::{Exit, RawRecord, ShipmentEvent, Verdict},
};
use state::{BodyDigest, Event, Position};

use super::schema::SchemaConfig;

/// When an event that is made up occurred: in 2026.
const OCCURRED_AT: u64 = 1_767_225_600_000;

/// The event that `text` holds by this schema.
pub(super) fn event_of(text: &str, schema: &SchemaConfig) -> Result<Event, String> {
    let bytes = Bytes::copy_from_slice(text.trim().as_bytes());
    let raw = RawRecord {
        position: Position::new("sample".into(), 0, 0),
        full_len: bytes.len() as u64,
        bytes: bytes.clone(),
        read_at: OCCURRED_AT,
        unreadable: None,
        // As a source would have it from a header.
        id: Some("event-1".into()),
        traceparent: None,
    };
    // Decoding waits for nothing.
    match Decode::new(schema.schema()).run(raw).now_or_never() {
        Some(Ok(ShipmentEvent { event_id, load_id, status, occurred_at, sequence, .. })) => {
            let canonical = schema.statuses.canonical(&status).cloned();
            let status = canonical.unwrap_or_else(|| status.into());
            let occurred_at = occurred_at.unwrap_or(OCCURRED_AT);
            Ok(event(event_id.into(), load_id.into(), status, (occurred_at, sequence), bytes))
        }
        Some(Err(Exit::Verdict(Verdict::Rejected(rejection)))) => Err(rejection.detail),
        Some(Err(_)) | None => Err("it cannot be decoded".to_owned()),
    }
}

/// An event without a body.
pub(super) fn blind_event(schema: &SchemaConfig) -> Event {
    let status = schema.statuses.all().first().map_or_else(|| "delivered".into(), |status| (**status).into());
    event("event-1".into(), "LOAD-1".into(), status, (OCCURRED_AT, Some(1)), Bytes::from_static(b"{}"))
}

fn event(
    event_id: std::sync::Arc<str>,
    load_id: std::sync::Arc<str>,
    status: std::sync::Arc<str>,
    (occurred_at, sequence): (u64, Option<u64>),
    body: Bytes,
) -> Event {
    Event {
        position: Position::new("sample".into(), 0, 0),
        event_id,
        load_id,
        status,
        occurred_at,
        sequence,
        traceparent: None,
        read_at: OCCURRED_AT,
        digest: BodyDigest::of(&body),
        body,
    }
}
