//! What the legacy service reads from a message: the fields of the look-up. A message without them crashes whoever handles
//! it.

use serde_json::Value;

/// The fields of a message the service uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// The load, as it would stand in the query; none if the message has none.
    pub(super) load_id: Option<String>,
    /// The status as it stands in the message.
    pub(super) status: Option<String>,
}

/// The message is not JSON, or is `null`: reading a field of it throws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Event {
    /// Parses a message as `JSON.parse(message.toString())` does: broken UTF-8 is replaced before, and a name that
    /// stands twice has its last value.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let field = |value: &Value, name| match value.get(name) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        match serde_json::from_str(&String::from_utf8_lossy(bytes)) {
            Err(_) | Ok(Value::Null) => Err(Malformed),
            Ok(value) => Ok(Self { load_id: field(&value, "loadId"), status: field(&value, "status") }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &[u8]) -> Result<(Option<String>, Option<String>), Malformed> {
        Event::parse(text).map(|event| (event.load_id, event.status))
    }

    #[test]
    fn a_message_is_read_as_the_service_would_read_it() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parsed(br#"{"loadId":"L-1","status":"matched"}"#), Ok((some("L-1"), some("matched"))));
        assert_eq!(parsed(br#"{"loadId":"L-1","loadId":7}"#), Ok((some("7"), None)));
        assert_eq!(parsed(b"{\"loadId\":\"L-\xff\"}"), Ok((some("L-\u{fffd}"), None)));
        for nothing in ["{}", "[]", "7", "\"text\"", r#"{"loadId":null,"status":{}}"#] {
            assert_eq!(parsed(nothing.as_bytes()), Ok((None, None)), "{nothing}");
        }
        for malformed in ["", "not json", r#"{"loadId":"L-1""#, "null"] {
            assert_eq!(parsed(malformed.as_bytes()), Err(Malformed), "{malformed}");
        }
    }
}
