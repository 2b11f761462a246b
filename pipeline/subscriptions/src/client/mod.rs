//! The client of a PostgreSQL server.

mod admin;
mod check;
mod plan;
mod session;
mod tls;
mod words;

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::{task::AbortHandle, time::timeout};
use tokio_postgres::{
    Client, Config,
    config::{Host, SslMode, SslNegotiation},
};

pub use admin::{import, init, inspect};
use session::PostgresSession;
use tls::Tls;
use words::words;

use crate::{
    fault::DatabaseFault,
    options::Options,
    session::{Connect, Session},
};

/// Makes sessions with a server.
#[derive(Clone, Debug)]
pub(crate) struct Postgres {
    options: Arc<Options>,
}

/// A connection, which ends when this is dropped.
pub(crate) struct Connection {
    pub(crate) client: Client,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Postgres {
    pub(crate) fn new(options: &Options) -> Self {
        Self { options: Arc::new(options.clone()) }
    }

    /// A connection that only reads, and whose statements end in time.
    async fn reading(&self) -> Result<Connection, DatabaseFault> {
        let millis = self.options.statement_timeout.as_millis().max(1);
        let settings = format!("-c default_transaction_read_only=on -c statement_timeout={millis}");
        self.connection(&settings).await
    }

    /// A connection for whoever may write.
    pub(crate) async fn writing(&self) -> Result<Connection, DatabaseFault> {
        self.connection("").await
    }

    async fn connection(&self, settings: &str) -> Result<Connection, DatabaseFault> {
        let options = &self.options;
        let mut config: Config =
            options.connection.expose().parse().map_err(|_| DatabaseFault::Connection)?;
        let is_remote = |host: &Host| matches!(host, Host::Tcp(_));
        let is_local = config.get_hostaddrs().is_empty() && !config.get_hosts().iter().any(is_remote);
        let mode = match &options.tls {
            Some(_) if !is_local => SslMode::Require,
            _ => SslMode::Disable,
        };
        let of_its_own = config.get_options().unwrap_or_default().to_owned();
        config
            .ssl_mode(mode)
            .ssl_negotiation(SslNegotiation::Postgres)
            .options(format!("{of_its_own} {settings}").trim())
            .application_name("loadline")
            .connect_timeout(options.connect_timeout)
            .tcp_user_timeout(options.statement_timeout * 2);
        let tls = Tls::new(options.tls.as_ref())?;
        let (client, connection) = config.connect(tls).await.map_err(|error| words(&error))?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(fault = %words(&error), "the connection to the database has ended");
            }
        });
        Ok(Connection { client, driver: driver.abort_handle() })
    }

    /// A session that has been checked.
    pub(crate) async fn session(&self) -> Result<PostgresSession, DatabaseFault> {
        let after = self.options.connect_timeout;
        let made = async {
            let connection = self.reading().await?;
            PostgresSession::prepare(connection, &self.options).await
        };
        timeout(after, made).await.map_err(|_| DatabaseFault::Silent { after })?
    }
}

impl Connect for Postgres {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Session>, DatabaseFault>> {
        Box::pin(async { Ok(Box::new(self.session().await?) as Box<dyn Session>) })
    }
}
