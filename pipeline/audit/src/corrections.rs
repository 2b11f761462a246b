//! Writes a correction file for each broker, as NDJSON with all that is known and as CSV for a spreadsheet: each load with
//! duplicates or setbacks, its true status, and when it got what it should not have.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{bad_lines::BadLine, fault::AuditFault, judge::LoadFinding, times::rfc3339};

/// What is encoded in the name of a file.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');
/// The longest beginning of a broker's name in a file's name; longer ones get a number.
const NAME_MAX: usize = 120;
/// The columns of the CSV.
const HEADER: [&str; 10] = [
    "load_id",
    "true_status",
    "true_event_id",
    "true_occurred_at",
    "stands_wrong",
    "status_now",
    "setbacks",
    "duplicated_events",
    "duplicate_deliveries",
    "duplicates",
];

/// A directory for corrections.
pub(crate) struct Corrections {
    directory: PathBuf,
    open: Option<BrokerFiles>,
    brokers: u32,
}

struct BrokerFiles {
    broker: String,
    ndjson: (PathBuf, BufWriter<File>),
    csv: (PathBuf, csv::Writer<File>),
}

impl Corrections {
    /// In `directory`, which must be empty or not there.
    pub(crate) fn create(directory: &Path) -> Result<Self, AuditFault> {
        let fault = |source| AuditFault::Output { path: directory.to_owned(), source };
        fs::create_dir_all(directory).map_err(fault)?;
        if fs::read_dir(directory).map_err(fault)?.next().is_some() {
            return Err(AuditFault::NotEmpty(directory.to_owned()));
        }
        Ok(Self { directory: directory.to_owned(), open: None, brokers: 0 })
    }

    /// Adds a load with findings, after all of brokers that come before.
    pub(crate) fn add(&mut self, load: &LoadFinding) -> Result<(), AuditFault> {
        if self.open.as_ref().is_none_or(|open| open.broker != load.broker) {
            self.close_broker()?;
            self.brokers += 1;
            self.open = Some(BrokerFiles::create(&self.directory, &load.broker, self.brokers)?);
        }
        match &mut self.open {
            Some(open) => open.add(load),
            None => Ok(()),
        }
    }

    /// Ends the last broker's files, and writes the lines that could not be read.
    pub(crate) fn close(mut self, bad_lines: &[BadLine]) -> Result<(), AuditFault> {
        self.close_broker()?;
        if bad_lines.is_empty() {
            return Ok(());
        }
        let path = self.directory.join("bad-lines.ndjson");
        let write = || {
            let mut out = BufWriter::new(File::create_new(&path)?);
            bad_lines.iter().try_for_each(|line| write_line(&mut out, line))?;
            out.flush()
        };
        write().map_err(|source| AuditFault::Output { path: path.clone(), source })
    }

    fn close_broker(&mut self) -> Result<(), AuditFault> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        open.ndjson.1.flush().map_err(|source| AuditFault::Output { path: open.ndjson.0, source })?;
        open.csv.1.flush().map_err(|source| AuditFault::Output { path: open.csv.0, source })
    }
}

impl BrokerFiles {
    fn create(directory: &Path, broker: &str, number: u32) -> Result<Self, AuditFault> {
        let mut name = utf8_percent_encode(broker, NAME).to_string();
        if name.len() > NAME_MAX {
            name = format!("{}-{number}", &name[..NAME_MAX]);
        }
        let make = |path: PathBuf| match File::create_new(&path) {
            Ok(file) => Ok((path, file)),
            Err(source) => Err(AuditFault::Output { path, source }),
        };
        let (ndjson, lines) = make(directory.join(format!("{name}.ndjson")))?;
        let (csv, table) = make(directory.join(format!("{name}.csv")))?;
        let mut table = csv::Writer::from_writer(table);
        if let Err(error) = table.write_record(HEADER) {
            return Err(AuditFault::Output { path: csv, source: error.into() });
        }
        Ok(Self { broker: broker.to_owned(), ndjson: (ndjson, BufWriter::new(lines)), csv: (csv, table) })
    }

    fn add(&mut self, load: &LoadFinding) -> Result<(), AuditFault> {
        let (path, out) = &mut self.ndjson;
        write_line(out, load).map_err(|source| AuditFault::Output { path: path.clone(), source })?;
        let (path, table) = &mut self.csv;
        let written = table.write_record(row(load));
        written.map_err(|error| AuditFault::Output { path: path.clone(), source: error.into() })
    }
}

fn write_line(out: &mut impl Write, line: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// A load as a row of the CSV.
fn row(load: &LoadFinding) -> [String; 10] {
    let of = |text: fn(&crate::judge::State) -> &String| {
        load.last_true.as_ref().map(text).cloned().unwrap_or_default()
    };
    let times: Vec<String> = load
        .duplicates
        .iter()
        .map(|duplicate| {
            let times: Vec<String> = duplicate.deliveries.iter().map(|time| rfc3339(time.at)).collect();
            format!("{} {}", duplicate.event_id, times.join(" "))
        })
        .collect();
    [
        load.load_id.clone(),
        of(|state| &state.status),
        of(|state| &state.event_id),
        load.last_true.as_ref().and_then(|state| state.occurred_at).map(rfc3339).unwrap_or_default(),
        load.stands_wrong.to_string(),
        load.stands_at.as_ref().map(|state| state.status.clone()).unwrap_or_default(),
        load.setbacks.len().to_string(),
        load.duplicates.len().to_string(),
        load.repeats().to_string(),
        times.join("; "),
    ]
}
