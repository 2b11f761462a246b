//! A profile: a TOML file that says what a run is to be like, checked, with everything that is wrong with it told at once.
//!
//! Times in a profile are times of the run. Where a profile replays something that took hours it says so itself.

mod broker;
mod builtin;
mod check;

use std::{fs, io, path::Path, time::Duration};

use serde::Deserialize;

pub use broker::{BrokerProfile, Down, Trouble};
pub use builtin::{BUILTIN, Builtin};

/// The longest profile, in bytes.
const PROFILE_MAX: u64 = 1 << 20;

/// A profile.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// What it shows, in one sentence.
    pub about: String,
    /// The seed of the traffic and of the receivers' rng.
    pub seed: u64,
    /// How much is appended to the log, and when.
    pub load: Load,
    /// Records that say something again.
    #[serde(default)]
    pub duplicates: Duplicates,
    /// Records nobody may be given.
    #[serde(default)]
    pub faults: Faults,
    /// When the legacy consumer group is scaled out; not at all if not given.
    pub scale_out: Option<ScaleOut>,
    /// When it is scaled in again; not at all if not given. Only with a group on a cluster does it matter to Loadline.
    pub scale_in: Option<ScaleOut>,
    /// When the system under test is killed (`kill -9`) and started again.
    #[serde(default)]
    pub kills: Vec<Kill>,
    /// How long a system may go on after the last append until everything has settled, before it is stopped.
    #[serde(default)]
    pub settle: Settle,
    /// The legacy model.
    #[serde(default)]
    pub legacy: LegacyProfile,
    /// What Loadline's config says besides its brokers and its source; sections and keys as in its own config.
    #[serde(default)]
    pub loadline: toml::Table,
    /// The brokers.
    pub brokers: Vec<BrokerProfile>,
}

/// The load over time: `before` at the base rate, `ramp` up, `during` at the surge's, `after` at the base rate again.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Events a second, before and after.
    pub base: f64,
    /// How many times that during the surge; 1 for no surge.
    #[serde(default = "one")]
    pub surge: f64,
    /// How long before the surge.
    #[serde(with = "humantime_serde")]
    pub before: Duration,
    /// How long it takes to rise; part of the surge.
    #[serde(default, with = "humantime_serde")]
    pub ramp: Duration,
    /// How long it lasts, the ramp included.
    #[serde(default, with = "humantime_serde")]
    pub during: Duration,
    /// How long after it.
    #[serde(default, with = "humantime_serde")]
    pub after: Duration,
    /// Events that stand in the log when the run begins.
    #[serde(default)]
    pub backlog: u32,
    /// Loads under way at once.
    #[serde(default = "loads")]
    pub loads: u32,
    /// The share of events that are about the `hot_loads`, 0 to 1; the rest is spread evenly.
    #[serde(default)]
    pub hot_share: f64,
    /// How many loads are hot.
    #[serde(default)]
    pub hot_loads: u32,
    /// The lanes, by the prefix of their loads' ids, and each one's share of the loads, relative to the others.
    #[serde(default = "lanes")]
    pub lanes: Vec<Lane>,
    /// The shortest and the longest event, in bytes; spread evenly.
    #[serde(default = "body")]
    pub body: [usize; 2],
}

/// A lane: the loads of one region.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lane {
    /// What the ids of its loads begin with.
    pub prefix: String,
    /// Its share of the loads, relative to the others.
    pub weight: f64,
}

/// Records that say something again.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Duplicates {
    /// The share of events whose producer had no answer and appends them once more.
    #[serde(default)]
    pub producer_retries: f64,
    /// How much later at most.
    #[serde(default, with = "humantime_serde")]
    pub within: Duration,
    /// When a consumer group would be thrown back and read again; Loadline's log says those records again then. The
    /// legacy model's own scale-out throws it back, so its log does not.
    #[serde(default, with = "humantime_serde")]
    pub replay_at: Option<Duration>,
    /// How far it is thrown back.
    #[serde(default, with = "humantime_serde")]
    pub replay_span: Duration,
}

/// Records nobody may be given.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    /// The share of records that are no events at all.
    #[serde(default)]
    pub garbage: f64,
    /// The share of records that use an earlier event's id for another event.
    #[serde(default)]
    pub conflicts: f64,
}

/// A scale-out of the consumer group, or a scale-in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScaleOut {
    /// When.
    #[serde(with = "humantime_serde")]
    pub at: Duration,
    /// To how many consumers.
    pub to: u32,
}

/// A kill with no warning.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kill {
    /// When.
    #[serde(with = "humantime_serde")]
    pub at: Duration,
}

/// How long a system may go on after the last append.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settle {
    /// The legacy model.
    #[serde(with = "humantime_serde")]
    pub legacy: Duration,
    /// Loadline.
    #[serde(with = "humantime_serde")]
    pub loadline: Duration,
}

/// The legacy model's settings: see [`crate::legacy`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LegacyProfile {
    /// Partitions of the topic.
    pub partitions: u32,
    /// Consumers at the start.
    pub consumers: u32,
    /// How long it waits for an answer.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// How often offsets are committed.
    #[serde(with = "humantime_serde")]
    pub commit_interval: Duration,
    /// How long a rebalance stops everyone.
    #[serde(with = "humantime_serde")]
    pub session: Duration,
    /// On a cluster: how long a message may take until the group goes on without its consumer.
    #[serde(with = "humantime_serde")]
    pub rebalance_timeout: Duration,
    /// How long looking up the subscriptions of one message takes.
    #[serde(with = "humantime_serde")]
    pub query: Duration,
    /// How long a consumer takes to come back after a malformed message has crashed it.
    #[serde(with = "humantime_serde")]
    pub poison_restart: Duration,
    /// How often one message may crash its consumer before the model skips it; the service itself never would.
    pub poison_max: u32,
}

impl Default for Settle {
    fn default() -> Self {
        Self { legacy: Duration::from_secs(5), loadline: Duration::from_secs(30) }
    }
}

impl Default for LegacyProfile {
    fn default() -> Self {
        Self {
            partitions: 12,
            consumers: 3,
            timeout: Duration::from_secs(5),
            commit_interval: Duration::from_secs(5),
            session: Duration::from_secs(3),
            rebalance_timeout: Duration::from_secs(60),
            query: Duration::from_millis(1),
            poison_restart: Duration::from_secs(5),
            poison_max: 5,
        }
    }
}

fn one() -> f64 {
    1.0
}

fn loads() -> u32 {
    1_000
}

fn lanes() -> Vec<Lane> {
    vec![Lane { prefix: "CHI-".to_owned(), weight: 1.0 }]
}

fn body() -> [usize; 2] {
    [300, 900]
}

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileFault {
    /// It is neither one of Loadline's own nor a file.
    #[error(
        "there is no profile {name}; `loadline surge --list` names them, and a path to a TOML file is one too"
    )]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// It cannot be read.
    #[error("profile {path}: {error}")]
    Io {
        /// The file.
        path: String,
        /// The system's words.
        error: io::Error,
    },
    /// It is not a profile.
    #[error("profile {path}: {detail}")]
    Toml {
        /// The file or the name.
        path: String,
        /// What is wrong, and where.
        detail: String,
    },
    /// Its values cannot be had.
    #[error("profile {path}: {}", problems.join("; "))]
    Values {
        /// The file or the name.
        path: String,
        /// Everything that is wrong.
        problems: Vec<String>,
    },
}

impl Profile {
    /// One of Loadline's own profiles, or the file of that path.
    ///
    /// # Errors
    /// [`ProfileFault`]: there is none, or what is wrong with it.
    pub fn load(name: &str) -> Result<Self, ProfileFault> {
        if let Some(builtin) = BUILTIN.iter().find(|builtin| builtin.name == name) {
            return Self::parse(name, builtin.toml);
        }
        let path = Path::new(name);
        if path.extension().is_none() && !path.exists() {
            return Err(ProfileFault::Unknown { name: name.to_owned() });
        }
        let io = |error| ProfileFault::Io { path: name.to_owned(), error };
        if fs::metadata(path).map_err(io)?.len() > PROFILE_MAX {
            return Err(io(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 1 MiB")));
        }
        Self::parse(name, &fs::read_to_string(path).map_err(io)?)
    }

    /// A profile from its text; `path` is what it is called in an error.
    ///
    /// # Errors
    /// [`ProfileFault::Toml`] or [`ProfileFault::Values`].
    pub fn parse(path: &str, text: &str) -> Result<Self, ProfileFault> {
        let profile: Self = toml::from_str(text)
            .map_err(|error| ProfileFault::Toml { path: path.to_owned(), detail: error.to_string() })?;
        profile.checked(path)
    }

    /// The profile itself, if its values can be had: to be asked again once they have been changed.
    ///
    /// # Errors
    /// [`ProfileFault::Values`].
    pub fn checked(self, path: &str) -> Result<Self, ProfileFault> {
        let problems = check::problems(&self);
        if problems.is_empty() {
            Ok(self)
        } else {
            Err(ProfileFault::Values { path: path.to_owned(), problems })
        }
    }

    /// How long events are appended.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.load.before.saturating_add(self.load.during).saturating_add(self.load.after)
    }

    /// The same with every time of the load and of what befalls the brokers stretched so that it takes `length`.
    /// What a broker or a system takes for something stays as it is.
    #[must_use]
    pub fn lasting(mut self, length: Duration) -> Self {
        let factor = length.as_secs_f64() / self.length().as_secs_f64().max(f64::MIN_POSITIVE);
        let stretch = |time: &mut Duration| {
            // What is farther off than can be said never comes.
            *time = Duration::try_from_secs_f64(time.as_secs_f64() * factor).unwrap_or(Duration::MAX);
        };
        let load = &mut self.load;
        [&mut load.before, &mut load.ramp, &mut load.during, &mut load.after].into_iter().for_each(stretch);
        self.duplicates.replay_at.iter_mut().for_each(stretch);
        self.scale_out.iter_mut().chain(&mut self.scale_in).for_each(|scale| stretch(&mut scale.at));
        self.kills.iter_mut().for_each(|kill| stretch(&mut kill.at));
        for trouble in self.brokers.iter_mut().flat_map(|broker| &mut broker.troubles) {
            stretch(&mut trouble.from);
            stretch(&mut trouble.to);
        }
        self
    }

    /// When the group is scaled, in the order of time if the profile has it so.
    pub fn scales(&self) -> impl Iterator<Item = &ScaleOut> {
        self.scale_out.iter().chain(&self.scale_in)
    }

    /// Events a second at `at` of the run.
    #[must_use]
    pub fn rate_at(&self, at: Duration) -> f64 {
        let load = &self.load;
        let Some(into) = at.checked_sub(load.before) else { return load.base };
        if into >= load.during {
            return load.base;
        }
        let risen = if into < load.ramp { into.as_secs_f64() / load.ramp.as_secs_f64() } else { 1.0 };
        load.base * (1.0 + (load.surge - 1.0) * risen)
    }
}

#[cfg(test)]
mod tests;
