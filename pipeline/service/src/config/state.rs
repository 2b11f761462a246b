//! `[state]`: where state is stored, for how long, and how durably.

use std::{path::PathBuf, time::Duration};

use ::state::Durability;

use super::{
    file_modes::open_directory,
    follow::FollowConfig,
    problem::Refusal,
    section::Section,
    units::{DURATION, count, size},
};

const DAY: Duration = Duration::from_secs(86_400);
const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

/// Where state is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateConfig {
    /// The state directory (default `state`, beside the config file). One process owns it.
    pub dir: PathBuf,
    /// What a flushed record survives (default `power`).
    pub durability: Durability,
    /// How long the ledger remembers a delivery (default 7 days, 1 s to 365 days). An event that comes again later
    /// than this is delivered again.
    pub dedupe_window: Duration,
    /// Memory for the store's pages, in bytes (default 40 MiB, 8 MiB to 64 GiB). What is written must fit, or
    /// each write reads first: the newest entries if ids grow with time, half a window's if they are random.
    pub cache: u64,
    /// The records one group commit takes at most (default 512, 1 to 8192): more share a flush, all wait for it.
    pub commit_max: usize,
    /// How long a commit waits for further records (default 5 ms, 0 to 1 s).
    pub linger: Duration,
    /// How long one commit may take (default 30 s, 1 s to 1 h): a disk that does not answer gives no error, and a run
    /// that waits for it delivers nothing.
    pub commit_timeout: Duration,
    /// The topics in which the state of a partition follows it; none if it stays in `dir`.
    pub follow: Option<FollowConfig>,
}

impl StateConfig {
    pub(super) fn read(s: &mut Section<'_, '_>) -> Self {
        s.know("dir", Some("state".to_owned()), None);
        let dir =
            s.item("dir").and_then(|item| s.path_of(&item)).unwrap_or_else(|| s.resolve("state".as_ref()));
        if let Some(mode) = dir.metadata().ok().as_ref().and_then(open_directory) {
            let problem = format!(
                "is a directory that others on this machine may look into or change (mode {mode:04o}): {}",
                dir.display()
            );
            let remedy = "events are in there; make it its owner's alone: chmod 700";
            s.warn_key("dir", Refusal::new(problem, remedy));
        }
        Self {
            dir,
            durability: s.choice(
                "durability",
                ("power", Durability::Power),
                &[("process", Durability::Process)],
            ),
            dedupe_window: s.ranged("dedupe_window", 7 * DAY, SECOND..=365 * DAY, &DURATION),
            cache: s.ranged("cache", 40 << 20, 8 << 20..=64 << 30, &size()),
            commit_max: s.ranged("commit_max", 512, 1..=8192, &count()),
            linger: s.ranged("linger", 5 * MILLI, Duration::ZERO..=SECOND, &DURATION),
            commit_timeout: s.ranged("commit_timeout", 30 * SECOND, SECOND..=3_600 * SECOND, &DURATION),
            follow: FollowConfig::read(s),
        }
    }
}
