//! How the database is reached and what it is asked, as the config has it.

use std::{fmt, path::PathBuf, time::Duration};

/// The default schema. It may be applied again and again.
pub const SCHEMA: &str = include_str!("schema.sql");
/// Its version.
pub const SCHEMA_VERSION: i32 = 1;

/// Who subscribes to some loads, asked of the default schema.
pub const LOOKUP_QUERY: &str = "\
select s.id, s.load_id, s.broker_id, s.statuses
from broker_subscriptions s join brokers b on b.id = s.broker_id
where s.load_id = any($1) and s.active and b.active";

/// The brokers that were written by a transaction which was not over when the snapshot with this `xmin` was taken, or by
/// a later one.
pub const BROKERS_QUERY: &str = "\
select id, webhook_url, secret_refs, rate, active, settings::text as settings
from brokers
where xid >= $1::text::xid8";

/// A connection string with its password: it has no `Display`, and its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectionString(String);

impl ConnectionString {
    /// A URL, or `key=value` pairs, as libpq takes them.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// For the client alone.
    #[cfg_attr(not(feature = "client"), expect(dead_code, reason = "there is no client"))]
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionString(hidden)")
    }
}

/// How connections are encrypted: the certificate's authority and its name are always checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// The authorities to trust; the system's if none are named.
    pub ca_file: Option<PathBuf>,
}

/// What of earlier answers is used while the database is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastKnownOptions {
    /// How long ago a load may have been looked up.
    pub age_max: Duration,
    /// About the bytes that answers may take.
    pub memory_max: usize,
}

/// How the database is reached and what it is asked. The config explains each and checks the bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where it is, and who Loadline is to it.
    pub connection: ConnectionString,
    /// How connections are encrypted; none for not at all. One over a Unix socket never is.
    pub tls: Option<TlsOptions>,
    /// How long connecting may take, with TLS and the checks.
    pub connect_timeout: Duration,
    /// How long a query may take.
    pub statement_timeout: Duration,
    /// The first pause after a failure.
    pub backoff_min: Duration,
    /// The longest.
    pub backoff_max: Duration,
    /// The most loads one query asks for.
    pub block_max: usize,
    /// What of earlier answers is used while the database is away; none if routing waits for it.
    pub last_known: Option<LastKnownOptions>,
    /// How often the brokers' table is read.
    pub poll: Duration,
    /// Who subscribes to some loads: see [`LOOKUP_QUERY`].
    pub lookup_query: String,
    /// The brokers: see [`BROKERS_QUERY`].
    pub brokers_query: String,
}

impl Options {
    /// How many records are routed at a time: those of the block that is asked for, and those of the one that is next.
    #[must_use]
    pub fn look_ahead(&self) -> usize {
        2 * self.block_max
    }
}
