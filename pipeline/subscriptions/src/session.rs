//! What is asked of a database, behind a narrow trait: a server's session implements it, and so does a scripted one in
//! tests.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::fault::DatabaseFault;

/// A row of the look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionRow {
    /// Its number.
    pub id: i64,
    /// The load.
    pub load_id: String,
    /// The broker that subscribes to it.
    pub broker_id: String,
    /// The statuses it wants; none for all.
    pub statuses: Option<Vec<String>>,
}

/// A row of the brokers' table. What is null where it may not be makes the broker's row a broken one, and no other's.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerRow {
    /// The broker's id.
    pub id: String,
    /// Where its events are posted.
    pub url: Option<String>,
    /// References to its signing keys.
    pub secrets: Option<Vec<String>>,
    /// Attempts a second.
    pub rate: Option<f64>,
    /// Whether it is to be served.
    pub active: bool,
    /// More keys of its own, as a JSON object.
    pub settings: Option<String>,
}

/// What was read of the brokers' table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BrokersRead {
    pub(crate) rows: Vec<BrokerRow>,
    /// Every transaction before this one was over before the rows were read: the next read has to ask for this one and
    /// later ones.
    pub(crate) xmin: String,
}

/// A session with a database that has been checked.
pub(crate) trait Session: Send {
    /// The rows of these loads, all different.
    fn subscribers<'a>(
        &'a mut self,
        loads: &'a [Arc<str>],
    ) -> BoxFuture<'a, Result<Vec<SubscriptionRow>, DatabaseFault>>;

    /// The brokers that `since` or a later transaction has written; all of them if it is none.
    fn brokers<'a>(&'a mut self, since: Option<&'a str>)
    -> BoxFuture<'a, Result<BrokersRead, DatabaseFault>>;
}

/// Makes sessions.
pub(crate) trait Connect: Send + Sync + 'static {
    /// Connects and checks; ends within the timeout of the options.
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Session>, DatabaseFault>>;
}
