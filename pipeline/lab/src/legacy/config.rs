//! The config of the model: one small TOML file, read and checked, and written by whoever runs the model from the same
//! types.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use url::Url;

use super::{LegacyBroker, LegacyTopic};

/// The most partitions or consumers: far beyond what one topic's group has, and still nothing to spread.
pub const MEMBERS_MAX: u32 = 1_000;
/// More records than the log of any run of the lab has.
const LOG_MAX: u32 = 1 << 23;
/// The longest time a value may ask for: longer than any run.
const TIME_MAX: Duration = Duration::from_secs(86_400);

/// What the model is told before it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegacyConfig {
    /// The NDJSON file that stands for the topic; it grows while the model runs. A path that is not absolute starts
    /// where the config file is. Not used with a `topic`.
    #[serde(default)]
    pub log: PathBuf,
    /// Partitions of the topic, 1 to [`MEMBERS_MAX`]. Default 12.
    #[serde(default = "twelve")]
    pub partitions: u32,
    /// Consumers at the start, 1 to [`MEMBERS_MAX`]. Default 3.
    #[serde(default = "three")]
    pub consumers: u32,
    /// How often offsets are committed, 1 ms to 1 day. Default 5 s, kafkajs's `autoCommitInterval`.
    #[serde(default = "five_seconds", with = "humantime_serde")]
    pub commit_interval: Duration,
    /// How long a rebalance stops everyone, up to 1 day. Default 3 s, kafkajs's `heartbeatInterval`: so late a member
    /// hears of a rebalance.
    #[serde(default = "three_seconds", with = "humantime_serde")]
    pub session: Duration,
    /// How long a POST may take, 1 ms to 1 day. Default 5 s, the service's own.
    #[serde(default = "five_seconds", with = "humantime_serde")]
    pub timeout: Duration,
    /// How long a look-up of a load's subscriptions takes, up to 1 day. Default 2 ms.
    #[serde(default = "two_millis", with = "humantime_serde")]
    pub query: Duration,
    /// How long a consumer takes to come back after a crash, up to 1 day. Default 5 s.
    #[serde(default = "five_seconds", with = "humantime_serde")]
    pub poison_restart: Duration,
    /// How often one message may crash its consumer before it is skipped, at least 1. Default 5.
    #[serde(default = "five")]
    pub poison_max: u32,
    /// Records held that are not committed, at least 1, about 24 bytes each; at that, reading waits, and the reports
    /// show less lag than there is. Default 1,048,576: 25 times the backlog of the incident.
    #[serde(default = "held_max")]
    pub held_max: u32,
    /// The topic of a Kafka cluster that is read instead, by one consumer: the partitions and the other consumers are the
    /// cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<LegacyTopic>,
    /// A file to which a line is added for each POST, as an NDJSON log of deliveries; none if it is empty. The service
    /// itself kept no such log. A path that is not absolute starts where the config file is.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub deliveries: PathBuf,
    /// Who gets events, in the order in which they are posted to.
    #[serde(default)]
    pub brokers: Vec<LegacyBroker>,
}

fn is_empty(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

/// The model cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LegacyConfigFault {
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}; give the path of a TOML file this process may read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("{path} is no config of the legacy model: {source}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        source: Box<toml::de::Error>,
    },
    /// A value is out of its bounds.
    #[error("{key} is {value}: give {bounds}")]
    Bounds {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// The bounds.
        bounds: String,
    },
    /// A broker is somewhere the model must not post to: it retries without limit.
    #[error(
        "broker {broker} is at {url}: give an address such as http://127.0.0.1:9000/, the model posts to loopback only"
    )]
    Url {
        /// The broker.
        broker: String,
        /// Its URL.
        url: Url,
    },
    /// A broker wants a status there is not.
    #[error("broker {broker} wants {status:?}, which is no known status: give one of {known}")]
    Status {
        /// The broker.
        broker: String,
        /// The status.
        status: String,
        /// The known ones.
        known: String,
    },
}

impl LegacyConfig {
    /// The defaults for a run over `log`, all of which may be held.
    #[must_use]
    pub fn of_run(log: PathBuf, brokers: Vec<LegacyBroker>) -> Self {
        Self {
            log,
            topic: None,
            partitions: twelve(),
            consumers: three(),
            commit_interval: five_seconds(),
            session: three_seconds(),
            timeout: five_seconds(),
            query: two_millis(),
            poison_restart: five_seconds(),
            poison_max: five(),
            held_max: LOG_MAX,
            deliveries: PathBuf::new(),
            brokers,
        }
    }

    /// Writes it into the file `legacy.toml` of the directory `dir`; gives its path.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, dir: &Path) -> io::Result<PathBuf> {
        let path = dir.join("legacy.toml");
        fs::write(&path, toml::to_string(self).map_err(io::Error::other)?)?;
        Ok(path)
    }

    /// Reads and checks a config file.
    ///
    /// # Errors
    /// [`LegacyConfigFault`]: the first thing that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, LegacyConfigFault> {
        let text = fs::read_to_string(path)
            .map_err(|source| LegacyConfigFault::Unreadable { path: path.to_owned(), source })?;
        let mut config: Self = toml::from_str(&text).map_err(|source| LegacyConfigFault::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let here = path.parent().unwrap_or(Path::new(""));
        for path in [&mut config.log, &mut config.deliveries].into_iter().filter(|path| !is_empty(path)) {
            *path = here.join(&*path);
        }
        config.check()?;
        Ok(config)
    }

    /// Whether the model can be set up like this.
    ///
    /// # Errors
    /// A value out of its bounds, a broker that is not on loopback, or a status that is not known.
    pub fn check(&self) -> Result<(), LegacyConfigFault> {
        for (key, value) in [("partitions", self.partitions), ("consumers", self.consumers)] {
            within(key, (1..=MEMBERS_MAX).contains(&value), &value, || format!("1 to {MEMBERS_MAX}"))?;
        }
        for (key, value) in [("poison_max", self.poison_max), ("held_max", self.held_max)] {
            within(key, value > 0, &value, || "at least 1".to_owned())?;
        }
        if self.log.as_os_str().is_empty() == self.topic.is_none() {
            let (key, value) = ("log", self.log.display().to_string());
            return Err(LegacyConfigFault::Bounds { key, value, bounds: "a file, or a [topic]".to_owned() });
        }
        let (none, least) = (Duration::ZERO, Duration::from_millis(1));
        let times = [
            ("commit_interval", self.commit_interval, least),
            ("timeout", self.timeout, least),
            ("session", self.session, none),
            ("query", self.query, none),
            ("poison_restart", self.poison_restart, none),
        ];
        for (key, value, least) in times {
            let show = humantime::format_duration;
            within(key, (least..=TIME_MAX).contains(&value), &show(value), || {
                format!("{} to {}", show(least), show(TIME_MAX))
            })?;
        }
        self.brokers.iter().try_for_each(|broker| broker.subscription().map(drop))
    }
}

fn within(
    key: &'static str,
    is_fine: bool,
    value: &dyn std::fmt::Display,
    bounds: impl FnOnce() -> String,
) -> Result<(), LegacyConfigFault> {
    if is_fine {
        return Ok(());
    }
    Err(LegacyConfigFault::Bounds { key, value: value.to_string(), bounds: bounds() })
}

fn three() -> u32 {
    3
}

fn five() -> u32 {
    5
}

fn twelve() -> u32 {
    12
}

fn held_max() -> u32 {
    1 << 20
}

fn two_millis() -> Duration {
    Duration::from_millis(2)
}

fn three_seconds() -> Duration {
    Duration::from_secs(3)
}

fn five_seconds() -> Duration {
    Duration::from_secs(5)
}
