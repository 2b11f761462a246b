//! A system under test: child processes of its own, started, heard, scaled, killed and stopped by the simulator. What it
//! says of itself is written down, not believed.

mod alone;
mod group;
mod legacy;
mod loadline;

use std::{ffi::OsString, path::Path, sync::Arc, time::Duration};

use rustix::process::Signal;
use tokio::{sync::watch, time::timeout};

pub use alone::Alone;
pub use group::{Group, Plan, Progress as GroupProgress, WriteConfig};
pub use legacy::{write_legacy_config, write_legacy_member};
pub use loadline::{StateReport, read_state, secret, write_loadline_config, write_loadline_member};

use crate::{
    legacy::Progress,
    process::{Process, ProcessFault, talking},
    traffic::records_before,
};
use service::status::Status;

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
pub struct SystemStatus {
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

/// A running system.
#[derive(Debug)]
pub enum System {
    /// One process over a file.
    Alone(Box<Alone>),
    /// The members of a consumer group, each a process.
    Group(Group),
}

impl System {
    /// What it has said last.
    #[must_use]
    pub fn status(&self) -> SystemStatus {
        match self {
            Self::Alone(alone) => alone.status(),
            Self::Group(group) => group.status(),
        }
    }

    /// Its resident set now, in bytes, over all its processes.
    pub fn memory(&mut self) -> Option<u64> {
        match self {
            Self::Alone(alone) => alone.memory(),
            Self::Group(group) => group.memory(),
        }
    }

    /// That it has not ended without being told to.
    ///
    /// # Errors
    /// It has.
    pub fn must_run(&mut self) -> Result<(), ProcessFault> {
        match self {
            Self::Alone(alone) => alone.must_run(),
            Self::Group(group) => group.must_run(),
        }
    }

    /// Scales it to so many consumers; means nothing to one process of Loadline.
    ///
    /// # Errors
    /// It cannot be scaled.
    pub async fn scale(&mut self, consumers: u32) -> Result<(), ProcessFault> {
        match self {
            Self::Alone(alone) => alone.scale(consumers).await,
            Self::Group(group) => group.scale(consumers).await,
        }
    }

    /// Kills a process with no warning: the only one, which is started again, or one of a group, which the others replace.
    ///
    /// # Errors
    /// It cannot be started again.
    pub async fn kill(&mut self) -> Result<(), ProcessFault> {
        match self {
            Self::Alone(alone) => alone.kill_and_restart().await,
            Self::Group(group) => group.kill_one().await,
        }
    }

    /// Stops it in good order.
    ///
    /// # Errors
    /// It did not end in time, or not well.
    pub async fn stop(self) -> Result<Stopped, ProcessFault> {
        match self {
            Self::Alone(alone) => alone.stop().await,
            Self::Group(group) => group.stop().await,
        }
    }
}

/// What is left of a system that was stopped.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// What it said last.
    pub status: SystemStatus,
    /// The most memory it had, in bytes.
    pub memory_max: Option<u64>,
}

/// How `which` is run with `config`.
fn arguments(which: Which, config: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = match which {
        Which::Legacy => vec!["legacy".into(), config.into(), "--every".into()],
        Which::Loadline => vec!["--json".into(), "run".into(), config.into(), "--status-every".into()],
    };
    arguments.push(EVERY.into());
    arguments
}

/// Asks a process to stop in good order.
async fn ask_to_stop(which: Which, process: &mut Process) -> Result<(), ProcessFault> {
    match which {
        Which::Legacy => process.say("stop").await?,
        Which::Loadline => process.signal(Signal::TERM),
    }
    Ok(())
}

/// Waits for the first that a process says.
async fn wait_until_up(
    process: &Process,
    status: &mut watch::Receiver<SystemStatus>,
) -> Result<(), ProcessFault> {
    match timeout(UP_MAX, status.changed()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(process.gone()),
        Err(_) => Err(process.stalled("before it is up", UP_MAX)),
    }
}

fn spawn(
    which: Which,
    (loadline, arguments): (&Path, &[OsString]),
    log: &Path,
    ends: &Arc<[u64]>,
) -> Result<(Process, watch::Receiver<SystemStatus>), ProcessFault> {
    let mut process = Process::start(which.as_str(), talking(loadline, arguments), log)?;
    let (says, status) = watch::channel(SystemStatus::default());
    if let Some(mut lines) = process.take_lines() {
        let ends = Arc::clone(ends);
        tokio::spawn(async move {
            // Settled before the first line of a restarted process: it says so only once it has settled something.
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(status) = parse_status(which, &line, &ends) {
                    says.send_replace(status);
                }
            }
        });
    }
    Ok((process, status))
}

/// A line of a system's stdout; none if it is not about its progress.
fn parse_status(which: Which, line: &str, ends: &[u64]) -> Option<SystemStatus> {
    match which {
        Which::Legacy => {
            let progress: Progress = serde_json::from_str(line).ok()?;
            Some(SystemStatus {
                read: progress.read,
                settled_to: progress.settled,
                lag: progress.lag,
                in_flight: u64::from(progress.in_flight) + u64::from(progress.rebalancing),
                ..SystemStatus::default()
            })
        }
        Which::Loadline => {
            let mut line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).ok()?;
            let status: Status = serde_json::from_value(line.remove("status")?).ok()?;
            let before = records_before(ends, status.resumed_at.unwrap_or(0)) as u64;
            Some(SystemStatus {
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
        let status = parse_status(Which::Loadline, line, &[10, 20, 30]).unwrap();
        assert_eq!(
            (status.read, status.lag, status.settled_to, status.in_flight, status.held),
            (10, 5, 2, 3, true)
        );
        assert_eq!(parse_status(Which::Loadline, r#"{"records":9}"#, &[]), None);
        assert_eq!(parse_status(Which::Loadline, "not JSON", &[]), None);
    }

    #[test]
    fn what_the_model_says_is_taken_as_it_is() {
        let progress = Progress { read: 7, settled: 3, lag: 4, in_flight: 2, ..Progress::default() };
        let status = parse_status(Which::Legacy, &serde_json::to_string(&progress).unwrap(), &[]).unwrap();
        assert_eq!((status.read, status.settled_to, status.lag, status.in_flight), (7, 3, 4, 2));
    }
}
