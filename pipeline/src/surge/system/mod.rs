//! A system under test: a child process of its own, started, heard, scaled, killed and stopped by the simulator. What it
//! says of itself is written down, not believed.

mod legacy;
mod loadline;

use std::{
    ffi::OsString,
    fs::File,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin},
    sync::watch,
    time::timeout,
};

pub use legacy::write_legacy_config;
pub use loadline::{Book, read_book, secret, write_loadline_config};

use super::play::records_before;
use crate::{
    child_process,
    legacy::Progress,
    proc::{self, Memory},
    status::Status,
};

/// How often a system says how it is doing: often enough to see a lag of a tenth of a second.
const EVERY: &str = "50ms";
/// How long a system may take to come up: a store is opened, nothing else.
const UP_MAX: Duration = Duration::from_secs(30);
/// How long it may take to stop before it is killed: longer than Loadline's grace period.
const DOWN_MAX: Duration = Duration::from_secs(30);

/// Which system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    /// The model of the legacy service.
    Legacy,
    /// Loadline.
    Loadline,
}

impl Which {
    /// Its name in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Loadline => "loadline",
        }
    }
}

/// What a system has said of itself last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Records it has read.
    pub read: u64,
    /// All records of the log before this one are settled, by its own account.
    pub settled_to: u64,
    /// Records read and not settled. With what it has not read yet they are its lag.
    pub lag: u64,
    /// Deliveries in its memory, or messages being handled.
    pub in_flight: u64,
    /// Deliveries that wait on its disk.
    pub spilled: u64,
    /// Whether backpressure holds its intake.
    pub held: bool,
    /// How it sees each broker; empty if it does not say.
    pub states: Vec<String>,
}

/// Why a system could not be run.
#[derive(Debug, thiserror::Error)]
pub enum SystemFault {
    /// It cannot be started.
    #[error("{which} cannot be started: {error}")]
    Start {
        /// Which system.
        which: &'static str,
        /// The system's words.
        error: io::Error,
    },
    /// It did not come up, or ended before it was told to.
    #[error("{which} ended unexpectedly or never came up; its log is {log}")]
    Gone {
        /// Which system.
        which: &'static str,
        /// The log.
        log: String,
    },
}

/// A running system.
#[derive(Debug)]
pub struct System {
    which: Which,
    loadline: PathBuf,
    arguments: Vec<OsString>,
    log: PathBuf,
    ends: std::sync::Arc<[u64]>,
    child: Child,
    stdin: Option<ChildStdin>,
    heard: watch::Receiver<Heard>,
    memory_max: u64,
}

impl System {
    /// Starts `which` from the binary `loadline` with `config` in `dir`; `ends` says where each record of its log ends. Returns once it is up.
    ///
    /// # Errors
    /// [`SystemFault`].
    pub async fn start(
        which: Which,
        (loadline, config): (&Path, &Path),
        dir: &Path,
        ends: Vec<u64>,
    ) -> Result<Self, SystemFault> {
        let mut arguments: Vec<OsString> = match which {
            Which::Legacy => vec!["legacy".into(), config.into(), "--every".into()],
            Which::Loadline => vec!["--json".into(), "run".into(), config.into(), "--status-every".into()],
        };
        arguments.push(EVERY.into());
        let log = dir.join(format!("{}.log", which.as_str()));
        let ends: std::sync::Arc<[u64]> = ends.into();
        let loadline = loadline.to_owned();
        let (child, stdin, heard) = spawn(which, (&loadline, &arguments), &log, &ends)?;
        let mut system = Self { which, loadline, arguments, log, ends, child, stdin, heard, memory_max: 0 };
        system.come_up().await?;
        Ok(system)
    }

    /// What it has said last.
    #[must_use]
    pub fn heard(&self) -> Heard {
        self.heard.borrow().clone()
    }

    /// Its resident set now and at most so far, in bytes.
    pub fn memory(&mut self) -> Option<u64> {
        let Memory { now, most } = proc::memory(self.child.id()?)?;
        self.memory_max = self.memory_max.max(most);
        Some(now)
    }

    /// The most memory it has had, in bytes, over all its processes.
    #[must_use]
    pub fn memory_max(&self) -> Option<u64> {
        (self.memory_max > 0).then_some(self.memory_max)
    }

    /// Whether it has ended without being told to.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// The fault that it is gone.
    #[must_use]
    pub fn gone(&self) -> SystemFault {
        SystemFault::Gone { which: self.which.as_str(), log: self.log.display().to_string() }
    }

    /// Scales its consumers; means nothing to Loadline.
    ///
    /// # Errors
    /// It is gone.
    pub async fn scale(&mut self, consumers: u32) -> Result<(), SystemFault> {
        if self.which == Which::Legacy {
            self.say(&format!("scale {consumers}\n")).await?;
        }
        Ok(())
    }

    /// Kills it with no warning, and starts it again.
    ///
    /// # Errors
    /// It cannot be started again.
    pub async fn kill_and_restart(&mut self) -> Result<(), SystemFault> {
        let start = |error| SystemFault::Start { which: self.which.as_str(), error };
        self.child.kill().await.map_err(start)?;
        (self.child, self.stdin, self.heard) =
            spawn(self.which, (&self.loadline, &self.arguments), &self.log, &self.ends)?;
        self.come_up().await
    }

    /// Stops it in good order.
    ///
    /// # Errors
    /// It did not end within half a minute, or not well.
    pub async fn stop(mut self) -> Result<Stopped, SystemFault> {
        match self.which {
            Which::Legacy => self.say("stop\n").await?,
            Which::Loadline => {
                if let Some(pid) = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
                    // If it is gone already, waiting for it tells.
                    let _gone = kill_process(pid, Signal::TERM);
                }
            }
        }
        match timeout(DOWN_MAX, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => {
                // What it said last may still be on its way.
                while self.heard.changed().await.is_ok() {}
                Ok(Stopped { heard: self.heard(), memory_max: self.memory_max() })
            }
            _ => Err(self.gone()),
        }
    }

    async fn say(&mut self, words: &str) -> Result<(), SystemFault> {
        let said = match &mut self.stdin {
            Some(stdin) => stdin.write_all(words.as_bytes()).await.is_ok() && stdin.flush().await.is_ok(),
            None => false,
        };
        if said { Ok(()) } else { Err(self.gone()) }
    }

    async fn come_up(&mut self) -> Result<(), SystemFault> {
        match timeout(UP_MAX, self.heard.changed()).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(self.gone()),
        }
    }
}

/// What is left of a system that was stopped.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// Its last words.
    pub heard: Heard,
    /// The most memory it had, in bytes.
    pub memory_max: Option<u64>,
}

type Spawned = (Child, Option<ChildStdin>, watch::Receiver<Heard>);

fn spawn(
    which: Which,
    (loadline, arguments): (&Path, &[OsString]),
    log: &Path,
    ends: &std::sync::Arc<[u64]>,
) -> Result<Spawned, SystemFault> {
    let fault = |error| SystemFault::Start { which: which.as_str(), error };
    let errors = File::options().create(true).append(true).open(log).map_err(fault)?;
    let mut child = child_process::start(loadline, arguments, errors).map_err(fault)?;
    let (says, heard) = watch::channel(Heard::default());
    if let Some(out) = child.stdout.take() {
        let ends = std::sync::Arc::clone(ends);
        tokio::spawn(async move {
            let mut lines = BufReader::new(out).lines();
            // Settled before the first line of a restarted process: it says so only once it has settled something.
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(heard) = understand(which, &line, &ends) {
                    says.send_replace(heard);
                }
            }
        });
    }
    let stdin = child.stdin.take();
    Ok((child, stdin, heard))
}

/// A line of a system's stdout; none if it is not about its progress.
fn understand(which: Which, line: &str, ends: &[u64]) -> Option<Heard> {
    match which {
        Which::Legacy => {
            let progress: Progress = serde_json::from_str(line).ok()?;
            Some(Heard {
                read: progress.read,
                settled_to: progress.settled,
                lag: progress.lag,
                in_flight: u64::from(progress.in_flight) + u64::from(progress.rebalancing),
                ..Heard::default()
            })
        }
        Which::Loadline => {
            let mut line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).ok()?;
            let status: Status = serde_json::from_value(line.remove("status")?).ok()?;
            let before = records_before(ends, status.resumed_at.unwrap_or(0)) as u64;
            Some(Heard {
                read: before + status.read,
                settled_to: records_before(ends, status.settled_to.unwrap_or(0)) as u64,
                lag: status.read.saturating_sub(status.settled),
                in_flight: status.in_flight,
                spilled: status.spilled,
                held: status.held,
                states: status.brokers.into_iter().map(|broker| broker.state).collect(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_loadline_says_is_counted_in_records() {
        let line = r#"{"status":{"read":9,"settled":4,"resumedAt":10,"settledTo":25,"inFlight":3,"spilled":1,"held":true,"brokers":[]}}"#;
        let heard = understand(Which::Loadline, line, &[10, 20, 30]).unwrap();
        assert_eq!(
            (heard.read, heard.lag, heard.settled_to, heard.in_flight, heard.held),
            (10, 5, 2, 3, true)
        );
        assert_eq!(understand(Which::Loadline, r#"{"records":9}"#, &[]), None);
        assert_eq!(understand(Which::Loadline, "not JSON", &[]), None);
    }

    #[test]
    fn what_the_model_says_is_taken_as_it_is() {
        let progress = Progress { read: 7, settled: 3, lag: 4, in_flight: 2, ..Progress::default() };
        let heard = understand(Which::Legacy, &serde_json::to_string(&progress).unwrap(), &[]).unwrap();
        assert_eq!((heard.read, heard.settled_to, heard.lag, heard.in_flight), (7, 3, 4, 2));
    }
}
