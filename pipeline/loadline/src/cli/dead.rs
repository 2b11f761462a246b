//! The arguments of `loadline dead`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use state::{StageName, UnixMillis, timestamp};

use super::{ConfigArgs, ConfigFile, OutputArgs};
use service::dead::{LetterId, Selection, stage_of};

/// Work with what could not be delivered.
#[derive(Clone, Debug, Subcommand)]
pub enum DeadCommand {
    /// List dead letters, one line each; or count them by cause.
    List(DeadListArgs),
    /// Show one of them with its history and its body.
    #[command(allow_missing_positional = true)]
    Show(DeadShowArgs),
    /// Send them again: those of a broker to it, those that were no events through decode, validate and route.
    Replay(DeadReplayArgs),
    /// Write them out whole, one JSON object a line.
    Export(DeadExportArgs),
    /// Remove them for good.
    Purge(DeadChangeArgs),
}

impl DeadCommand {
    /// How to answer.
    pub(super) fn output(&self) -> OutputArgs {
        match self {
            Self::List(DeadListArgs { output, .. })
            | Self::Show(DeadShowArgs { output, .. })
            | Self::Replay(DeadReplayArgs { change: DeadChangeArgs { output, .. }, .. })
            | Self::Export(DeadExportArgs { output, .. })
            | Self::Purge(DeadChangeArgs { output, .. }) => *output,
        }
    }

    /// The config file.
    #[must_use]
    pub fn config(&self) -> ConfigFile {
        match self {
            Self::List(DeadListArgs { config, .. })
            | Self::Show(DeadShowArgs { config, .. })
            | Self::Replay(DeadReplayArgs { change: DeadChangeArgs { config, .. }, .. })
            | Self::Export(DeadExportArgs { config, .. })
            | Self::Purge(DeadChangeArgs { config, .. }) => config.file(),
        }
    }
}

/// What to list.
#[derive(Clone, Debug, Args)]
pub struct DeadListArgs {
    /// The config file.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Which letters.
    #[command(flatten)]
    pub select: SelectArgs,
    /// Count them by stage and cause instead.
    #[arg(long)]
    pub summary: bool,
    /// List no more than so many.
    #[arg(long, value_name = "N", conflicts_with = "summary", value_parser = clap::value_parser!(u64).range(1..))]
    pub max: Option<u64>,
    /// How to answer.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What to show.
#[derive(Clone, Debug, Args)]
pub struct DeadShowArgs {
    /// The config file.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The letter: the first column of the list, such as file:e@1:42/acme.
    pub id: LetterId,
    /// How to answer.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What to write out.
#[derive(Clone, Debug, Args)]
pub struct DeadExportArgs {
    /// The config file.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Which letters.
    #[command(flatten)]
    pub select: SelectArgs,
    /// Write to this file, which must not exist, instead of stdout; only its owner may read it.
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
    /// How to answer.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What to send again or to remove.
#[derive(Clone, Debug, Args)]
pub struct DeadChangeArgs {
    /// The config file.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Which letters.
    #[command(flatten)]
    pub select: SelectArgs,
    /// All letters: needed if no condition is given.
    #[arg(long)]
    pub all: bool,
    /// Change nothing, and say how many letters would have which outcome.
    #[arg(long)]
    pub dry_run: bool,
    /// How to answer.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What to send again, and whether in any order.
#[derive(Clone, Debug, Args)]
pub struct DeadReplayArgs {
    /// Which letters, and how.
    #[command(flatten)]
    pub change: DeadChangeArgs,
    /// Send also what is older than an event of its load that was delivered since.
    #[arg(long)]
    pub force: bool,
}

/// Which letters: all conditions must hold.
#[derive(Clone, Debug, Default, Args)]
pub struct SelectArgs {
    /// The one of this name: the first column of the list.
    #[arg(long, value_name = "ID")]
    pub id: Option<LetterId>,
    /// Those for this broker.
    #[arg(long, value_name = "NAME")]
    pub broker: Option<String>,
    /// Those whose reason has this code, such as refused or unknown-status.
    #[arg(long, value_name = "CODE", visible_alias = "reason")]
    pub cause: Option<String>,
    /// Those whose way ended here: decode, validate, dedupe or deliver.
    #[arg(long, value_name = "STAGE", value_parser = stage)]
    pub stage: Option<StageName>,
    /// Those of events with this status.
    #[arg(long, value_name = "STATUS")]
    pub status: Option<String>,
    /// Those of this load.
    #[arg(long, value_name = "LOAD")]
    pub load: Option<String>,
    /// Those of this event.
    #[arg(long, value_name = "EVENT")]
    pub event: Option<String>,
    /// Those that became dead letters at this time or later: RFC 3339, or so long ago, such as 2h.
    #[arg(long, value_name = "TIME|AGO", value_parser = when)]
    pub since: Option<When>,
    /// Those that became dead letters before this time: RFC 3339, or so long ago.
    #[arg(long, value_name = "TIME|AGO", value_parser = when)]
    pub until: Option<When>,
}

/// A moment as a person names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// This one.
    At(UnixMillis),
    /// So long before the command began.
    Ago(Duration),
}

impl When {
    fn at(self, now: UnixMillis) -> UnixMillis {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => now.saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

impl SelectArgs {
    /// The selection, for a command that begins at `now`.
    #[must_use]
    pub fn selection(&self, now: UnixMillis) -> Selection {
        let Self { id, broker, cause, stage, status, load, event, since, until } = self.clone();
        Selection {
            id,
            broker,
            cause,
            stage,
            status,
            load,
            event,
            since: since.map(|when| when.at(now)),
            until: until.map(|when| when.at(now)),
        }
    }
}

fn stage(name: &str) -> Result<StageName, &'static str> {
    stage_of(name).ok_or("give decode, validate, dedupe or deliver")
}

fn when(text: &str) -> Result<When, &'static str> {
    let at = timestamp::read(text).map(When::At);
    let ago = || humantime::parse_duration(text).ok().map(When::Ago);
    at.or_else(ago).ok_or("give a time such as 2026-03-01T08:30:00Z, or so long ago, such as 2h")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_moment_or_so_long_ago() {
        assert_eq!(when("1970-01-02T00:00:00Z").unwrap().at(5), 86_400_000);
        assert_eq!(when("2h").unwrap().at(10_000_000), 2_800_000);
        assert_eq!(when("3d").unwrap().at(5), 0);
        for wrong in ["", "yesterday", "2", "2026-03-01"] {
            assert!(when(wrong).is_err(), "{wrong}");
        }
    }
}
