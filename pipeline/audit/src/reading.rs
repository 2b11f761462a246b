//! Reads deliveries from rows: which lines are deliveries that were taken, which had no answer, which were refused, and
//! which cannot be read. Every line is counted in exactly one of these.

use std::{cell::Cell, rc::Rc};

use futures::FutureExt;
use serde::Serialize;
use serde_json::Value;
use stages::{Decode, Schema, Stage, Zone, models::RawRecord, read_time};
use state::{BodyDigest, Position, UnixMillis};

use crate::{
    bad_lines::BadLines,
    columns::{Column, Columns},
    combined,
    delivery::{Delivery, Outcome},
    fault::AuditFault,
    input::{Input, Lines},
    progress::{Phase, Progress},
    rows::{Form, Rows},
};

/// The longest id, status or name, in bytes; Loadline's own default for ids is 256.
const TEXT_MAX: usize = 1_024;
/// What is logged as the answer of a request that had none, in small letters: by access logs (`-`), by senders (`-1` is
/// what Java's `HttpURLConnection` has then), and by what makes tables of logs.
const NO_ANSWER: [&str; 15] = [
    "",
    "-",
    "-1",
    "null",
    "none",
    "nil",
    "n/a",
    "nan",
    "timeout",
    "timed out",
    "reset",
    "aborted",
    "etimedout",
    "econnreset",
    "econnaborted",
];
/// After how many lines progress is told.
const TELL_EVERY: u64 = 16_384;

/// How lines became deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Lines read, without blank ones and headers.
    pub lines: u64,
    /// Deliveries that were taken.
    pub taken: u64,
    /// Deliveries without an answer.
    pub unclear: u64,
    /// Deliveries that were refused.
    pub refused: u64,
    /// Requests that are no deliveries: another method, or another path than the one asked for.
    pub others: u64,
    /// Lines that could not be read.
    pub bad: u64,
}

/// How rows are read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meaning {
    pub(crate) columns: Columns,
    /// The form; none if each log shows its own.
    pub(crate) form: Option<Form>,
    pub(crate) zone: Zone,
    /// What the path of a delivery begins with.
    pub(crate) path: Option<String>,
    /// How events are read from bodies.
    pub(crate) schema: Option<Schema>,
}

/// What a row is.
enum Row {
    Delivery(Box<Delivery>),
    Refused,
    Other,
}

/// The deliveries of all logs, one after the other.
pub(crate) struct Reader<'r> {
    meaning: &'r Meaning,
    decode: Option<Decode>,
    inputs: std::slice::Iter<'r, Input>,
    open: Option<(&'r Input, Lines, Option<Rows>)>,
    bytes: Rc<Cell<u64>>,
    pub(crate) counts: Counts,
    pub(crate) bad: BadLines,
    progress: Progress,
    watch: &'r mut dyn FnMut(Progress),
}

impl<'r> Reader<'r> {
    pub(crate) fn new(inputs: &'r [Input], meaning: &'r Meaning, watch: &'r mut dyn FnMut(Progress)) -> Self {
        let decode = meaning.columns.body.as_ref().and(meaning.schema.clone()).map(Decode::new);
        let bytes_all = inputs.iter().map(Input::size).sum();
        Self {
            meaning,
            decode,
            inputs: inputs.iter(),
            open: None,
            bytes: Rc::default(),
            counts: Counts::default(),
            bad: BadLines::default(),
            progress: Progress { phase: Phase::Reading, bytes_all, bytes: 0, lines: 0 },
            watch,
        }
    }

    /// The next delivery of the open log; none at its end.
    fn next_of_log(&mut self) -> Result<Option<Delivery>, AuditFault> {
        let Some((input, lines, rows)) = &mut self.open else { return Ok(None) };
        loop {
            let line = lines.next().map_err(|source| AuditFault::Input { name: input.name(), source })?;
            let Some(line) = line else { return Ok(None) };
            let read = str::from_utf8(line.bytes).map_err(|_| "it is not UTF-8".to_owned());
            let read = if line.is_cut { Err("it is longer than 2 MiB".to_owned()) } else { read };
            if rows.is_none()
                && let Ok(first) = read
            {
                let made = Rows::new(self.meaning.form.unwrap_or_else(|| Form::of(first)), first);
                if let Some(header) = rows.insert(made).header() {
                    check(input, self.meaning, header)?;
                    continue;
                }
            }
            self.counts.lines += 1;
            if self.counts.lines.is_multiple_of(TELL_EVERY) {
                let (bytes, lines) = (self.bytes.get(), self.counts.lines);
                (self.watch)(Progress { bytes, lines, ..self.progress });
            }
            let row =
                read.and_then(|text| rows.as_ref().ok_or("it comes before any that can be read")?.row(text));
            let place = self.counts.lines;
            match row.and_then(|row| delivery(self.meaning, self.decode.as_ref(), input, &row, place)) {
                Ok(Row::Refused) => self.counts.refused += 1,
                Ok(Row::Other) => self.counts.others += 1,
                Ok(Row::Delivery(delivery)) => {
                    match delivery.outcome {
                        Outcome::Taken => self.counts.taken += 1,
                        Outcome::Unclear => self.counts.unclear += 1,
                    }
                    return Ok(Some(*delivery));
                }
                Err(why) => {
                    self.counts.bad += 1;
                    self.bad.add(&input.name(), line.number, why, line.bytes);
                }
            }
        }
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<Delivery, AuditFault>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.next_of_log() {
                Ok(Some(delivery)) => return Some(Ok(delivery)),
                Err(fault) => return Some(Err(fault)),
                Ok(None) => {}
            }
            let input = self.inputs.next()?;
            match input.open(&self.bytes) {
                Ok(lines) => self.open = Some((input, lines, None)),
                Err(fault) => return Some(Err(fault)),
            }
        }
    }
}

/// Whether a table has all columns that its rows must have.
fn check(input: &Input, meaning: &Meaning, header: &[String]) -> Result<(), AuditFault> {
    let mut needed = meaning.columns.needed().filter(|column| !column.place.starts_with('/'));
    match needed.find(|column| !header.contains(&column.place)) {
        None => Ok(()),
        Some(column) => Err(AuditFault::Column {
            name: input.name(),
            column: column.place.clone(),
            columns: header.join(", ").chars().take(TEXT_MAX).collect(),
        }),
    }
}

/// What a row is, or why it cannot be read.
fn delivery(
    meaning: &Meaning,
    decode: Option<&Decode>,
    input: &Input,
    row: &Value,
    place: u64,
) -> Result<Row, String> {
    let columns = &meaning.columns;
    let is_other =
        |name: &str, test: &dyn Fn(&str) -> bool| row.get(name).and_then(Value::as_str).is_some_and(test);
    if is_other("method", &|method| !["POST", "PUT", "PATCH"].contains(&method))
        || meaning
            .path
            .as_ref()
            .is_some_and(|start| !is_other("path", &|path| path.starts_with(start.as_str())))
    {
        return Ok(Row::Other);
    }
    let Some(outcome) = outcome(&columns.answer, row)? else { return Ok(Row::Refused) };
    let text = |column: &Column| -> Result<String, String> {
        let text = column.text(row)?.unwrap_or_default();
        if text.len() > TEXT_MAX {
            return Err(format!("{} has {} bytes, and may have {TEXT_MAX}", column.place, text.len()));
        }
        Ok(text.into_owned())
    };
    let at = moment(&columns.time, row, &meaning.zone)?
        .ok_or_else(|| format!("{} is not there", columns.time.place))?;
    let broker = match &input.broker {
        Some(broker) => broker.clone(),
        None => Some(text(&columns.broker)?)
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| input.broker_by_name()),
    };
    let none = Delivery {
        broker,
        load: String::new(),
        event: String::new(),
        status: String::new(),
        digest: text(&columns.digest)?,
        at,
        place,
        occurred_at: None,
        sequence: None,
        outcome,
    };
    let delivery = match (&columns.body, decode) {
        (Some(body), Some(decode)) => of_body(body, decode, row, none)?,
        _ => Delivery {
            load: text(&columns.load_id)?,
            event: text(&columns.event_id)?,
            status: text(&columns.status)?,
            occurred_at: moment(&columns.occurred_at, row, &meaning.zone)?,
            sequence: sequence(&columns.sequence, row)?,
            ..none
        },
    };
    Ok(Row::Delivery(Box::new(delivery)))
}

/// What became of a request by its answer; none if it was refused. A log without answers is one of what was taken.
fn outcome(column: &Column, row: &Value) -> Result<Option<Outcome>, String> {
    let Some(value) = column.value(row) else {
        return if column.needed {
            Err(format!("{} is not there", column.place))
        } else {
            Ok(Some(Outcome::Taken))
        };
    };
    let text = match value {
        Value::Null => "",
        Value::String(text) => text.trim(),
        other => &other.to_string(),
    };
    match http_status(text) {
        Some(200..=299) => Ok(Some(Outcome::Taken)),
        // Nobody answered, the caller went away (nginx), or something between the two gave up: 408, 502, 504.
        Some(0 | 408 | 499 | 502 | 504) => Ok(Some(Outcome::Unclear)),
        Some(_) => Ok(None),
        None if NO_ANSWER.iter().any(|word| word.eq_ignore_ascii_case(text)) => Ok(Some(Outcome::Unclear)),
        None => {
            let shown: String = text.chars().take(TEXT_MAX).collect();
            Err(format!(
                "{} is {shown:?}, which is neither an HTTP status nor a word for none, such as timeout",
                column.place
            ))
        }
    }
}

/// The HTTP status in `200`, `200 OK` or `200.0`, as a table of numbers may have it; 0 where none came. Two statuses, as
/// nginx has them in `$upstream_status`, are none: only a reason may follow.
fn http_status(text: &str) -> Option<u16> {
    let end = text.find(|next: char| !next.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let is_zero = !digits.is_empty() && digits.bytes().all(|digit| digit == b'0');
    let is_whole = rest.strip_prefix('.').is_some_and(|rest| rest.bytes().all(|digit| digit == b'0'));
    let is_reason = rest.starts_with(' ') && rest.trim_start().starts_with(char::is_alphabetic);
    let status = digits.parse().ok().filter(|status| is_zero || (100..=999).contains(status));
    status.filter(|_| rest.is_empty() || is_whole || is_reason)
}

fn moment(column: &Column, row: &Value, zone: &Zone) -> Result<Option<UnixMillis>, String> {
    let Some(text) = column.text(row)? else { return Ok(None) };
    let at = read_time(&text, zone).or_else(|| combined::time_local(&text));
    at.map(Some).ok_or_else(|| format!("{} is {text:?}, which is no time", column.place))
}

fn sequence(column: &Column, row: &Value) -> Result<Option<u64>, String> {
    let Some(text) = column.text(row)? else { return Ok(None) };
    match text.parse() {
        Ok(sequence) => Ok(Some(sequence)),
        Err(_) if !column.needed => Ok(None),
        Err(_) => Err(format!("{} is {text:?}, which is no number", column.place)),
    }
}

/// A delivery with the fields of the event in its body, read as a run of Loadline reads it.
fn of_body(column: &Column, decode: &Decode, row: &Value, delivery: Delivery) -> Result<Delivery, String> {
    let body = match column.value(row) {
        Some(Value::String(text)) => text.clone(),
        Some(object @ Value::Object(_)) => object.to_string(),
        _ => return Err(format!("{} is not there or no body", column.place)),
    };
    let digest = BodyDigest::of(body.as_bytes()).to_hex();
    let raw = RawRecord::whole(Position::new("audit".into(), 0, delivery.place), body.into(), delivery.at);
    // It waits for nothing.
    match decode.run(raw).now_or_never() {
        Some(Ok(event)) => Ok(Delivery {
            load: event.load_id,
            event: event.event_id,
            status: event.status,
            occurred_at: event.occurred_at,
            sequence: event.sequence,
            digest: if delivery.digest.is_empty() { digest } else { delivery.digest },
            ..delivery
        }),
        Some(Err(exit)) => Err(format!("its body is no event: {}", why(&exit))),
        None => Err("its body could not be read".to_owned()),
    }
}

fn why(exit: &stages::models::Exit) -> String {
    match exit {
        stages::models::Exit::Verdict(stages::models::Verdict::Rejected(rejection)) => {
            rejection.detail.clone()
        }
        _ => "it was not read".to_owned(),
    }
}

#[cfg(test)]
#[path = "reading_tests.rs"]
mod tests;
