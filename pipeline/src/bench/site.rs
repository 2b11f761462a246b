//! A place for one run: a directory with the config of Loadline or of the legacy model, and the log that is put there once
//! whoever reads it is up.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use stages::models::{LoadFilter, Subscription};
use state::Durability;
use toml::{Table, Value};

use super::{fault::BenchFault, workload::Workload};
use crate::legacy::{LegacyBroker, LegacyConfig};

/// The key everything is signed with; it guards nothing.
pub(super) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The log's name in a site's directory.
const LOG: &str = "events.ndjson";
/// As fast as the config takes it: limits are on, and never reached.
const RATE_MAX: i64 = 1_000_000;
/// `delivery.timeout`: longer than a machine stands still. Answers that are only late would be asked for again, and the
/// counts would not be exact.
const TIMEOUT: &str = "1m";
/// `timeout` of a broker that never answers.
const SILENT_TIMEOUT: &str = "1s";
/// `delivery.connect_timeout` beside it, which has to be shorter. A request that was not sent is not counted twice.
const SILENT_CONNECT_TIMEOUT: &str = "900ms";

/// Loadline's settings that differ from its defaults.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// `state.durability`.
    pub durability: Durability,
    /// `state.dir`: absolute, or in the site's directory.
    pub state: PathBuf,
    /// `brokers.concurrency`, of each.
    pub concurrency: Vec<usize>,
    /// `limits.in_flight_max` and `limits.per_broker_max`, if not the defaults.
    pub in_flight_max: Option<usize>,
    /// The broker that may never answer: it has a short `timeout`, so that it is given up within the run.
    pub silent: Option<usize>,
}

impl Settings {
    /// The defaults with these.
    #[must_use]
    pub(super) fn new(durability: Durability, concurrency: Vec<usize>) -> Self {
        Self { durability, state: "state".into(), concurrency, in_flight_max: None, silent: None }
    }
}

/// `total` requests at once over `brokers`, as evenly as it goes, at least one each.
#[must_use]
pub(super) fn shared_out(total: usize, brokers: usize) -> Vec<usize> {
    let (each, more) = (total / brokers.max(1), total % brokers.max(1));
    (0..brokers).map(|broker| (each + usize::from(broker < more)).max(1)).collect()
}

/// A directory of one run.
#[derive(Debug)]
pub(super) struct Site {
    /// The directory.
    pub dir: PathBuf,
}

impl Site {
    /// Makes the directory `name` in `within`.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn make(within: &Path, name: &str) -> Result<Self, BenchFault> {
        let dir = within.join(name);
        fs::create_dir_all(&dir).map_err(BenchFault::file(&dir))?;
        Ok(Self { dir })
    }

    /// Writes Loadline's config for `workload` with the brokers at `urls`; gives its path.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(super) fn write_loadline(
        &self,
        workload: &Workload,
        urls: &[String],
        settings: &Settings,
    ) -> Result<PathBuf, BenchFault> {
        fs::write(self.dir.join("secret"), SECRET).map_err(BenchFault::file(self.dir.join("secret")))?;
        let table = loadline(workload, urls, settings);
        self.write("loadline.toml", toml::to_string(&table).map_err(io::Error::other))
    }

    /// Writes the legacy model's config; gives its path.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn write_legacy(
        &self,
        workload: &Workload,
        urls: &[String],
        consumers: u32,
    ) -> Result<PathBuf, BenchFault> {
        let path = self.dir.join("legacy.toml");
        let config = self.legacy(workload, urls, consumers).map_err(BenchFault::file(&path))?;
        self.write("legacy.toml", toml::to_string(&config).map_err(io::Error::other))
    }

    /// Puts the log `events` where the run looks for it. It is there whole or not at all.
    ///
    /// # Errors
    /// It cannot be linked.
    pub(super) fn put_log(&self, events: &Path) -> Result<(), BenchFault> {
        let log = self.dir.join(LOG);
        fs::hard_link(events, &log).map_err(BenchFault::file(&log))
    }

    fn write(&self, name: &str, text: io::Result<String>) -> Result<PathBuf, BenchFault> {
        let path = self.dir.join(name);
        text.and_then(|text| fs::write(&path, text)).map_err(BenchFault::file(&path))?;
        Ok(path)
    }

    fn legacy(&self, workload: &Workload, urls: &[String], consumers: u32) -> io::Result<LegacyConfig> {
        let broker = |(nth, (url, wishes)): (usize, (&String, Table))| {
            let statuses = wishes.get("statuses").and_then(Value::as_array).into_iter().flatten();
            let statuses = statuses.filter_map(Value::as_str).map(Into::into).collect();
            let subscription = Subscription { statuses: Some(statuses), loads: LoadFilter::All };
            Ok(LegacyBroker::new(id(nth), url.parse().map_err(io::Error::other)?, &subscription))
        };
        let brokers =
            urls.iter().zip(workload.wishes()).enumerate().map(broker).collect::<io::Result<_>>()?;
        Ok(LegacyConfig {
            log: self.dir.join(LOG),
            partitions: 12,
            consumers,
            commit_interval: Duration::from_secs(5),
            session: Duration::from_secs(3),
            timeout: Duration::from_secs(5),
            // Only posting is measured: the look-up is a database's time, not the service's.
            query: Duration::ZERO,
            poison_restart: Duration::from_secs(5),
            poison_max: 5,
            // More than any log here has.
            held_max: 1 << 23,
            brokers,
        })
    }
}

/// The id of a broker.
#[must_use]
pub(super) fn id(broker: usize) -> String {
    format!("b{broker}")
}

/// Where broker after broker is, all at one receiver.
#[must_use]
pub(super) fn urls(port: u16, brokers: usize) -> Vec<String> {
    (0..brokers).map(|broker| format!("http://127.0.0.1:{port}/{broker}")).collect()
}

fn section(pairs: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Table(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn number(number: usize) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn loadline(workload: &Workload, urls: &[String], settings: &Settings) -> Table {
    let durability = match settings.durability {
        Durability::Power => "power",
        Durability::Process => "process",
    };
    let mut delivery = vec![
        ("allow_http", true.into()),
        ("allow_networks", Value::Array(vec!["127.0.0.0/8".into()])),
        ("timeout", TIMEOUT.into()),
    ];
    if settings.silent.is_some() {
        delivery.push(("connect_timeout", SILENT_CONNECT_TIMEOUT.into()));
    }
    let mut config = vec![
        (
            "source",
            section([
                ("kind", "file".into()),
                ("path", LOG.into()),
                ("follow", true.into()),
                ("poll", "10ms".into()),
            ]),
        ),
        (
            "state",
            section([
                ("dir", settings.state.to_string_lossy().into_owned().into()),
                ("durability", durability.into()),
            ]),
        ),
        ("delivery", section(delivery)),
        // The corpus is dated; a machine whose clock is behind must not matter.
        ("rules", section([("ahead_max", "365d".into())])),
        ("log", section([("level", "warn".into())])),
    ];
    if let Some(most) = settings.in_flight_max {
        config.push(("limits", section(["in_flight_max", "per_broker_max"].map(|key| (key, number(most))))));
    }
    let brokers = urls.iter().zip(workload.wishes()).zip(&settings.concurrency).enumerate();
    let brokers = brokers.map(|(nth, ((url, wishes), concurrency))| {
        let Value::Table(mut table) = section([
            ("id", id(nth).into()),
            ("url", url.clone().into()),
            ("secrets", Value::Array(vec!["file:secret".into()])),
            ("rate", RATE_MAX.into()),
            ("burst", RATE_MAX.into()),
            ("concurrency", number(*concurrency)),
        ]) else {
            return Value::Table(wishes);
        };
        table.extend(wishes);
        if settings.silent == Some(nth) {
            table.insert("timeout".to_owned(), SILENT_TIMEOUT.into());
        }
        Value::Table(table)
    });
    config.push(("brokers", Value::Array(brokers.collect())));
    config.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_configs_are_fine() {
        let dir = tempfile::tempdir().unwrap();
        let site = Site::make(dir.path(), "one").unwrap();
        let urls = urls(9_000, 12);
        for workload in [Workload::by_status(600, 12, 0), Workload::by_loads(600, 12, 0)] {
            let mut settings = Settings::new(Durability::Process, shared_out(64, 12));
            settings.in_flight_max = Some(256);
            settings.silent = Some(11);
            let config = Config::load(&site.write_loadline(&workload, &urls, &settings).unwrap()).unwrap();
            assert_eq!((config.brokers.len(), config.limits.in_flight_max), (12, 256));
        }
        let workload = Workload::by_status(600, 12, 0);
        let legacy = LegacyConfig::load(&site.write_legacy(&workload, &urls, 12).unwrap()).unwrap();
        assert_eq!((legacy.brokers.len(), legacy.query), (12, Duration::ZERO));
    }

    #[test]
    fn requests_at_once_are_shared_out_to_the_last_one() {
        assert_eq!(shared_out(64, 12), [6, 6, 6, 6, 5, 5, 5, 5, 5, 5, 5, 5]);
        assert_eq!(shared_out(64, 12).iter().sum::<usize>(), 64);
        assert_eq!(shared_out(3, 5), [1; 5]);
    }
}
