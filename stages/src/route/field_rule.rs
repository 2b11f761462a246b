//! What a broker asks of one field of an event: to have one of some values, to be there, or not to be there.
//!
//! The field is found by its JSON pointer in the event's body. Numbers are equal by value, everything else by form.

use serde_json::{Number, Value};

use crate::at_pointer::at_pointer;

/// A rule about one field of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRule {
    /// Where the field stands: a JSON pointer (RFC 6901), which may go through arrays.
    pub pointer: String,
    /// What is asked of it.
    pub test: FieldTest,
}

/// What is asked of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldTest {
    /// To have one of these values.
    OneOf(Vec<Value>),
    /// To be there, whatever it is, `null` too; or not to be there.
    Exists(bool),
}

impl FieldRule {
    /// Whether an event with this body passes.
    #[must_use]
    pub fn holds(&self, body: &Value) -> bool {
        let found = at_pointer(body, &self.pointer);
        match &self.test {
            FieldTest::OneOf(values) => {
                found.is_some_and(|found| values.iter().any(|value| is_equal(value, &found)))
            }
            FieldTest::Exists(wanted) => found.is_some() == *wanted,
        }
    }
}

fn is_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => is_same_number(one, other),
        _ => one == other,
    }
}

/// `5` and `5.0` are one number.
fn is_same_number(one: &Number, other: &Number) -> bool {
    one == other || ((one.is_f64() || other.is_f64()) && one.as_f64() == other.as_f64())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(pointer: &str, test: FieldTest, body: &Value) -> bool {
        FieldRule { pointer: pointer.to_owned(), test }.holds(body)
    }

    #[test]
    fn a_field_has_one_of_the_values_or_the_event_does_not_pass() {
        let body =
            json!({ "mode": "ltl", "stops": [{ "n": 1.0 }], "big": u64::MAX, "ok": true, "a/b": null });
        let one_of = |pointer, values: &[Value]| holds(pointer, FieldTest::OneOf(values.to_vec()), &body);
        assert!(one_of("/mode", &[json!("ftl"), json!("ltl")]) && !one_of("/mode", &[json!("LTL")]));
        assert!(one_of("/stops/0/n", &[json!(1)]) && !one_of("/stops/1/n", &[json!(1)]));
        assert!(!one_of("/big", &[json!(u64::MAX - 1)]), "integers are not rounded");
        assert!(one_of("/ok", &[json!(true)]) && !one_of("/ok", &[json!("true")]));
        assert!(one_of("/a~1b", &[Value::Null]));
    }

    #[test]
    fn a_field_is_found_in_a_text_that_holds_json() {
        let body = json!({ "Message": json!({ "customer": { "id": 7 } }).to_string() });
        assert!(holds("/Message/customer/id", FieldTest::OneOf(vec![json!(7)]), &body));
        assert!(holds("/Message/customer", FieldTest::Exists(true), &body));
        assert!(holds("/Message/driver", FieldTest::Exists(false), &body));
    }

    #[test]
    fn a_field_is_there_or_is_not() {
        let body = json!({ "trailer": null });
        let exists = |pointer, wanted| holds(pointer, FieldTest::Exists(wanted), &body);
        assert!(exists("/trailer", true) && !exists("/trailer", false));
        assert!(exists("/driver", false) && !exists("/driver", true));
    }
}
