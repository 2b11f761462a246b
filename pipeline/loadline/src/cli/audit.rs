//! The arguments of `loadline audit`.

use std::path::PathBuf;

use audit::{Column, Columns, Form, Input, MEMORY_MIN};
use bytesize::ByteSize;
use clap::{Args, ValueEnum};
use stages::Zone;

use super::{OutputArgs, exit::AUDIT_EXITS};

/// What to audit, and where its fields are. A FIELD is the name of a column or of a member of the line's JSON object, or a
/// JSON pointer such as /data/id.
#[derive(Clone, Debug, Args)]
#[command(after_help = AUDIT_EXITS)]
pub struct AuditArgs {
    /// Logs of deliveries, plain or compressed with gzip; - for standard input. BROKER=LOG for the log of one broker.
    #[arg(required = true, value_name = "LOG", value_parser = |text: &str| Ok::<_, &str>(Input::parse(text)))]
    pub logs: Vec<Input>,
    /// The form of the logs; each is known by its first line without it.
    #[arg(long)]
    pub form: Option<LogForm>,
    /// The event's id. Default: eventId.
    #[arg(long, value_name = "FIELD")]
    event_id: Option<String>,
    /// The load. Default: loadId. Without it only duplicates are found.
    #[arg(long, value_name = "FIELD")]
    load_id: Option<String>,
    /// The status the event gives its load. Default: status.
    #[arg(long, value_name = "FIELD")]
    status: Option<String>,
    /// When the event occurred: tells which of two is newer. Default: occurredAt.
    #[arg(long, value_name = "FIELD")]
    occurred_at: Option<String>,
    /// The producer's number of the load's events: tells the same, and counts more. Default: sequence.
    #[arg(long, value_name = "FIELD")]
    sequence: Option<String>,
    /// The broker. Default: broker; without it, the log's name up to its first dot.
    #[arg(long, value_name = "FIELD")]
    broker: Option<String>,
    /// When the delivery was logged. Default: time.
    #[arg(long, value_name = "FIELD")]
    time: Option<String>,
    /// The HTTP status of the answer. Default: answer; a log without it is one of what was taken.
    #[arg(long, value_name = "FIELD")]
    answer: Option<String>,
    /// A digest of the body: tells whether an id has come with two bodies. Default: digest.
    #[arg(long, value_name = "FIELD")]
    digest: Option<String>,
    /// The body, from which the event's fields are read as a run reads them.
    #[arg(long, value_name = "FIELD", conflicts_with_all = ["event_id", "load_id", "status", "occurred_at", "sequence"])]
    body: Option<String>,
    /// Read bodies by the schema of this config.
    #[arg(long, value_name = "FILE", requires = "body")]
    pub config: Option<PathBuf>,
    /// In access logs, only requests whose path begins so are deliveries.
    #[arg(long, value_name = "PREFIX")]
    pub path: Option<String>,
    /// Where times without an offset are, such as America/Chicago. Default: UTC.
    #[arg(long, value_name = "ZONE", value_parser = |text: &str| Zone::named(text))]
    pub time_zone: Option<Zone>,
    /// A load's statuses from first to last: tells which event is newer if the logs have neither times nor numbers.
    #[arg(long, value_name = "STATUS,…", value_delimiter = ',')]
    pub status_order: Vec<String>,
    /// Write a correction file for each broker, as NDJSON and CSV, into this directory; it must be empty or not there.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write correction events into this file, one for each load that stands wrong; it must not exist.
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// The memory for sorting, 64 MiB or more. What is more goes to temporary files.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = memory)]
    pub memory: usize,
    /// Where temporary files go. Default: the system's directory for them.
    #[arg(long, value_name = "DIR")]
    pub temp: Option<PathBuf>,
    /// How to answer.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The form of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogForm {
    /// One JSON object a line.
    Json,
    /// Comma-separated values with a header.
    Csv,
    /// The combined form of access logs of Apache and nginx.
    Combined,
}

impl From<LogForm> for Form {
    fn from(form: LogForm) -> Self {
        match form {
            LogForm::Json => Self::Json,
            LogForm::Csv => Self::Csv,
            LogForm::Combined => Self::Combined,
        }
    }
}

impl AuditArgs {
    /// Where fields stand.
    #[must_use]
    pub fn columns(&self) -> Columns {
        let usual = Columns::default();
        let of = |named: &Option<String>, usual: Column| named.as_deref().map_or(usual, Column::named);
        Columns {
            event_id: of(&self.event_id, usual.event_id),
            load_id: of(&self.load_id, usual.load_id),
            status: of(&self.status, usual.status),
            occurred_at: of(&self.occurred_at, usual.occurred_at),
            sequence: of(&self.sequence, usual.sequence),
            broker: of(&self.broker, usual.broker),
            time: of(&self.time, usual.time),
            answer: of(&self.answer, usual.answer),
            digest: of(&self.digest, usual.digest),
            body: self.body.as_deref().map(Column::named),
        }
    }
}

fn memory(text: &str) -> Result<usize, &'static str> {
    let bytes = text.parse().ok().and_then(|ByteSize(bytes)| usize::try_from(bytes).ok());
    bytes.filter(|bytes| *bytes >= MEMORY_MIN).ok_or("give a size of 64MiB or more")
}
