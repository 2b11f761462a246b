//! A broker of the database's table: its row is read as a `[[brokers]]` table is, by the same rules. What a row may say is
//! bounded: whoever writes rows chooses no network, no proxy, no file and no secret that the config does not allow.

use std::{collections::BTreeSet, env, path::Path};

use rustc_hash::FxHashSet;
use stages::LoadFilter;
use subscriptions::BrokerRow;
use toml::{Table, Value};

use super::{
    BrokerConfig, Config, Problem, other_sections::OtherSections, part, secret::SecretRef,
    units::show_duration,
};

/// The keys of a broker that its row's `settings` may have.
pub const SETTINGS: [&str; 6] = ["burst", "concurrency", "filter", "statuses", "timeout", "when_full"];
/// Where problems of the only broker are reported.
const BROKER: &str = "brokers[0]";

/// The broker of `row`, which gets the events of the loads that the database says. Relative paths start at `base`.
///
/// # Errors
/// Everything that is wrong with the row, in one line.
pub fn from_row(config: &Config, base: &Path, row: &BrokerRow) -> Result<BrokerConfig, String> {
    let text = text(row)?;
    references(config, base, row)?;
    let around = OtherSections { delivery: &config.delivery, limits: &config.limits, schema: &config.schema };
    let read = part::from_text(&text, base, &|name| env::var(name), &[BROKER], |root| {
        let mut ids = BTreeSet::new();
        root.sections("brokers", |section| BrokerConfig::read(section, &around, &mut ids)).pop().flatten()
    });
    let mut broker = read.map_err(|problems| shown(&problems))?;
    // How long a partition takes to be given up is judged by the config's longest.
    if broker.timeout > config.delivery.timeout {
        let longest = show_duration(config.delivery.timeout);
        return Err(format!("timeout: is longer than delivery.timeout, which is {longest}; lower it"));
    }
    broker.subscription.loads = LoadFilter::List(FxHashSet::default());
    Ok(broker)
}

/// The row as a config would have it.
fn text(row: &BrokerRow) -> Result<String, String> {
    let BrokerRow { id, url, secrets, rate, active: _, settings } = row;
    let mut broker = Table::new();
    broker.insert("id".to_owned(), id.as_str().into());
    if let Some(url) = url {
        broker.insert("url".to_owned(), url.as_str().into());
    }
    if let Some(secrets) = secrets {
        broker.insert("secrets".to_owned(), secrets.clone().into());
    }
    if let Some(rate) = rate {
        broker.insert("rate".to_owned(), (*rate).into());
    }
    let settings = settings.as_deref().unwrap_or("{}");
    let no_object = "settings: is no JSON object; write the keys of a broker, such as {\"timeout\": \"5s\"}";
    let settings: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(settings).map_err(|_| no_object.to_owned())?;
    for (key, value) in settings {
        if !SETTINGS.contains(&key.as_str()) {
            let allowed = SETTINGS.join(", ");
            return Err(format!("settings.{key}: may not be set by a row; the keys are {allowed}"));
        }
        let value =
            Value::try_from(value).map_err(|_| format!("settings.{key}: has a null; leave it out"))?;
        broker.insert(key, value);
    }
    let brokers = Table::from_iter([("brokers".to_owned(), Value::Array(vec![Value::Table(broker)]))]);
    toml::to_string(&brokers).map_err(|error| format!("cannot be read as a broker: {error}"))
}

/// Whether the config lets rows refer to these secrets.
fn references(config: &Config, base: &Path, row: &BrokerRow) -> Result<(), String> {
    for text in row.secrets.iter().flatten() {
        let permitted = match (SecretRef::parse(text, base), &config.subscriptions) {
            (Ok(reference), Some(subscriptions)) => subscriptions.permits(&reference),
            // What is no reference is reported as such, and not shown.
            (Err(_), _) | (_, None) => true,
        };
        if !permitted {
            return Err(format!(
                "secret_refs: names {text}, which begins with none of subscriptions.secret_prefixes; put the key where they say"
            ));
        }
    }
    Ok(())
}

/// The problems, without where they would stand in a file.
fn shown(problems: &[Problem]) -> String {
    let columns = [("url", "webhook_url"), ("secrets", "secret_refs")];
    let each = problems.iter().map(|problem| {
        let key = problem.key.strip_prefix(BROKER).unwrap_or(&problem.key).trim_start_matches('.');
        let column = columns.iter().find_map(|(own, column)| Some((*column, key.strip_prefix(own)?)));
        let key = column.map_or_else(|| key.to_owned(), |(column, rest)| format!("{column}{rest}"));
        Problem { key, broker: None, line: None, ..problem.clone() }.to_string()
    });
    each.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "[source]\npath = \"events.ndjson\"\n[state]\ndir = \"state\"\n\
        [subscriptions]\nsource = \"postgres\"\nconnection = \"env:DATABASE\"\nsecret_prefixes = [\"file:keys/\"]\n";

    /// A change of a row, and what is told of it.
    type Case = (fn(&mut BrokerRow), &'static str);

    fn row() -> BrokerRow {
        BrokerRow {
            id: "acme".into(),
            url: Some("https://acme.example/hook".into()),
            secrets: Some(vec!["file:keys/acme".into()]),
            rate: Some(5.0),
            active: true,
            settings: Some(
                "{\"timeout\": \"3s\", \"statuses\": [\"delivered\"], \"filter\": {\"/a\": [1, true]}}"
                    .into(),
            ),
        }
    }

    fn read(change: impl FnOnce(&mut BrokerRow)) -> Result<BrokerConfig, String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("keys")).unwrap();
        std::fs::write(dir.path().join("keys/acme"), format!("whsec_{}", "A".repeat(32))).unwrap();
        let config = Config::parse(CONFIG, dir.path(), |_| Ok("postgres://u@h/d".to_owned())).unwrap();
        let mut row = row();
        change(&mut row);
        from_row(&config, dir.path(), &row)
    }

    #[test]
    fn a_row_becomes_a_broker_that_gets_no_load_of_its_own() {
        let broker = read(|_| {}).unwrap();
        assert_eq!((broker.id.as_str(), broker.rate, broker.timeout.as_secs()), ("acme", 5.0, 3));
        assert_eq!(broker.subscription.loads, LoadFilter::List(FxHashSet::default()));
        assert_eq!(broker.subscription.statuses.map(|statuses| statuses.len()), Some(1));
        assert_eq!(broker.subscription.fields.len(), 1);
    }

    #[test]
    fn a_row_is_refused_for_what_a_config_would_be_and_for_what_is_not_its_own_to_say() {
        let cases: [Case; 10] = [
            (|row| row.url = Some("http://10.0.0.1/".into()), "webhook_url"),
            (|row| row.url = None, "webhook_url"),
            (|row| row.rate = Some(f64::NAN), "rate"),
            (|row| row.id = "A B".into(), "id"),
            (|row| row.secrets = Some(vec!["file:keys/none".into()]), "secret_refs[0]"),
            (|row| row.secrets = Some(vec!["env:PATH".into()]), "secret_refs: names env:PATH"),
            (|row| row.secrets = Some(vec!["file:keys/../keys/acme".into()]), "secret_refs: names"),
            (
                |row| row.settings = Some("{\"allow_networks\": [\"10.0.0.0/8\"]}".into()),
                "settings.allow_networks",
            ),
            (|row| row.settings = Some("[]".into()), "settings"),
            (|row| row.settings = Some("{\"timeout\": \"9m\"}".into()), "timeout"),
        ];
        for (change, expected) in cases {
            let told = read(change).unwrap_err();
            assert!(told.starts_with(expected), "{told}");
        }
        let key = read(|row| row.secrets = Some(vec!["whsec_AAAA".into()])).unwrap_err();
        assert!(!key.contains("AAAA"), "{key}");
    }
}
