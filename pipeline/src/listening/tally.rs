//! What was closed or refused before anybody had shown a token: counted as it happens, told in one line a minute at most,
//! so that strangers cannot fill the log.

use std::{io, time::Duration};

use parking_lot::Mutex;

/// How often it is told.
pub(super) const TELL: Duration = Duration::from_secs(60);

/// The counts since they were told last.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Requests without the token, or with a wrong one.
    without_token: u64,
    /// Connections that had sent no request in time.
    silent: u64,
    /// Connections that gave way to newer ones.
    gave_way: u64,
    /// Connections of other users to a socket that is its owner's.
    foreign: u64,
    /// Connections that could not be accepted, and why the last one could not.
    failed: u64,
    why: Option<io::Error>,
}

impl Tally {
    pub(super) fn without_token(&self) {
        self.0.lock().without_token += 1;
    }

    pub(super) fn silent(&self) {
        self.0.lock().silent += 1;
    }

    pub(super) fn gave_way(&self) {
        self.0.lock().gave_way += 1;
    }

    pub(super) fn foreign(&self) {
        self.0.lock().foreign += 1;
    }

    pub(super) fn failed(&self, error: io::Error) {
        let mut counts = self.0.lock();
        counts.failed += 1;
        counts.why = Some(error);
    }

    /// Says what there was since the last time, if there was anything; `place` is where.
    pub(super) fn tell(&self, place: &str) {
        let counts = std::mem::take(&mut *self.0.lock());
        let Counts { without_token, silent, gave_way, foreign, failed, why } = counts;
        if without_token + silent + gave_way + foreign > 0 {
            tracing::warn!(
                place,
                without_token,
                silent,
                gave_way,
                foreign,
                "connections were closed in the last minute: without the token, silent for too long, in favour of newer \
                 ones, or of another user"
            );
        }
        if let Some(error) = why {
            tracing::warn!(place, times = failed, %error, "connections could not be accepted in the last minute");
        }
    }
}
