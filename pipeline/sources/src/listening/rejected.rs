//! Counts connections that were closed or refused before they had shown a token, and logs the counts at most once a
//! minute, so that strangers cannot fill the log.

use std::{io, time::Duration};

use parking_lot::Mutex;

/// How often the counts are logged.
pub(super) const LOG_EVERY: Duration = Duration::from_secs(60);

/// The counts since they were last logged.
#[derive(Debug, Default)]
pub(super) struct RejectedCounts(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Requests without the token, or with a wrong one.
    without_token: u64,
    /// Connections that had sent no request in time.
    timed_out: u64,
    /// Connections closed to make room for newer ones.
    replaced: u64,
    /// Connections of other users to a socket that is its owner's.
    other_user: u64,
    /// Connections that could not be accepted, and why the last one could not.
    accept_failed: u64,
    why: Option<io::Error>,
}

impl RejectedCounts {
    pub(super) fn without_token(&self) {
        self.0.lock().without_token += 1;
    }

    pub(super) fn timed_out(&self) {
        self.0.lock().timed_out += 1;
    }

    pub(super) fn replaced(&self) {
        self.0.lock().replaced += 1;
    }

    pub(super) fn other_user(&self) {
        self.0.lock().other_user += 1;
    }

    pub(super) fn accept_failed(&self, error: io::Error) {
        let mut counts = self.0.lock();
        counts.accept_failed += 1;
        counts.why = Some(error);
    }

    /// Logs what was counted since the last time, if anything; `name` is the listener.
    pub(super) fn log(&self, name: &str) {
        let counts = std::mem::take(&mut *self.0.lock());
        let Counts { without_token, timed_out, replaced, other_user, accept_failed, why } = counts;
        if without_token + timed_out + replaced + other_user > 0 {
            tracing::warn!(
                listener = name,
                without_token,
                timed_out,
                replaced,
                other_user,
                "connections closed in the last minute: without the token, idle for too long, to make room for newer \
                 ones, or from another user"
            );
        }
        if let Some(error) = why {
            tracing::warn!(listener = name, times = accept_failed, %error, "accept failed in the last minute");
        }
    }
}
