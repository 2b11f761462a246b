//! Reads the server's plan of a query: `EXPLAIN (FORMAT JSON)`,
//! <https://www.postgresql.org/docs/current/sql-explain.html>.

use serde_json::Value;

/// A table that is read as a whole, if there is one.
pub(super) fn scanned(plan: &Value) -> Option<String> {
    match plan {
        Value::Array(nodes) => nodes.iter().find_map(scanned),
        Value::Object(node) => {
            if node.get("Node Type").and_then(Value::as_str) == Some("Seq Scan") {
                let table = node.get("Relation Name").and_then(Value::as_str);
                return Some(table.unwrap_or("(unnamed)").to_owned());
            }
            ["Plan", "Plans"].iter().find_map(|key| node.get(*key).and_then(scanned))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_whole_read_is_found_however_deep_it_is() {
        let index = json!({ "Node Type": "Index Scan", "Relation Name": "brokers" });
        let whole = json!({ "Node Type": "Seq Scan", "Relation Name": "broker_subscriptions" });
        let plan = |inner: &Value| json!([{ "Plan": { "Node Type": "Nested Loop", "Plans": [index, { "Node Type": "Hash", "Plans": [inner] }] } }]);
        assert_eq!(scanned(&plan(&index)), None);
        assert_eq!(scanned(&plan(&whole)).as_deref(), Some("broker_subscriptions"));
        assert_eq!(scanned(&Value::Null), None);
    }
}
