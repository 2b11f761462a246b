//! Turns an error of the client into a fault with the server's or the system's own words.

use tokio_postgres::{Error, error::DbError};

use crate::fault::DatabaseFault;

/// What the queries are called in faults.
pub(super) const LOOKUP: &str = "the look-up";
pub(super) const BROKERS: &str = "the brokers' query";

/// The fault of connecting.
pub(super) fn words(error: &Error) -> DatabaseFault {
    match error.as_db_error() {
        // Class 28: who Loadline is; class 3D: there is no such database.
        Some(told) if ["28", "3D"].contains(&class(told)) => DatabaseFault::Refused { why: said(told) },
        Some(told) => DatabaseFault::Away { why: said(told) },
        None => DatabaseFault::Away { why: chain(error) },
    }
}

/// The fault of a query.
pub(super) fn of_query(what: &'static str, error: &Error) -> DatabaseFault {
    match error.as_db_error() {
        // Class 57: the server is going down, or the statement has taken too long; class 53: it has too little of something;
        // class 08: what stands before it, such as a pooler, does not reach it; class 58: its machine is in trouble.
        Some(told) if ["08", "40", "53", "57", "58"].contains(&class(told)) => {
            DatabaseFault::Away { why: said(told) }
        }
        Some(told) => DatabaseFault::Query { what, why: said(told) },
        None => DatabaseFault::Away { why: chain(error) },
    }
}

fn class(told: &DbError) -> &str {
    told.code().code().get(..2).unwrap_or_default()
}

fn said(told: &DbError) -> String {
    let hint = told.hint().map_or(String::new(), |hint| format!(" ({hint})"));
    format!("{}{hint}", told.message())
}

fn chain(error: &Error) -> String {
    let words: Vec<String> = stages::error_chain::sources(error).map(ToString::to_string).collect();
    words.join(": ")
}
