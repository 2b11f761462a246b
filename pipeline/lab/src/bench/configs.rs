//! The configs of a run, Loadline's or the legacy model's, and the log that is put beside them once whoever reads it is up.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use state::Durability;

use super::{fault::BenchFault, workload::Workload};
use crate::{
    BrokerTable, MemberSource, RunDir,
    legacy::{LegacyBroker, LegacyConfig},
};

/// The key everything is signed with; it guards nothing.
pub(super) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The log's name in a run's directory.
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
    /// `state.dir`: absolute, or in the run's directory.
    pub state: PathBuf,
    /// `brokers.concurrency`, of each.
    pub concurrency: Vec<usize>,
    /// `limits.in_flight_max` and `limits.per_broker_max`, if not the defaults.
    pub in_flight_max: Option<usize>,
    /// The broker that may never answer: it has a short `timeout`, so that it is given up within the run.
    pub silent: Option<usize>,
    /// The topic that is read instead of a file; the state follows its partitions.
    pub topic: Option<MemberSource>,
}

impl Settings {
    /// The defaults with these.
    #[must_use]
    pub(super) fn new(durability: Durability, concurrency: Vec<usize>) -> Self {
        Self {
            durability,
            state: "state".into(),
            concurrency,
            in_flight_max: None,
            silent: None,
            topic: None,
        }
    }
}

/// `total` requests at once over `brokers`, as evenly as it goes, at least one each.
#[must_use]
pub(super) fn split_evenly(total: usize, brokers: usize) -> Vec<usize> {
    let (each, more) = (total / brokers.max(1), total % brokers.max(1));
    (0..brokers).map(|broker| (each + usize::from(broker < more)).max(1)).collect()
}

/// Makes the directory `name` of a run in `within`.
///
/// # Errors
/// It cannot be made.
pub(super) fn make_dir(within: &Path, name: &str) -> Result<PathBuf, BenchFault> {
    let dir = within.join(name);
    fs::create_dir_all(&dir).map_err(BenchFault::file(&dir))?;
    Ok(dir)
}

/// Writes Loadline's config for `workload` with the brokers at `urls` into `dir`; gives its path.
///
/// # Errors
/// A file cannot be written.
pub(super) fn write_loadline(
    dir: &Path,
    workload: &Workload,
    urls: &[String],
    settings: &Settings,
) -> Result<PathBuf, BenchFault> {
    loadline(dir, workload, urls, settings).map_err(BenchFault::file(dir))
}

/// Writes the legacy model's config into `dir`; gives its path.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write_legacy(
    dir: &Path,
    workload: &Workload,
    urls: &[String],
    consumers: u32,
) -> Result<PathBuf, BenchFault> {
    legacy(dir, workload, urls, consumers).map_err(BenchFault::file(dir))
}

/// Puts the log `events` where the run in `dir` looks for it. It is there whole or not at all.
///
/// # Errors
/// It cannot be linked.
pub(super) fn put_log(dir: &Path, events: &Path) -> Result<(), BenchFault> {
    let log = dir.join(LOG);
    fs::hard_link(events, &log).map_err(BenchFault::file(&log))
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

fn loadline(dir: &Path, workload: &Workload, urls: &[String], settings: &Settings) -> io::Result<PathBuf> {
    let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let mut dir = RunDir::new(dir)?;
    match &settings.topic {
        Some(topic) => topic.set_on(&mut dir),
        None => {
            dir.set("source.kind", "file");
            dir.set("source.path", LOG);
            dir.set("source.follow", true);
            dir.set("source.poll", "10ms");
            // A ledger that was filled once is measured with the logs of several runs.
            dir.set("source.on_unknown", "begin");
        }
    }
    dir.set("state.dir", settings.state.to_string_lossy().into_owned());
    dir.set(
        "state.durability",
        match settings.durability {
            Durability::Power => "power",
            Durability::Process => "process",
        },
    );
    dir.set("delivery.timeout", TIMEOUT);
    if settings.silent.is_some() {
        dir.set("delivery.connect_timeout", SILENT_CONNECT_TIMEOUT);
    }
    // The corpus is dated; a machine whose clock is behind must not matter.
    dir.set("rules.ahead_max", "365d");
    dir.set("log.level", "warn");
    if let Some(most) = settings.in_flight_max {
        dir.set("limits.in_flight_max", number(most));
        dir.set("limits.per_broker_max", number(most));
    }
    let secret = dir.keep_secret("secret", SECRET)?;
    let brokers = urls.iter().zip(workload.subscriptions()).zip(&settings.concurrency).enumerate();
    for (nth, ((url, subscription), concurrency)) in brokers {
        let broker = BrokerTable::new(&id(nth), url.as_str(), secret.as_str())
            .with("rate", RATE_MAX)
            .with("burst", RATE_MAX)
            .with("concurrency", number(*concurrency))
            .with_some("timeout", (settings.silent == Some(nth)).then_some(SILENT_TIMEOUT));
        dir.add_broker(broker.subscribed(&subscription));
    }
    dir.save()
}

fn legacy(dir: &Path, workload: &Workload, urls: &[String], consumers: u32) -> io::Result<PathBuf> {
    let brokers = urls.iter().zip(workload.subscriptions()).enumerate().map(|(nth, (url, subscription))| {
        Ok(LegacyBroker::new(id(nth), url.parse().map_err(io::Error::other)?, &subscription))
    });
    let config = LegacyConfig::of_run(dir.join(LOG), brokers.collect::<io::Result<_>>()?);
    // Only posting is measured: the look-up is a database's time, not the service's.
    LegacyConfig { consumers, query: Duration::ZERO, ..config }.save(dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use service::config::Config;

    #[test]
    fn the_configs_are_fine() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = make_dir(temporary.path(), "one").unwrap();
        let urls = urls(9_000, 12);
        for workload in [Workload::by_status(600, 12, 0), Workload::by_loads(600, 12, 0)] {
            let mut settings = Settings::new(Durability::Process, split_evenly(64, 12));
            settings.in_flight_max = Some(256);
            settings.silent = Some(11);
            let config = Config::load(&write_loadline(&dir, &workload, &urls, &settings).unwrap()).unwrap();
            assert_eq!((config.brokers.len(), config.limits.in_flight_max), (12, 256));
        }
        let workload = Workload::by_status(600, 12, 0);
        let legacy = LegacyConfig::load(&write_legacy(&dir, &workload, &urls, 12).unwrap()).unwrap();
        assert_eq!((legacy.brokers.len(), legacy.query), (12, Duration::ZERO));
    }

    #[test]
    fn requests_at_once_are_split_to_the_last_one() {
        assert_eq!(split_evenly(64, 12), [6, 6, 6, 6, 5, 5, 5, 5, 5, 5, 5, 5]);
        assert_eq!(split_evenly(64, 12).iter().sum::<usize>(), 64);
        assert_eq!(split_evenly(3, 5), [1; 5]);
    }
}
