//! A directory in which Loadline is run: its config, built key by key, and the secrets it shares with its brokers. The file
//! `loadline.toml` is replaced as a whole, so a process that reads it while it is saved finds the old or the new one.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use stages::{LoadFilter, Subscription};
use toml::{Table, Value};

/// The config's name in its directory.
const CONFIG: &str = "loadline.toml";

/// A directory with Loadline's config.
#[derive(Clone, Debug)]
pub struct RunDir {
    path: PathBuf,
    comment: String,
    config: Table,
    brokers: Vec<Table>,
}

/// A broker's table in the config.
#[derive(Clone, Debug)]
pub struct BrokerTable(Table);

impl RunDir {
    /// The directory `path`, which is made if it is not there. Its config lets Loadline deliver to this machine over HTTP;
    /// everything else is the default until it is set.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        fs::create_dir_all(&path)?;
        let mut dir = Self { path, comment: String::new(), config: Table::new(), brokers: Vec::new() };
        dir.set("delivery.allow_http", true);
        dir.set("delivery.allow_networks", vec!["127.0.0.0/8"]);
        Ok(dir)
    }

    /// A path inside it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The path of its config.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.path(CONFIG)
    }

    /// Sets a key of the config, such as `limits.grace`.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        match key.split_once('.') {
            None => _ = self.config.insert(key.to_owned(), value.into()),
            Some((section, key)) => {
                self.set_all(section, Table::from_iter([(key.to_owned(), value.into())]));
            }
        }
    }

    /// Sets all `keys` of a section.
    pub fn set_all(&mut self, section: &str, keys: Table) {
        match self.config.get_mut(section) {
            Some(Value::Table(present)) => present.extend(keys),
            _ => _ = self.config.insert(section.to_owned(), keys.into()),
        }
    }

    /// Puts a comment at the head of the config.
    pub fn comment(&mut self, text: &str) {
        self.comment = text.lines().map(|line| format!("# {line}\n")).collect();
    }

    /// Keeps a secret in the file `name`; gives what the config calls it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_secret(&self, name: &str, secret: &str) -> io::Result<String> {
        fs::write(self.path(name), format!("{secret}\n"))?;
        Ok(format!("file:{name}"))
    }

    /// Adds a broker behind the others.
    pub fn add_broker(&mut self, broker: BrokerTable) {
        self.brokers.push(broker.0);
    }

    /// The brokers' tables, in their order.
    pub fn brokers(&mut self) -> &mut Vec<Table> {
        &mut self.brokers
    }

    /// Writes the config as it is now; gives its path.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self) -> io::Result<PathBuf> {
        let mut config = self.config.clone();
        config.insert("brokers".to_owned(), self.brokers.clone().into());
        let text = toml::to_string(&config).map_err(io::Error::other)?;
        replace(&self.config(), &format!("{}{text}", self.comment))?;
        Ok(self.config())
    }
}

impl BrokerTable {
    /// A broker at `url`; `secret` is what the config calls its secret, such as `file:acme.secret`.
    #[must_use]
    pub fn new(id: &str, url: impl Into<Value>, secret: impl Into<Value>) -> Self {
        let table = Table::from_iter([("id".to_owned(), id.into()), ("url".to_owned(), url.into())]);
        Self(table).with("secrets", vec![secret.into()])
    }

    /// The same with this key.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    /// The same with this key, if it has a value.
    #[must_use]
    pub fn with_some(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            None => self,
            Some(value) => self.with(key, value),
        }
    }

    /// The same with this subscription.
    #[must_use]
    pub fn subscribed(self, subscription: &Subscription) -> Self {
        let sorted = |names: &mut dyn Iterator<Item = &str>| {
            let mut names: Vec<String> = names.map(str::to_owned).collect();
            names.sort_unstable();
            Value::from(names)
        };
        let loads = match &subscription.loads {
            LoadFilter::All => None,
            LoadFilter::List(loads) => Some(sorted(&mut loads.iter().map(|load| &**load))),
            LoadFilter::Prefixes(prefixes) => {
                Some(Table::from_iter([("prefix".to_owned(), Value::from(prefixes.clone()))]).into())
            }
        };
        let statuses = subscription.statuses.as_ref();
        let statuses = statuses.map(|all| sorted(&mut all.iter().map(|status| &**status)));
        self.with_some("loads", loads).with_some("statuses", statuses)
    }
}

/// Puts `text` in the place of the file `path`.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let fresh = path.with_extension("toml.new");
    fs::write(&fresh, text)?;
    fs::rename(fresh, path)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use service::config::Config;

    use super::*;

    fn saved(dir: &RunDir) -> Config {
        Config::load(&dir.save().unwrap()).unwrap_or_else(|errors| panic!("{errors}"))
    }

    #[test]
    fn what_is_set_later_replaces_what_was_set_before_and_the_config_is_taken() {
        let temporary = tempfile::tempdir().unwrap();
        let mut dir = RunDir::new(temporary.path().join("new")).unwrap();
        dir.comment("Two lines\nof comment.");
        dir.set("source.path", "events.ndjson");
        dir.set("limits.in_flight_max", 4_096);
        dir.set_all("limits", Table::from_iter([("in_flight_max".to_owned(), 8_192.into())]));
        let secret = dir.keep_secret("acme.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let url = "http://127.0.0.1:9000/";
        dir.add_broker(BrokerTable::new("acme", url, secret).with("rate", 5).with_some("burst", None::<i64>));
        let config = saved(&dir);
        assert_eq!((config.limits.in_flight_max, config.brokers[0].rate), (8_192, 5.0));
        let text = fs::read_to_string(dir.config()).unwrap();
        assert!(text.starts_with("# Two lines\n# of comment.\n"), "{text}");
        dir.brokers()[0].insert("rate".to_owned(), 6.into());
        assert_eq!(saved(&dir).brokers[0].rate, 6.0);
    }

    #[test]
    fn a_subscription_is_read_as_it_was_meant() {
        let temporary = tempfile::tempdir().unwrap();
        let mut dir = RunDir::new(temporary.path()).unwrap();
        dir.set("source.path", "events.ndjson");
        let secret = dir.keep_secret("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let names = |names: &[&str]| names.iter().map(|&name| Arc::from(name)).collect();
        let of = |loads| Subscription { loads, ..Subscription::default() };
        let subscriptions = [
            Subscription::default(),
            Subscription { statuses: Some(names(&["posted", "matched"])), ..Subscription::default() },
            of(LoadFilter::Prefixes(vec!["CHI-".to_owned()])),
            of(LoadFilter::Prefixes(vec!["CHI-".to_owned(), "DAL-".to_owned()])),
            of(LoadFilter::List(names(&["L-2", "L-1"]))),
        ];
        for (place, subscription) in subscriptions.iter().enumerate() {
            let broker = BrokerTable::new(&format!("b{place}"), "http://127.0.0.1:9000/", secret.as_str());
            dir.add_broker(broker.with("rate", 1).subscribed(subscription));
        }
        let config = saved(&dir);
        assert!(config.brokers.iter().map(|broker| &broker.subscription).eq(&subscriptions));
    }
}
