//! An event as a CloudEvent 1.0: in structured mode as one JSON object with the event as its `data`, in binary mode with
//! the attributes in headers and the original bytes as the body (CloudEvents HTTP binding 1.0.2, sections 3.1 and 3.2).

use std::fmt::Write;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::facts::{Facts, Text, Unfit, join, json_text, rfc3339};

/// Where the attributes stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the body.
    Structured,
    /// In headers.
    Binary,
}

/// How an event becomes a CloudEvent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudEvents {
    /// Where the attributes stand.
    pub mode: Mode,
    /// The `source`: a URI reference. Together with the event's id it names the event.
    pub source: Box<str>,
    /// The `type`.
    pub kind: Text,
}

impl CloudEvents {
    pub(super) fn content_type(&self) -> &'static str {
        match self.mode {
            Mode::Structured => "application/cloudevents+json",
            Mode::Binary => "application/json",
        }
    }

    pub(super) fn apply(
        &self,
        facts: &Facts<'_>,
        headers: &mut Vec<(HeaderName, HeaderValue)>,
    ) -> Result<Bytes, Unfit> {
        let event = facts.event();
        let (kind, time) = (self.kind.fill(facts)?, rfc3339(event));
        let attributes = [
            ("specversion", "1.0"),
            ("id", &*event.event_id),
            ("source", &*self.source),
            ("type", &*kind),
            ("subject", &*event.load_id),
            ("time", &*time),
        ];
        match self.mode {
            Mode::Structured => {
                let mut head = String::from("{");
                for (name, value) in attributes {
                    // Writing to a string cannot fail.
                    write!(head, "\"{name}\":{},", json_text(value)).unwrap_or_default();
                }
                head.push_str("\"datacontenttype\":\"application/json\",\"data\":");
                Ok(join(&[head.as_bytes(), facts.original(), b"}"]))
            }
            Mode::Binary => {
                headers.extend(attributes.iter().filter_map(|(name, value)| header(name, value)));
                Ok(event.body.clone())
            }
        }
    }
}

/// A value in a header has every byte but the printable ones of ASCII encoded, and of these space, `"` and `%`.
fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_graphic() && !b"\"%".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            write!(encoded, "%{byte:02X}").unwrap_or_default();
        }
    }
    let name = HeaderName::from_bytes(format!("ce-{name}").as_bytes()).ok()?;
    Some((name, HeaderValue::try_from(encoded).ok()?))
}
