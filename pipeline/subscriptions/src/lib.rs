//! Brokers and their subscriptions in a PostgreSQL database: who subscribes to a load is asked for each block of records,
//! and the brokers' table is read again every second.
//!
//! Guarantees: an answer comes from a query that began after it was asked for, on a primary, and is used once; no cache
//! answers while the database does, so no subscription that is older than an event can be missed. Without an answer the asker
//! waits, unless the config wants what was known last while the database is away. Load ids are parameters of a prepared
//! statement and part of no SQL.

mod block;
mod brokers;
#[cfg_attr(not(feature = "client"), path = "client_absent.rs")]
mod client;
mod counts;
mod fault;
mod last_known;
mod lookups;
mod options;
mod session;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::mpsc;

pub use brokers::{Applied, Change};
pub use client::{import, init, inspect};
pub use counts::{Counts, Outage};
pub use fault::DatabaseFault;
pub use lookups::Lookups;
pub use options::{
    BROKERS_QUERY, ConnectionString, LOOKUP_QUERY, LastKnownOptions, Options, SCHEMA, SCHEMA_VERSION,
    TlsOptions,
};
pub use session::{BrokerRow, SubscriptionRow};

/// Whether this build can connect to a server.
pub const HAS_CLIENT: bool = cfg!(feature = "client");

/// How many changes of brokers may be waiting to be applied: the next read waits for the one before it.
const CHANGES_MAX: usize = 1;
/// How many may wait for the brokers' next read before they have to wait to be heard.
const WANTS_MAX: usize = 1_024;

/// The look-ups, and what is read of the brokers' table.
#[derive(Debug)]
pub struct Started {
    /// Answers who subscribes to a load.
    pub lookups: Arc<Lookups>,
    /// The brokers, as they change; each change has to be applied and answered.
    pub changes: mpsc::Receiver<Change>,
    /// What has been asked and answered.
    pub counts: Arc<Counts>,
}

/// Connects in the background, and again whenever a connection is lost. Must be called inside a runtime; it all ends once
/// the look-ups and the changes are dropped.
#[must_use]
pub fn start(options: &Options) -> Started {
    start_over(client::Postgres::new(options), options)
}

/// The same over any database.
fn start_over<C: session::Connect + Clone>(database: C, options: &Options) -> Started {
    let counts = Arc::<Counts>::default();
    let (asks, asked) = mpsc::channel(options.look_ahead());
    let (wants, wanted) = mpsc::channel(WANTS_MAX);
    let (change, changes) = mpsc::channel(CHANGES_MAX);
    let lookups = Arc::new(Lookups::new(asks, wants, counts.clone()));
    tokio::spawn(lookups::answer(database.clone(), options.clone(), asked, counts.clone()));
    tokio::spawn(brokers::poll(database, options.clone(), wanted, change, counts.clone()));
    Started { lookups, changes, counts }
}

/// Connects once and checks the database as [`start`] does.
///
/// # Errors
/// Why it cannot be used; [`DatabaseFault::is_definite`] if trying again does not help.
pub async fn try_connect(options: &Options) -> Result<(), DatabaseFault> {
    use session::Connect;
    client::Postgres::new(options).connect().await.map(drop)
}
