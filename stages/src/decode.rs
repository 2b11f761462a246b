//! Decodes a raw record into a shipment event, or a rejection that names everything wrong with its form.
//!
//! The event has the fields with their types checked but no value validated, and the unchanged record. No input panics.
//! Time and memory are linear in the record (times the logarithm of its keys), stack use is constant. What is read is
//! unambiguous, because a key that occurs twice in an object that is read is refused.
//!
//! | cause | the record |
//! |---|---|
//! | `unreadable-batch` | and perhaps those behind it stood in a batch that the source could not read: the letter has the batch |
//! | `no-value` | has a key and no value, as a compacted topic has it for what is gone |
//! | `schema-registry-frame` | begins with a schema's number, and the source was not told to expect it, or cannot be |
//! | `content-encoding` | is compressed in a way that the source does not read, or badly |
//! | `too-large` | was cut by the source at its limit |
//! | `not-utf8`, `nul-byte`, `not-json` | is no text, or no JSON; `nul-byte` hints at UTF-16 |
//! | `too-deep` | is nested deeper than the schema's `depth_max` |
//! | `trailing-data` | goes on after its first JSON value |
//! | `unreadable-value` | is JSON, but a key or value to be read has no value (`1e999`, half a surrogate pair) |
//! | `too-many-events` | is an array, or has one, of more events than the schema's `events_max` |
//! | `not-an-object` | is JSON, but no object |
//! | `duplicate-key` | has a key twice in an object that is read; keys are compared unescaped |
//! | `missing-field`, `wrong-type` | lacks a field, or has something else in its place |
//! | `bad-time` | has a time in no form that is read, not in the calendar, or before 1970 |
//! | `unknown-specversion` | is a CloudEvent of another version than 1.0 |

mod depth;
mod enclosing;
mod field;
mod fields;
mod paths;
mod place;
mod pointer;
mod problem;
mod rfc3339;
mod schema;
#[cfg(test)]
mod shapes_tests;
mod split;
#[cfg(test)]
mod split_tests;
#[cfg(test)]
mod tests;
mod time;
mod walk;
mod zone;

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::de::{DeserializeSeed, IgnoredAny};
use state::{StageName, TraceParent, UnixMillis};

pub use self::{
    field::Field,
    place::Place,
    pointer::PointerFault,
    schema::{DEPTH_DEFAULT, DEPTH_LIMIT, EVENTS_DEFAULT, Schema, SchemaError},
    split::{Events, Split},
    zone::{UnknownZone, Zone},
};
use self::{
    fields::{Fields, Found, fields, found},
    paths::Layout,
    pointer::Pointer,
    problem::Problem,
    walk::{Read, Reads, Walk},
};
use crate::{
    models::{Exit, RawRecord, Rejection, ShipmentEvent, Step, Unreadable, Verdict},
    stage::Stage,
};

/// No whole number that is nearer to zero is read as a float: 2^63.
const BEYOND_64_BITS: f64 = 9_223_372_036_854_775_808.0;

/// The moment that `text` names, in any form in which an event's time is read; without an offset it is in `zone`.
#[must_use]
pub fn read_time(text: &str, zone: &Zone) -> Option<UnixMillis> {
    time::of_text(text, zone).ok()
}

/// The stage that reads an event from a record's bytes. Clones share the schema.
#[derive(Clone, Debug)]
pub struct Decode {
    format: Arc<ArcSwap<RecordFormat>>,
}

/// The format of records.
#[derive(Debug)]
struct RecordFormat {
    schema: Schema,
    layout: Layout,
}

impl Decode {
    /// A decoder for records with this schema.
    #[must_use]
    pub fn new(schema: Schema) -> Self {
        Self { format: Arc::new(ArcSwap::from_pointee(RecordFormat::new(schema))) }
    }

    /// Reads records by another schema from now on, here and in every clone. A record that is being read is finished
    /// with the old one.
    pub fn replace(&self, schema: Schema) {
        self.format.store(Arc::new(RecordFormat::new(schema)));
    }

    /// Whether records are CloudEvents.
    #[must_use]
    pub fn reads_cloud_events(&self) -> bool {
        self.format.load().schema.spec_version.is_some()
    }

    /// The `traceparent` in a body, for an event that is delivered again without being decoded.
    #[must_use]
    pub fn traceparent(&self, body: &[u8]) -> Option<TraceParent> {
        let format = self.format.load();
        let mut reads = format.reads();
        format.parse_partial(body, &mut reads);
        fields::traceparent(&format.layout, &reads)
    }
}

impl RecordFormat {
    fn new(schema: Schema) -> Self {
        let layout = Layout::of(&schema);
        Self { schema, layout }
    }

    fn reads<'a>(&self) -> Reads<'a> {
        Reads::new(self.layout.pointers.len(), self.schema.depth_max)
    }

    fn fields(&self, raw: &RawRecord) -> Result<Fields, Box<Rejection>> {
        let mut reads = self.reads();
        let mut problems = Vec::new();
        let read = match self.read(raw, &mut reads) {
            Ok(()) => fields(&self.layout, &self.schema.zone, raw, &reads, &mut problems),
            Err(problem) => {
                problems.push(problem);
                Err(found(&self.layout, raw, &reads))
            }
        };
        if problems.iter().any(|problem| matches!(problem, Problem::Missing { .. })) {
            problems.extend(self.no_events(raw));
        }
        read.map_err(|found| Box::new(rejection(&problems, found)))
    }

    /// Fills `reads`; what was read before a problem stays in it.
    fn read<'a>(&self, raw: &'a RawRecord, reads: &mut Reads<'a>) -> Result<(), Problem> {
        if let Some(why) = &raw.unreadable {
            return Err(Problem::OfSource(why.clone()));
        }
        if raw.is_cut() {
            self.parse_partial(&raw.bytes, reads);
            return Err(Problem::TooLarge { full_len: raw.full_len, read: raw.bytes.len() });
        }
        // One that could be split is not here, unless something is wrong with that.
        if let Err(problem) = self.elements(raw) {
            self.parse_partial(&raw.bytes, reads);
            return Err(problem);
        }
        // Zeros alone are what a crash leaves in a file.
        if let [0, 0, high, mid, low, ..] = *raw.bytes
            && [high, mid, low] != [0; 3]
        {
            return Err(framed(u32::from_be_bytes([0, high, mid, low])));
        }
        let text = text(&raw.bytes)?;
        let max = self.schema.depth_max;
        if depth::exceeds(text.as_bytes(), max) {
            return Err(Problem::TooDeep { max });
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let walk = Walk { target: &self.layout.root, reads };
        walk.deserialize(&mut json).map_err(|error| explain(text, error))?;
        self.read_long_numbers(raw, reads);
        json.end().map_err(|error| nul_byte(text).unwrap_or(Problem::TrailingData(error)))
    }

    /// Whole numbers beyond 64 bits, which some producers use as ids, are read as their text.
    fn read_long_numbers(&self, raw: &RawRecord, reads: &mut Reads<'_>) {
        for (read, pointer) in reads.slots.iter_mut().zip(&self.layout.pointers) {
            if let Read::Float(number) = read
                && number.abs() >= BEYOND_64_BITS
                && let Ok(pointer) = Pointer::parse(pointer)
                && let Some(digits) = split::whole_number(&raw.bytes, &pointer.keys)
            {
                *read = Read::Text(digits.into());
            }
        }
    }

    /// Fills `reads` from the beginning of a record, so that its dead letter can be found by id or load.
    fn parse_partial<'a>(&self, bytes: &'a [u8], reads: &mut Reads<'a>) {
        let text = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        if !depth::exceeds(text.as_bytes(), self.schema.depth_max) {
            let walk = Walk { target: &self.layout.root, reads };
            // It fails at the end; complete values before that are kept.
            _ = walk.deserialize(&mut serde_json::Deserializer::from_str(text));
        }
    }
}

impl Stage for Decode {
    type In = RawRecord;
    type Out = ShipmentEvent;

    async fn run(&self, raw: RawRecord) -> Step<ShipmentEvent> {
        match self.format.load().fields(&raw) {
            Ok(Fields { event_id, load_id, status, occurred_at, sequence, traceparent }) => {
                let traceparent = traceparent.or_else(|| raw.traceparent.as_deref().copied());
                Ok(ShipmentEvent { raw, event_id, load_id, status, occurred_at, sequence, traceparent })
            }
            Err(rejection) => Err(Exit::Verdict(Verdict::Rejected(rejection))),
        }
    }
}

/// The record as text. A byte order mark before it is passed over.
fn text(bytes: &[u8]) -> Result<&str, Problem> {
    let text = str::from_utf8(bytes).map_err(|error| Problem::NotUtf8 { valid: error.valid_up_to() })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// No text begins with two zero bytes, but for UTF-32 that nobody sends; what schema registries write does, up to the
/// schema 16,777,215.
fn framed(schema: u32) -> Problem {
    let why = format!(
        "the record begins with a zero byte and the number {schema}, as a schema registry's serializer writes it: Avro and Protobuf are not read; JSON is, from Kafka with source.framing = \"schema-registry\""
    );
    Problem::OfSource(Box::new(Unreadable::Framed(why.into())))
}

/// Explains a parser's error. Called for refused records only.
fn explain(text: &str, error: serde_json::Error) -> Problem {
    if text.trim_ascii().is_empty() {
        return Problem::Empty;
    }
    if let Some(problem) = nul_byte(text) {
        return problem;
    }
    // Skipping checks the grammar alone: if it succeeds, the error was a value that cannot be represented.
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Problem::Unreadable(error),
        Err(_) => Problem::NotJson(error),
    }
}

fn nul_byte(text: &str) -> Option<Problem> {
    text.bytes().position(|byte| byte == 0).map(|at| Problem::NulByte { at })
}

fn rejection(problems: &[Problem], found: Found) -> Rejection {
    let messages: Vec<_> = problems.iter().map(ToString::to_string).collect();
    Rejection {
        stage: StageName::Decode,
        cause: problems.first().map_or("not-json", Problem::cause),
        detail: messages.join("; "),
        event_id: found.event_id,
        load_id: found.load_id,
        status: found.status,
    }
}
