//! Why the database cannot be used. A message names the way out; none repeats the connection string.

use std::time::Duration;

/// Why the database cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseFault {
    /// It cannot be reached, or has gone.
    #[error("it cannot be reached: {why}")]
    Away {
        /// The system's or the library's words.
        why: String,
    },
    /// It does not answer in time.
    #[error("it does not answer within {after:?}")]
    Silent {
        /// The timeout.
        after: Duration,
    },
    /// It follows another server, so that it may not know yet what has been committed there.
    #[error("it is a standby, which may be behind: name the primary in subscriptions.connection")]
    Standby,
    /// It refuses who Loadline is, or has no such database.
    #[error("it refuses the connection: {why}; check what subscriptions.connection refers to")]
    Refused {
        /// The server's words.
        why: String,
    },
    /// It refuses or aborts a query.
    #[error("it refuses {what}: {why}")]
    Query {
        /// Which.
        what: &'static str,
        /// The server's words.
        why: String,
    },
    /// What it is asked, or what it is, does not fit.
    #[error("{what} {problem}; {remedy}")]
    Unfit {
        /// Which part.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
        /// The way out.
        remedy: String,
    },
    /// The connection string cannot be read.
    #[error(
        "what subscriptions.connection refers to is no connection string: write postgres://user:password@host/database"
    )]
    Connection,
    /// This build has no client.
    #[error("this build has no PostgreSQL client: build it with the feature postgres")]
    NoClient,
}

impl DatabaseFault {
    /// Whether trying again cannot help unless somebody changes something.
    #[must_use]
    pub fn is_definite(&self) -> bool {
        match self {
            Self::Away { .. } | Self::Silent { .. } | Self::Standby => false,
            Self::Refused { .. }
            | Self::Query { .. }
            | Self::Unfit { .. }
            | Self::Connection
            | Self::NoClient => true,
        }
    }

    pub(crate) fn unfit(what: &'static str, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Unfit { what, problem: problem.into(), remedy: remedy.into() }
    }
}
