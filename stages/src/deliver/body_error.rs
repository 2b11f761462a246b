//! A rule that finds an error in the body of an answer whose status says success, as some TMSs answer.
//!
//! A value of the body is looked at, and nothing of the body is shown but that. A body that is no JSON, or longer than
//! is read, has no values.

use serde_json::Value;

use super::meaning::Meaning;
use crate::at_pointer::at_pointer;

/// The longest pointer and the longest text of a rule, in bytes.
pub const BODY_RULE_TEXT_MAX: usize = 256;

/// Which value of a body makes the answer an error, and what that error means.
#[derive(Clone, Debug, PartialEq)]
pub struct BodyError {
    /// Where the value is: a JSON pointer (RFC 6901).
    pub pointer: String,
    /// The values that are errors; none for all but null, `false`, zero and what is empty.
    pub values: Option<Vec<Value>>,
    /// Whether it is an error, too, if there is no such value.
    pub missing: bool,
    /// What the error means.
    pub meaning: Meaning,
}

impl BodyError {
    /// Whether the error is in `body`; none for a body that is no JSON or was not read.
    pub(super) fn is_in(&self, body: Option<&Value>) -> bool {
        match (body.and_then(|body| at_pointer(body, &self.pointer)), &self.values) {
            (None, _) => self.missing,
            (Some(found), Some(values)) => values.iter().any(|value| is_same(value, &found)),
            (Some(found), None) => says_something(&found),
        }
    }
}

/// Whether this is a JSON pointer.
#[must_use]
pub fn is_json_pointer(text: &str) -> bool {
    let is_token = |token: &str| token.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    text.strip_prefix('/').is_some_and(|tokens| tokens.split('/').all(is_token))
}

/// `1` and `1.0` are the same number.
fn is_same(value: &Value, found: &Value) -> bool {
    match (value.as_f64(), found.as_f64()) {
        (Some(value), Some(found)) => value.total_cmp(&found).is_eq(),
        _ => value == found,
    }
}

fn says_something(found: &Value) -> bool {
    match found {
        Value::Null => false,
        Value::Bool(found) => *found,
        Value::Number(found) => found.as_f64() != Some(0.0),
        Value::String(found) => !found.is_empty(),
        Value::Array(found) => !found.is_empty(),
        Value::Object(found) => !found.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(pointer: &str, values: Option<Vec<Value>>) -> BodyError {
        BodyError { pointer: pointer.to_owned(), values, missing: false, meaning: Meaning::Final }
    }

    #[test]
    fn a_listed_value_is_an_error_and_another_or_none_is_not() {
        let rule = rule("/result/code", Some(vec![json!("BUSY"), json!(500), json!(false)]));
        for found in [json!("BUSY"), json!(500), json!(500.0), json!(false)] {
            assert!(rule.is_in(Some(&json!({ "result": { "code": found } }))), "{found}");
        }
        for found in [json!("busy"), json!(501), json!(true), json!("false"), json!(null), json!([500])] {
            assert!(!rule.is_in(Some(&json!({ "result": { "code": found } }))), "{found}");
        }
        for body in [None, Some(json!({})), Some(json!([])), Some(json!("BUSY"))] {
            assert!(!rule.is_in(body.as_ref()), "{body:?}");
            assert!(BodyError { missing: true, ..rule.clone() }.is_in(body.as_ref()), "{body:?}");
        }
    }

    #[test]
    fn without_a_list_whatever_says_something_is_an_error() {
        let rule = rule("/errors/0", None);
        let with = |found: &Value| json!({ "errors": [found] });
        for found in [json!("x"), json!(1), json!(true), json!([0]), json!({ "a": 0 })] {
            assert!(rule.is_in(Some(&with(&found))), "{found}");
        }
        for found in [json!(""), json!(0), json!(false), json!(null), json!([]), json!({})] {
            assert!(!rule.is_in(Some(&with(&found))), "{found}");
        }
        assert!(!rule.is_in(Some(&json!({ "errors": [] }))));
    }

    #[test]
    fn a_pointer_begins_with_a_slash_and_escapes_only_two_characters() {
        for pointer in ["/", "/a", "/a/0", "/a~1b/~0"] {
            assert!(is_json_pointer(pointer), "{pointer}");
        }
        for pointer in ["", "a", "a/b", "/a~", "/a~2", "#/a", "$.a"] {
            assert!(!is_json_pointer(pointer), "{pointer}");
        }
    }
}
