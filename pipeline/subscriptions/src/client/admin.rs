//! What is done to a database once, by hand: making the default schema, looking at it, and filling it.

use super::{Postgres, words::of_query};
use crate::{
    fault::DatabaseFault,
    options::{Options, SCHEMA},
    session::{BrokerRow, Session},
};

const WHAT: &str = "the change";

/// Makes the default schema, in one transaction; what is there of it stays.
///
/// # Errors
/// The server cannot be reached, or refuses it; then nothing has changed.
pub async fn init(options: &Options) -> Result<(), DatabaseFault> {
    let mut connection = Postgres::new(options).writing().await?;
    let change = async {
        let transaction = connection.client.transaction().await?;
        transaction.batch_execute(SCHEMA).await?;
        transaction.commit().await
    };
    change.await.map_err(|error| of_query(WHAT, &error))
}

/// Connects and checks as a run does, and reads all brokers.
///
/// # Errors
/// As [`try_connect`](crate::try_connect).
pub async fn inspect(options: &Options) -> Result<Vec<BrokerRow>, DatabaseFault> {
    let mut session = Postgres::new(options).session().await?;
    Ok(session.brokers(None).await?.rows)
}

/// Writes these brokers, each with the loads it subscribes to, into the default schema, in one transaction. A broker that is
/// there already gets these values; subscriptions that are there stay.
///
/// # Errors
/// As [`init`].
pub async fn import(options: &Options, brokers: &[(BrokerRow, Vec<String>)]) -> Result<(), DatabaseFault> {
    let mut connection = Postgres::new(options).writing().await?;
    let change = async {
        let transaction = connection.client.transaction().await?;
        let broker = "insert into brokers (id, webhook_url, secret_refs, rate, active, settings) \
                      values ($1, $2, $3, $4, $5, coalesce($6::text, '{}')::jsonb) \
                      on conflict (id) do update set webhook_url = excluded.webhook_url, \
                      secret_refs = excluded.secret_refs, rate = excluded.rate, active = excluded.active, \
                      settings = excluded.settings";
        let broker = transaction.prepare(broker).await?;
        let subscriptions = "insert into broker_subscriptions (load_id, broker_id) \
                             select load_id, $2 from unnest($1::text[]) as load_id \
                             on conflict (load_id, broker_id) do nothing";
        let subscriptions = transaction.prepare(subscriptions).await?;
        for (row, loads) in brokers {
            let BrokerRow { id, url, secrets, rate, active, settings } = row;
            transaction.execute(&broker, &[id, url, secrets, rate, active, settings]).await?;
            transaction.execute(&subscriptions, &[loads, id]).await?;
        }
        transaction.commit().await
    };
    change.await.map_err(|error| of_query(WHAT, &error))
}
