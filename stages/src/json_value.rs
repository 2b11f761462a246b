//! An event's body as a value, for filters and templates, also if something in it has no value here: a number that is too
//! large (`1e400`), or half a surrogate pair. Such a member is left out, so that only what asks for it misses it.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Value, value::RawValue};

/// The value of `json`, which was decoded before.
pub(crate) fn json_value(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap_or_else(|_| {
        let raw = serde_json::from_slice::<&RawValue>(json);
        raw.ok().and_then(readable).unwrap_or_default()
    })
}

/// What of `raw` can be read; none if it is a value that cannot. It nests no deeper than a record may.
fn readable(raw: &RawValue) -> Option<Value> {
    let json = raw.get();
    match json.trim_ascii_start().as_bytes().first() {
        Some(b'{') => {
            let Members(members) = serde_json::from_str(json).ok()?;
            let readable =
                members.into_iter().filter_map(|(key, raw)| Some((key.into_owned(), readable(raw)?)));
            Some(Value::Object(readable.collect()))
        }
        Some(b'[') => {
            let elements: Vec<&RawValue> = serde_json::from_str(json).ok()?;
            // The others keep their places.
            Some(elements.into_iter().map(|raw| readable(raw).unwrap_or_default()).collect())
        }
        _ => serde_json::from_str(json).ok(),
    }
}

/// An object's members in their order, unparsed.
pub(crate) struct Members<'de>(pub(crate) Vec<(Cow<'de, str>, &'de RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;

        impl<'de> Visitor<'de> for Each {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = object.next_entry::<Cow<'de, str>, &'de RawValue>()? {
                    members.push((key, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Each)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_has_no_value_is_left_out_and_the_rest_is_there() {
        let body = br#"{"a": 1, "big": 1e400, "b": {"c": [true, -1e999, "x"], "half": "\ud800"}, "n": null}"#;
        assert_eq!(json_value(body), json!({ "a": 1, "b": { "c": [true, null, "x"] }, "n": null }));
        assert_eq!(json_value(br#"{"a": 1e300}"#), json!({ "a": 1e300 }));
        assert_eq!(json_value(b"{\"cut"), Value::Null);
    }
}
