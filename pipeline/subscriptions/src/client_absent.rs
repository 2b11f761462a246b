//! Replaces the client in a build without the feature `client`: nothing can be connected. A config that asks for it is
//! refused before, see [`HAS_CLIENT`](crate::HAS_CLIENT).

use futures::future::BoxFuture;

use crate::{
    fault::DatabaseFault,
    options::Options,
    session::{BrokerRow, Connect, Session},
};

#[derive(Clone, Debug)]
pub(crate) struct Postgres;

impl Postgres {
    pub(crate) fn new(_: &Options) -> Self {
        Self
    }
}

impl Connect for Postgres {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Session>, DatabaseFault>> {
        Box::pin(async { Err(DatabaseFault::NoClient) })
    }
}

/// Makes the default schema.
///
/// # Errors
/// [`DatabaseFault::NoClient`].
pub async fn init(_: &Options) -> Result<(), DatabaseFault> {
    Err(DatabaseFault::NoClient)
}

/// Reads all brokers.
///
/// # Errors
/// [`DatabaseFault::NoClient`].
pub async fn inspect(_: &Options) -> Result<Vec<BrokerRow>, DatabaseFault> {
    Err(DatabaseFault::NoClient)
}

/// Writes brokers.
///
/// # Errors
/// [`DatabaseFault::NoClient`].
pub async fn import(_: &Options, _: &[(BrokerRow, Vec<String>)]) -> Result<(), DatabaseFault> {
    Err(DatabaseFault::NoClient)
}
