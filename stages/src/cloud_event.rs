//! An event in CloudEvents' binary mode, its attributes in headers, as the same event in the structured mode (CloudEvents
//! 1.0, protocol bindings of Kafka and HTTP, section 3). So everything behind reads one form, and a broker gets the
//! attributes too.

use bytes::Bytes;
use serde_json::value::RawValue;

/// An event's headers, as a source has them.
#[derive(Clone, Copy, Debug)]
pub struct BinaryEvent<'h> {
    /// The attributes, each by its name without the prefix that its protocol has.
    pub attributes: &'h [(&'h str, &'h str)],
    /// The type of the data.
    pub content_type: Option<&'h str>,
    /// Its place in a trace, if that stands beside the attributes.
    pub traceparent: Option<&'h str>,
}

impl BinaryEvent<'_> {
    /// The event as one JSON object; none if the attributes do not say that it is one. Data that is JSON stays as it
    /// stands, byte by byte; any other is the text or the Base64 that the specification asks for.
    #[must_use]
    pub fn structured(&self, data: &[u8]) -> Option<Bytes> {
        let has = |wanted: &str| self.attributes.iter().any(|(name, _)| *name == wanted);
        if !has("specversion") {
            return None;
        }
        let mut out = b"{".to_vec();
        for (name, value) in self.attributes {
            member(&mut out, name, value);
        }
        if let Some(kind) = self.content_type {
            member(&mut out, "datacontenttype", kind);
        }
        if let Some(trace) = self.traceparent.filter(|_| !has("traceparent")) {
            member(&mut out, "traceparent", trace);
        }
        match str::from_utf8(data) {
            _ if data.is_empty() => {}
            Ok(text) if is_json(text) => {
                name_of(&mut out, "data");
                out.extend_from_slice(data);
            }
            Ok(text) => member(&mut out, "data", text),
            Err(_) => member(&mut out, "data_base64", &base64(data)),
        }
        out.push(b'}');
        Some(out.into())
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

fn base64(data: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(data)
}

fn name_of(out: &mut Vec<u8>, name: &str) {
    if out.len() > 1 {
        out.push(b',');
    }
    out.extend_from_slice(serde_json::Value::from(name).to_string().as_bytes());
    out.push(b':');
}

fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    name_of(out, name);
    out.extend_from_slice(serde_json::Value::from(value).to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: BinaryEvent<'_> = BinaryEvent {
        attributes: &[
            ("specversion", "1.0"),
            ("id", "e-\"1\""),
            ("time", "2026-11-30T12:00:00Z"),
            ("source", "/tms"),
        ],
        content_type: Some("application/json"),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    };

    fn of(data: &[u8]) -> String {
        String::from_utf8(EVENT.structured(data).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn a_binary_event_is_the_same_event_in_one_object() {
        let text = of(b"{\"loadId\": \"L-1\",  \"n\": 1.50}");
        assert!(text.ends_with(",\"data\":{\"loadId\": \"L-1\",  \"n\": 1.50}}"), "{text}");
        let event: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&event["id"], &event["datacontenttype"]),
            (&"e-\"1\"".into(), &"application/json".into())
        );
        assert!(event["traceparent"].is_string());
    }

    #[test]
    fn data_that_is_no_json_is_text_or_base64_and_no_event_stays_as_it_is() {
        assert!(of(b"{no").ends_with(",\"data\":\"{no\"}"));
        assert!(of(b"\xff\xfe").ends_with(",\"data_base64\":\"//4=\"}"));
        assert!(!of(b"").contains("\"data\""));
        let none = BinaryEvent { attributes: &[("id", "1")], ..EVENT };
        assert_eq!(none.structured(b"{}"), None);
    }
}
