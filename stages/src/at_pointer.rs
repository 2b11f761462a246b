//! Finds a value in JSON by its pointer (RFC 6901). A text on the way that holds JSON is looked into, as `Decode` does, so
//! that a pointer leads to the same value wherever a config has it.

use std::borrow::Cow;

use serde_json::Value;

/// The value at `pointer` in `value`.
pub(crate) fn at_pointer<'v>(value: &'v Value, pointer: &str) -> Option<Cow<'v, Value>> {
    if let Some(found) = value.pointer(pointer) {
        return Some(Cow::Borrowed(found));
    }
    // The text on the way; each one that is looked into is shorter than the one around it.
    let mut ends = pointer.match_indices('/').map(|(at, _)| at).skip(1);
    let (text, rest) = ends.find_map(|at| {
        let (before, rest) = pointer.split_at(at);
        Some((value.pointer(before)?.as_str()?, rest))
    })?;
    let inside: Value = serde_json::from_str(text).ok()?;
    Some(Cow::Owned(at_pointer(&inside, rest)?.into_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_on_the_way_that_holds_json_is_looked_into_also_within_another() {
        let inner = json!({ "c~": [1, { "/": "x" }] }).to_string();
        let value =
            json!({ "a": json!({ "b": inner }).to_string(), "n": null, "t": "no json", "d": { "e": 1 } });
        let at = |pointer| at_pointer(&value, pointer).map(Cow::into_owned);
        assert_eq!(at("/a/b/c~0/1/~1"), Some(json!("x")));
        assert_eq!(at("/a/b/c~0/0"), Some(json!(1)));
        assert_eq!(at("/a/b"), Some(json!(inner)), "the text itself, where it is asked for");
        assert_eq!((at("/d/e"), at("/n")), (Some(json!(1)), Some(Value::Null)));
        for nowhere in ["/a/x", "/a/b/c~0/2", "/t/x", "/d/e/f", "/n/x", "/x/y/z"] {
            assert_eq!(at(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn texts_within_texts_are_followed_as_far_as_they_go() {
        let mut value = json!({ "a": 1 });
        for _ in 0..12 {
            value = json!({ "a": value.to_string() });
        }
        assert_eq!(at_pointer(&value, &"/a".repeat(13)).as_deref(), Some(&json!(1)));
        assert_eq!(at_pointer(&value, &"/a".repeat(500)), None);
    }
}
