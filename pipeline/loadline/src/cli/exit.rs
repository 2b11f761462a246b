//! The exit codes, and their help text.

use std::process::ExitCode;

pub(super) const RUN_EXITS: &str = "Exit codes:\n  \
    0   all was delivered or settled, or a signal ended the run in good order\n  \
    1   failed, or a second signal\n  \
    5   the source has ended and deliveries wait on disk: the next run goes on with them\n  \
    6   with --strict: events became dead letters, or were lost before they could be read\n  \
    64  the command line or the config is wrong; nothing was done";

pub(super) const STATUS_EXITS: &str = "Exit codes:\n  \
    0   healthy\n  \
    1   nobody could be asked\n  \
    2   lagging or failing: events wait, or a broker refuses what it is sent\n  \
    3   faulted, or the state directory is damaged\n  \
    4   no process runs\n  \
    64  the command line or the config is wrong";

pub(super) const AUDIT_EXITS: &str = "Exit codes:\n  \
    0   neither duplicates nor setbacks were found\n  \
    1   failed\n  \
    7   duplicates or setbacks were found\n  \
    64  the command line or the config is wrong; nothing was done";

#[cfg(feature = "lab")]
pub(super) const REHEARSE_EXITS: &str = "Exit codes:\n  \
    0   no limit was reached, and everything was drained\n  \
    1   a limit was reached, or something was not drained; or the rehearsal failed\n  \
    64  the command line or the config is wrong; nothing was done";

/// How the process ends. Other commands than `run`, `status` and `audit` end with 0, 1 or 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is done; of a status: healthy. 0.
    Done,
    /// Something failed. 1.
    Failed,
    /// Of a status: events wait, or are refused. 2.
    Lagging,
    /// Of a status: nothing is settled any more, or the state directory is damaged. 3.
    Faulted,
    /// Of a status: no process runs. 4.
    NotRunning,
    /// Of a run: its source has ended, and deliveries wait on disk. 5.
    Waiting,
    /// Of a run with `--strict`: events became dead letters, or were lost before they could be read. 6.
    DeadLetters,
    /// Of an audit: duplicates or setbacks were found. 7.
    Found,
    /// The command line or the config is wrong; nothing was done. 64, `EX_USAGE` of sysexits.h.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Lagging => 2,
            Exit::Faulted => 3,
            Exit::NotRunning => 4,
            Exit::Waiting => 5,
            Exit::DeadLetters => 6,
            Exit::Found => 7,
            Exit::Usage => 64,
        })
    }
}
