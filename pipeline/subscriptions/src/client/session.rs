//! A session: two prepared statements and what their rows mean.

use std::{sync::Arc, time::Duration};

use futures::{TryStreamExt, future::BoxFuture};
use tokio::time::timeout;
use tokio_postgres::{Error, Row, Statement, types::ToSql};

use super::{
    Connection, check,
    words::{BROKERS, LOOKUP, of_query},
};
use crate::{
    fault::DatabaseFault,
    options::Options,
    session::{BrokerRow, BrokersRead, Session, SubscriptionRow},
};

const SNAPSHOT: &str = "select pg_snapshot_xmin(pg_current_snapshot())::text";
/// The transaction before all others, so that all rows are asked for.
const FIRST: &str = "0";
/// The most rows of one answer: a few hundred bytes each are held in memory.
const ROWS_MAX: usize = 1_000_000;
/// How long the server may take beyond its own timeout: an answer that is on its way counts.
const LATE: Duration = Duration::from_secs(1);

/// A session whose queries have been checked.
pub(crate) struct PostgresSession {
    connection: Connection,
    lookup: Statement,
    brokers: Statement,
    snapshot: Statement,
    timeout: Duration,
}

impl PostgresSession {
    pub(super) async fn prepare(
        mut connection: Connection,
        options: &Options,
    ) -> Result<Self, DatabaseFault> {
        check::server(&connection.client).await?;
        let lookup = check::lookup(&mut connection.client, &options.lookup_query).await?;
        let brokers = check::brokers(&connection.client, &options.brokers_query).await?;
        let snapshot = connection.client.prepare(SNAPSHOT).await;
        let snapshot = snapshot.map_err(|error| of_query(BROKERS, &error))?;
        Ok(Self { connection, lookup, brokers, snapshot, timeout: options.statement_timeout + LATE })
    }

    async fn rows(
        &self,
        what: &'static str,
        statement: &Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, DatabaseFault> {
        let reading = async {
            let rows = self.connection.client.query_raw(statement, parameters.iter().copied());
            let rows = rows.await.map_err(|error| of_query(what, &error))?;
            let mut rows = std::pin::pin!(rows);
            let mut all = Vec::new();
            while let Some(row) = rows.try_next().await.map_err(|error| of_query(what, &error))? {
                if all.len() == ROWS_MAX {
                    let problem = format!("answers with more than {ROWS_MAX} rows");
                    return Err(DatabaseFault::unfit(what, problem, "lower subscriptions.block_max"));
                }
                all.push(row);
            }
            Ok(all)
        };
        let after = self.timeout;
        timeout(after, reading).await.map_err(|_| DatabaseFault::Silent { after })?
    }
}

impl Session for PostgresSession {
    fn subscribers<'a>(
        &'a mut self,
        loads: &'a [Arc<str>],
    ) -> BoxFuture<'a, Result<Vec<SubscriptionRow>, DatabaseFault>> {
        Box::pin(async move {
            let loads: Vec<&str> = loads.iter().map(|load| &**load).collect();
            let rows = self.rows(LOOKUP, &self.lookup, &[&loads]).await?;
            let read = rows.iter().map(subscription).collect::<Result<_, Error>>();
            read.map_err(|error| null(LOOKUP, &error))
        })
    }

    fn brokers<'a>(
        &'a mut self,
        since: Option<&'a str>,
    ) -> BoxFuture<'a, Result<BrokersRead, DatabaseFault>> {
        Box::pin(async move {
            // Before the rows: what is under way now is asked for next time, whether this time it is seen or not.
            let xmin = self.rows(BROKERS, &self.snapshot, &[]).await?;
            let xmin = xmin.first().map(|row| row.try_get::<_, String>(0));
            let xmin = xmin.transpose().map_err(|error| null(BROKERS, &error))?.unwrap_or_default();
            let rows = self.rows(BROKERS, &self.brokers, &[&since.unwrap_or(FIRST)]).await?;
            let rows = rows.iter().map(broker).collect::<Result<_, Error>>();
            Ok(BrokersRead { rows: rows.map_err(|error| null(BROKERS, &error))?, xmin })
        })
    }
}

fn subscription(row: &Row) -> Result<SubscriptionRow, Error> {
    let statuses: Option<Vec<Option<String>>> = row.try_get("statuses")?;
    Ok(SubscriptionRow {
        id: row.try_get("id")?,
        load_id: row.try_get("load_id")?,
        broker_id: row.try_get("broker_id")?,
        statuses: statuses.map(|statuses| statuses.into_iter().flatten().collect()),
    })
}

fn broker(row: &Row) -> Result<BrokerRow, Error> {
    let secrets: Option<Vec<Option<String>>> = row.try_get("secret_refs")?;
    Ok(BrokerRow {
        id: row.try_get("id")?,
        url: row.try_get("webhook_url")?,
        secrets: secrets.map(|secrets| secrets.into_iter().flatten().collect()),
        rate: row.try_get("rate")?,
        active: row.try_get::<_, Option<bool>>("active")?.unwrap_or(false),
        settings: row.try_get("settings")?,
    })
}

/// The types have been checked, so a value can only be null.
fn null(what: &'static str, error: &Error) -> DatabaseFault {
    DatabaseFault::unfit(what, format!("answers with a null: {error}"), "leave such rows out")
}
