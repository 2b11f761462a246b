//! Why an audit failed.

use std::{io, path::PathBuf};

/// Why an audit failed.
#[derive(Debug, thiserror::Error)]
pub enum AuditFault {
    /// A log cannot be read.
    #[error("{name} cannot be read: {source}")]
    Input {
        /// The log.
        name: String,
        /// The system's words.
        source: io::Error,
    },
    /// A file of the outcome cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    Output {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The directory for the outcome has something in it.
    #[error("{} is not empty: give --out a new directory", .0.display())]
    NotEmpty(PathBuf),
    /// What is more than memory holds cannot be written or read back.
    #[error(
        "temporary files in {} failed: {detail}; give --temp a directory with room, or --memory more, which makes fewer files",
        directory.display()
    )]
    Temporary {
        /// The directory.
        directory: PathBuf,
        /// Why.
        detail: String,
    },
    /// A table lacks a column that every row must have.
    #[error(
        "{name} is read as CSV and has no column {column:?}, but {columns}: name the right one, or the form with --form"
    )]
    Column {
        /// The log.
        name: String,
        /// The column.
        column: String,
        /// The columns there are.
        columns: String,
    },
    /// One load has more deliveries than a load can have.
    #[error(
        "load {load:?} of broker {broker:?} has more than {max} deliveries: is --load-id the column of the load?"
    )]
    LoadTooLarge {
        /// The broker.
        broker: String,
        /// The load.
        load: String,
        /// The most that are judged together.
        max: usize,
    },
    /// There are more brokers than a site has.
    #[error(
        "there are more than {max} brokers, the last is {broker:?}: is --broker the column of the broker?"
    )]
    TooManyBrokers {
        /// The last.
        broker: String,
        /// The most.
        max: usize,
    },
}
