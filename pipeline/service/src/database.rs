//! What `loadline db` does with the database of subscriptions: making its schema, checking it as a run does, and filling it
//! from a config's brokers.

use std::path::Path;

use serde::Serialize;
use subscriptions::{BrokerRow, DatabaseFault, inspect};
use toml::{Table, Value};

use crate::config::{Config, Problem, SETTINGS, SubscriptionsConfig, from_row};

pub use subscriptions::{SCHEMA, SCHEMA_VERSION, import, init};

/// What was found in a database that can be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Brokers that would be in force.
    pub brokers: usize,
    /// Brokers that are switched off.
    pub inactive: usize,
    /// Brokers whose rows are broken, and why.
    pub broken: Vec<(String, String)>,
}

/// A broker of the config as it would stand in the table, and the loads it subscribes to.
pub type ImportedBroker = (BrokerRow, Vec<String>);

/// What an import would do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImportPlan {
    /// The brokers.
    pub brokers: Vec<ImportedBroker>,
    /// Brokers that the table has no place for, and why: they stay in the config.
    pub staying: Vec<(String, String)>,
}

/// Connects and checks as a run does, and reads all brokers by the rules of `config`, whose file is in `base`.
///
/// # Errors
/// Why the database cannot be used.
pub async fn check(
    config: &Config,
    database: &SubscriptionsConfig,
    base: &Path,
) -> Result<Checked, DatabaseFault> {
    let mut checked = Checked::default();
    for row in inspect(&database.options).await? {
        match from_row(config, base, &row) {
            _ if !row.active => checked.inactive += 1,
            Ok(_) => checked.brokers += 1,
            Err(why) => checked.broken.push((row.id, why)),
        }
    }
    Ok(checked)
}

/// Whether a row of the brokers' table has this id, broken and inactive ones included.
///
/// # Errors
/// Why the database cannot be used.
pub async fn has_broker(database: &SubscriptionsConfig, id: &str) -> Result<bool, DatabaseFault> {
    Ok(inspect(&database.options).await?.iter().any(|row| row.id == id))
}

/// What an import of the brokers in `text` would do: that of the file which `config` was read from, in `base`.
///
/// # Errors
/// The file is no TOML any more.
pub fn import_plan(config: &Config, text: &str, base: &Path) -> Result<ImportPlan, toml::de::Error> {
    let file: Table = toml::from_str(text)?;
    let mut plan = ImportPlan::default();
    for broker in file.get("brokers").and_then(Value::as_array).into_iter().flatten() {
        let Some(broker) = broker.as_table() else { continue };
        match imported(config, broker, base) {
            Ok(imported) => plan.brokers.push(imported),
            Err(why) => {
                let id = broker.get("id").and_then(Value::as_str).unwrap_or_default();
                plan.staying.push((id.to_owned(), why));
            }
        }
    }
    Ok(plan)
}

fn imported(config: &Config, broker: &Table, base: &Path) -> Result<ImportedBroker, String> {
    let texts = |value: &Value| {
        let texts = value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned));
        texts.collect::<Option<Vec<_>>>()
    };
    let loads = broker.get("loads").and_then(texts).ok_or(
        "loads: the table has loads one by one, and this broker has not a list of them but all, or a prefix",
    )?;
    let mut row =
        BrokerRow { id: String::new(), url: None, secrets: None, rate: None, active: true, settings: None };
    let mut settings = serde_json::Map::new();
    for (key, value) in broker {
        match key.as_str() {
            "id" => row.id = value.as_str().unwrap_or_default().to_owned(),
            "url" => row.url = value.as_str().map(str::to_owned),
            "secrets" => row.secrets = texts(value),
            "rate" => row.rate = value.as_float().or_else(|| value.as_integer().map(|rate| rate as f64)),
            "loads" => {}
            key if SETTINGS.contains(&key) => {
                let value = serde_json::to_value(value).map_err(|error| format!("{key}: {error}"))?;
                settings.insert(key.to_owned(), value);
            }
            key => return Err(format!("{key}: a row of the table may not set it")),
        }
    }
    if !settings.is_empty() {
        row.settings = Some(serde_json::Value::Object(settings).to_string());
    }
    from_row(config, base, &row)?;
    Ok((row, loads))
}

/// The problem of a config that names no database.
#[must_use]
pub fn missing() -> Problem {
    Problem {
        key: "subscriptions.source".to_owned(),
        broker: None,
        line: None,
        value: None,
        problem: "names no database".to_owned(),
        remedy: "set source = \"postgres\" and connection in [subscriptions]".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
[source]
path = "events.ndjson"
[subscriptions]
source = "postgres"
connection = "env:DATABASE"
secret_prefixes = ["file:keys/"]
[[brokers]]
id = "acme"
url = "https://acme.example/hook"
secrets = ["file:keys/acme"]
rate = 5
timeout = "3s"
loads = ["L-1", "L-2"]
[[brokers]]
id = "blue"
url = "https://blue.example/hook"
secrets = ["file:keys/acme"]
rate = 5
[[brokers]]
id = "coral"
url = "https://coral.example/hook"
secrets = ["file:keys/acme"]
rate = 5
loads = ["L-1"]
headers = { x-a = "b" }
[[brokers]]
id = "dune"
url = "https://dune.example/hook"
secrets = ["env:KEY"]
rate = 5
loads = ["L-1"]
"#;

    #[test]
    fn an_import_takes_what_a_row_can_say_and_leaves_the_others_where_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let key = format!("whsec_{}", "A".repeat(32));
        std::fs::create_dir(dir.path().join("keys")).unwrap();
        std::fs::write(dir.path().join("keys/acme"), &key).unwrap();
        let environment =
            |name: &str| Ok(if name == "KEY" { key.clone() } else { "postgres://u@h/d".to_owned() });
        let config = Config::parse(CONFIG, dir.path(), environment).unwrap();
        let plan = import_plan(&config, CONFIG, dir.path()).unwrap();
        let [(row, loads)] = &plan.brokers[..] else { panic!("{plan:?}") };
        assert_eq!((row.id.as_str(), row.rate, loads.len()), ("acme", Some(5.0), 2));
        assert_eq!(row.settings.as_deref(), Some(r#"{"timeout":"3s"}"#));
        let staying: Vec<_> =
            plan.staying.iter().map(|(id, why)| (id.as_str(), why.split(':').next().unwrap())).collect();
        assert_eq!(staying, [("blue", "loads"), ("coral", "headers"), ("dune", "secret_refs")]);
    }
}
