//! Finds out how deep a record is nested from its bytes, before anything is parsed. The parser skips unread values
//! with a stack on the heap and no limit of its own, so the limit is here.

/// Whether brackets outside of strings nest more than `max` deep.
///
/// Exact for JSON. For other text the answer may be wrong beyond the first syntax error, which no parser passes.
pub(super) fn exceeds(text: &[u8], max: usize) -> bool {
    // Most records have fewer brackets than levels allowed, and counting is many times faster than tracking the
    // depth.
    let opening = text.iter().filter(|&&byte| matches!(byte, b'{' | b'[')).count();
    opening > max && deepest_exceeds(text, max)
}

fn deepest_exceeds(text: &[u8], max: usize) -> bool {
    let mut depth = 0_usize;
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > max {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(inside) = bytes.next() {
                    match inside {
                        b'"' => break,
                        b'\\' => _ = bytes.next(),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn depth(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
            Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let text = r#"[a\\"{}\[\]]{0,6}"#;
        let leaf = prop_oneof![Just(Value::Null), text.prop_map(Value::String)];
        leaf.prop_recursive(6, 48, 4, move |inside| {
            prop_oneof![
                prop::collection::vec(inside.clone(), 0..4).prop_map(Value::Array),
                prop::collection::vec((text, inside), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_bytes_tell_the_depth_of_the_parsed_value(value in json()) {
            let text = value.to_string();
            let depth = depth(&value);
            prop_assert!(!exceeds(text.as_bytes(), depth));
            prop_assert!(depth == 0 || exceeds(text.as_bytes(), depth - 1));
        }
    }

    #[test]
    fn brackets_in_strings_do_not_count() {
        assert!(!exceeds(br#"["[[[[[\"[[[[[\\", "{{{{"]"#, 1));
        assert!(exceeds(br#"["\\", [0]]"#, 1));
    }

    #[test]
    fn siblings_do_not_add_up() {
        assert!(!exceeds(b"[[],[],[],{},[]]", 2));
        assert!(exceeds(b"[[],[],[[]]]", 2));
    }
}
