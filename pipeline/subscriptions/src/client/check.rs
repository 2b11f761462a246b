//! What a server and the queries have to be, checked with every new connection: the server is a primary that has UTF-8, the
//! queries' parameters and columns have the right types, and the look-up can use an index.

use tokio_postgres::{Client, Statement, types::Type};

use super::{
    plan::scanned,
    words::{BROKERS, LOOKUP, of_query},
};
use crate::fault::DatabaseFault;

/// The oldest server: `xid8` came with it.
const VERSION_MIN: i32 = 13;
const TEXTS: [Type; 3] = [Type::TEXT, Type::VARCHAR, Type::NAME];
const LISTS: [Type; 2] = [Type::TEXT_ARRAY, Type::VARCHAR_ARRAY];
const SERVER: &str = "the server";

pub(super) async fn server(client: &Client) -> Result<(), DatabaseFault> {
    let asked = "select pg_is_in_recovery(), current_setting('server_encoding'), \
                 current_setting('server_version_num')::int / 10000";
    let row = client.query_one(asked, &[]).await.map_err(|error| of_query(SERVER, &error))?;
    let read = (|| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))();
    let (is_standby, encoding, version): (bool, String, i32) =
        read.map_err(|error: tokio_postgres::Error| of_query(SERVER, &error))?;
    if version < VERSION_MIN {
        let problem = format!("is PostgreSQL {version}");
        return Err(DatabaseFault::unfit(SERVER, problem, format!("use {VERSION_MIN} or later")));
    }
    if encoding != "UTF8" {
        let problem = format!("has its texts in {encoding}, which has no place for some load ids");
        return Err(DatabaseFault::unfit(SERVER, problem, "use a database with the encoding UTF8"));
    }
    if is_standby { Err(DatabaseFault::Standby) } else { Ok(()) }
}

pub(super) async fn lookup(client: &mut Client, query: &str) -> Result<Statement, DatabaseFault> {
    let statement = client.prepare_typed(query, &[Type::TEXT_ARRAY]).await;
    let statement = statement.map_err(|error| of_query(LOOKUP, &error))?;
    let columns: [(&str, &[Type]); 4] =
        [("id", &[Type::INT8]), ("load_id", &TEXTS), ("broker_id", &TEXTS), ("statuses", &LISTS)];
    fits(LOOKUP, &statement, &Type::TEXT_ARRAY, &columns)?;
    let read_whole = plan(client, query).await.map_err(|error| of_query(LOOKUP, &error))?;
    match read_whole {
        Some(table) => Err(DatabaseFault::unfit(
            LOOKUP,
            format!("has to read the whole table {table} for each block of loads"),
            "create an index on its load id, and compare that column itself with any($1)",
        )),
        None => Ok(statement),
    }
}

/// The table that the look-up could only read as a whole. Small tables are read so although there is an index; so the server
/// is asked what it would do if that were dear.
async fn plan(client: &mut Client, query: &str) -> Result<Option<String>, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction.batch_execute("set local enable_seqscan = off").await?;
    let explain = format!("explain (format json) {query}");
    let explain = transaction.prepare_typed(&explain, &[Type::TEXT_ARRAY]).await?;
    let row = transaction.query_one(&explain, &[&vec!["", "-"]]).await?;
    let plan: serde_json::Value = serde_json::from_str(row.try_get::<_, Json>(0)?.0).unwrap_or_default();
    transaction.rollback().await?;
    Ok(scanned(&plan))
}

/// The text of a value of type json.
struct Json<'r>(&'r str);

impl<'r> tokio_postgres::types::FromSql<'r> for Json<'r> {
    fn from_sql(_: &Type, raw: &'r [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(std::str::from_utf8(raw)?))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::JSON
    }
}

pub(super) async fn brokers(client: &Client, query: &str) -> Result<Statement, DatabaseFault> {
    let statement = client.prepare_typed(query, &[Type::TEXT]).await;
    let statement = statement.map_err(|error| of_query(BROKERS, &error))?;
    let columns: [(&str, &[Type]); 6] = [
        ("id", &TEXTS),
        ("webhook_url", &TEXTS),
        ("secret_refs", &LISTS),
        ("rate", &[Type::FLOAT8]),
        ("active", &[Type::BOOL]),
        ("settings", &TEXTS),
    ];
    fits(BROKERS, &statement, &Type::TEXT, &columns)?;
    Ok(statement)
}

fn fits(
    what: &'static str,
    statement: &Statement,
    parameter: &Type,
    columns: &[(&str, &[Type])],
) -> Result<(), DatabaseFault> {
    if statement.params() != std::slice::from_ref(parameter) {
        let problem = format!("has {} parameters", statement.params().len());
        let remedy = format!("give it one, $1, of type {parameter}");
        return Err(DatabaseFault::unfit(what, problem, remedy));
    }
    for (name, types) in columns {
        let wanted = || types.iter().map(Type::name).collect::<Vec<_>>().join(" or ");
        let found = statement.columns().iter().find(|column| column.name() == *name);
        let Some(found) = found else {
            let remedy = format!("have it answer with one, of type {}", wanted());
            return Err(DatabaseFault::unfit(what, format!("has no column {name}"), remedy));
        };
        if !types.contains(found.type_()) {
            let problem = format!("has a column {name} of type {}", found.type_());
            return Err(DatabaseFault::unfit(what, problem, format!("cast it to {}", wanted())));
        }
    }
    Ok(())
}
