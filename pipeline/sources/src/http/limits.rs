//! The bounds of posts and their connections.

use std::time::Duration;

use crate::listening::{Admission, Bounds};

/// The most bytes of a request's headers; a post needs less than 1 KiB.
const HEADERS_MAX: usize = 16 << 10;
/// How long open connections may take to end after the line has ended; only their answers are still written.
const GRACE: Duration = Duration::from_secs(1);

/// The bounds of posts and their connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostLimits {
    /// The largest body, in bytes, on the wire and decompressed.
    pub body_max: usize,
    /// The most records in it.
    pub records_max: usize,
    /// The longest record, in bytes.
    pub record_max: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// How long a connection may be idle or take for its headers.
    pub idle_timeout: Duration,
    /// The most open connections that have shown the token (all, if no token is configured), and the most posts being
    /// committed.
    pub connections_max: usize,
    /// The most open connections that have not shown the token.
    pub strangers_max: usize,
    /// How long such a connection may last.
    pub strangers_timeout: Duration,
}

impl PostLimits {
    /// These limits with at most `all` connections in total. If a token is required, strangers get a quarter at most.
    #[must_use]
    pub fn within(self, all: usize, asks_for_token: bool) -> Self {
        let strangers_max = self.strangers_max.min((all / 4).max(1));
        let rest = if asks_for_token { all.saturating_sub(strangers_max) } else { all };
        Self { connections_max: self.connections_max.min(rest.max(1)), strangers_max, ..self }
    }

    pub(super) fn bounds(&self, asks_for_token: bool) -> Bounds {
        let Self { strangers_max, strangers_timeout: timeout, .. } = *self;
        let token = Admission::Token { strangers_max, timeout };
        Bounds {
            connections_max: self.connections_max,
            admission: if asks_for_token { token } else { Admission::Anyone },
            headers_max: HEADERS_MAX,
            idle_timeout: self.idle_timeout,
            lifetime_max: None,
            grace: GRACE,
        }
    }
}
