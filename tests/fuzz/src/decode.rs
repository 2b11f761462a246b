//! Records: decode and validate. An accepted event says what an independent reading of the same bytes says.

use std::sync::Arc;

use bytes::Bytes;
use futures::executor::block_on;
use serde::de::IgnoredAny;
use serde_json::Value;
use stages::{
    Decode, Rules, Schema, Stage, Validate,
    models::{Exit, RawRecord, Verdict},
};
use state::{Clock, Position};

/// The longest text of a rejection that is kept, in bytes.
const DETAIL_MAX: usize = 64 << 10;

/// Takes `input` as a record in both forms.
pub fn decode(input: &[u8]) {
    one(Schema::flat(), [&["eventId"], &["loadId"], &["status"]], input);
    one(Schema::cloudevents(), [&["source|id"], &["data", "loadId"], &["data", "status"]], input);
}

/// The text or whole number at `path`, which goes on inside text that holds JSON; an error if that cannot be told.
fn text(value: &Value, path: &[&str]) -> Result<Option<String>, serde_json::Error> {
    let Some((key, rest)) = path.split_first() else {
        return Ok(match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) if !number.is_f64() => Some(number.to_string()),
            _ => None,
        });
    };
    match value {
        Value::String(inside) => text(&serde_json::from_str(inside)?, path),
        _ => value.get(key).map_or(Ok(None), |value| text(value, rest)),
    }
}

/// The same of two keys, joined as the schema of CloudEvents joins them.
fn joined(value: &Value, keys: &str) -> Result<Option<String>, serde_json::Error> {
    let Some((one, other)) = keys.split_once('|') else { return text(value, &[keys]) };
    let escaped = |text: String| text.replace('\\', "\\\\").replace('|', "\\|");
    let both = text(value, &[one])?.zip(text(value, &[other])?);
    Ok(both.map(|(one, other)| format!("{}|{}", escaped(one), escaped(other))))
}

fn one(schema: Schema, paths: [&[&str]; 3], input: &[u8]) {
    let decode = Decode::new(schema);
    let raw = RawRecord::whole(Position::new(Arc::from("fuzz"), 0, 0), Bytes::copy_from_slice(input), 0);
    let event = match block_on(decode.run(raw.clone())) {
        Ok(event) => event,
        Err(Exit::Verdict(Verdict::Rejected(rejection))) => {
            assert!(!rejection.cause.is_empty() && rejection.detail.len() <= DETAIL_MAX, "{rejection:?}");
            return;
        }
        Err(other) => panic!("{other:?}"),
    };
    assert_eq!(event.raw, raw, "the record is untouched");
    // What is not read need not have a value (`1e999`, half a surrogate pair); it is JSON by its grammar all the same.
    let _ignored: IgnoredAny = serde_json::from_slice(input).expect("an event is JSON");
    let Ok(value) = serde_json::from_slice::<Value>(input) else { return };
    let said = paths.map(|path| match path {
        [keys] => joined(&value, keys),
        path => text(&value, path),
    });
    for (said, read) in said.into_iter().zip([&event.event_id, &event.load_id, &event.status]) {
        if let Ok(said) = said {
            assert_eq!(said.as_deref(), Some(read.as_str()), "two readers see the same");
        }
    }
    // Any bytes that are read as a place in a trace alone must be read the same here.
    assert_eq!(decode.traceparent(input), event.traceparent);
    let clock = Clock::System;
    match block_on(Validate::new(Rules::default(), clock).run(event)) {
        Ok(valid) => assert_eq!(valid.event().body, raw.bytes),
        Err(Exit::Verdict(Verdict::Rejected(rejection))) => assert!(!rejection.cause.is_empty()),
        Err(other) => panic!("{other:?}"),
    }
}
