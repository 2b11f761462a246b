//! `[source]` of kind `http`: where producers post events, and the bounds of posts.

use std::{net::SocketAddr, time::Duration};

use ::state::IntakeOptions;

use super::{
    fetch_secret::secret,
    problem::Refusal,
    secret::Secret,
    section::Section,
    units::{DURATION, count, size},
};
use sources::PostLimits;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// The shortest token, in bytes: 16 random letters cannot be guessed.
const TOKEN_MIN: usize = 16;

/// The keys of this kind only.
pub(super) const HTTP_KEYS: [&str; 13] = [
    "listen",
    "token",
    "body_max",
    "records_max",
    "backlog_max",
    "backlog_bytes_max",
    "retention",
    "connections_max",
    "strangers_max",
    "strangers_timeout",
    "idle_timeout",
    "body_timeout",
    "strict",
];

/// Where producers post events.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// The address (default 127.0.0.1:8080); port 0 is any free one. Beyond loopback it needs a token.
    pub listen: SocketAddr,
    /// The required bearer token. Without one, everyone on this machine may post.
    pub token: Option<Secret>,
    /// The largest body, in bytes, after decompression (default 1 MiB, 1 KiB to 64 MiB). This times
    /// `connections_max` bounds the memory producers can take.
    pub body_max: usize,
    /// The most records in one body (default 10000, 1 to 1000000).
    pub records_max: usize,
    /// The most records accepted and not settled (default 1000000, 1 to 1000000000); then producers wait.
    pub backlog_max: u64,
    /// The most bytes of these (default 1 GiB, 1 MiB to 16 TiB), 64 for each record included.
    pub backlog_bytes_max: u64,
    /// How long settled records are kept (default not at all, to 365 days), in pieces of 16 MiB or an hour and at most
    /// `backlog_bytes_max`.
    pub retention: Duration,
    /// Open connections (default 256, 1 to 65536); with a token, those that have shown it.
    pub connections_max: usize,
    /// With a token: open connections that have not shown it yet, beside the others (default 64, 1 to
    /// 65536). The oldest gives way to a new one.
    pub strangers_max: usize,
    /// With a token: how long a connection may last without having shown it (default 5 s, 100 ms to 1 min).
    pub strangers_timeout: Duration,
    /// How long a connection may be idle or take for its headers (default 1 min, 1 s to 1 h).
    pub idle_timeout: Duration,
    /// How long a body may take to arrive (default 30 s, 100 ms to 10 min).
    pub body_timeout: Duration,
    /// Whether a body with a record that can never be an event is refused as a whole (default no: such a record is
    /// accepted, and becomes a dead letter).
    pub strict: bool,
}

impl HttpConfig {
    /// The bounds of the intake log.
    #[must_use]
    pub fn intake(&self) -> IntakeOptions {
        IntakeOptions {
            backlog_max: self.backlog_max,
            backlog_bytes_max: self.backlog_bytes_max,
            retention: u64::try_from(self.retention.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The bounds of posts; `record_max` is the longest record of any source.
    #[must_use]
    pub fn posts(&self, record_max: usize) -> PostLimits {
        PostLimits {
            body_max: self.body_max,
            records_max: self.records_max,
            record_max,
            body_timeout: self.body_timeout,
            idle_timeout: self.idle_timeout,
            connections_max: self.connections_max,
            strangers_max: self.strangers_max,
            strangers_timeout: self.strangers_timeout,
        }
    }

    pub(super) fn read(s: &mut Section<'_, '_>) -> Self {
        let listen = listen(s);
        let token = token(s);
        let is_open = token.is_none() && !s.findings.has_problem(&s.key("token"));
        if let Some(item) = s.item("listen").filter(|_| is_open && !listen.ip().to_canonical().is_loopback())
        {
            let problem =
                "can be reached from other machines, and without a token anyone there may post events";
            let remedy = "set token = \"env:NAME\" or \"file:PATH\" beside it, or listen on 127.0.0.1";
            s.report(&item, Refusal::new(problem, remedy));
        }
        Self {
            listen,
            token,
            body_max: s.ranged("body_max", 1 << 20, 1 << 10..=64 << 20, &size()),
            records_max: s.ranged("records_max", 10_000, 1..=1_000_000, &count()),
            backlog_max: s.ranged("backlog_max", 1_000_000, 1..=1_000_000_000, &count()),
            backlog_bytes_max: s.ranged("backlog_bytes_max", 1 << 30, 1 << 20..=16 << 40, &size()),
            retention: s.ranged("retention", Duration::ZERO, Duration::ZERO..=365 * 24 * HOUR, &DURATION),
            connections_max: s.ranged("connections_max", 256, 1..=65_536, &count()),
            strangers_max: s.ranged("strangers_max", 64, 1..=65_536, &count()),
            strangers_timeout: s.ranged("strangers_timeout", 5 * SECOND, SECOND / 10..=MINUTE, &DURATION),
            idle_timeout: s.ranged("idle_timeout", MINUTE, SECOND..=HOUR, &DURATION),
            body_timeout: s.ranged("body_timeout", 30 * SECOND, SECOND / 10..=10 * MINUTE, &DURATION),
            strict: s.flag("strict", false),
        }
    }
}

fn listen(s: &mut Section<'_, '_>) -> SocketAddr {
    const DEFAULT: ([u8; 4], u16) = ([127, 0, 0, 1], 8080);
    let default = SocketAddr::from(DEFAULT);
    s.know("listen", Some(default.to_string()), None);
    let Some(item) = s.item("listen") else { return default };
    item.value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| {
        let remedy =
            "give it in quotes, such as \"127.0.0.1:8080\" or \"[::1]:8080\"; port 0 is any free one";
        s.report(&item, Refusal::new("is not an IP address and a port", remedy));
        default
    })
}

/// The required bearer token, if one is configured.
pub(super) fn token(s: &mut Section<'_, '_>) -> Option<Secret> {
    s.know("token", None, None);
    let item = s.item("token")?;
    let token = secret(s, &item)?;
    // RFC 6750, section 2.1: what may stand behind `Bearer`.
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if token.expose().len() >= TOKEN_MIN && token.expose().bytes().all(is_letter) {
        return Some(token);
    }
    let problem = format!("names a token that is not {TOKEN_MIN} or more letters, digits or any of -._~+/=");
    s.report(&item, Refusal::new(problem, "make one with: openssl rand -hex 32"));
    None
}
