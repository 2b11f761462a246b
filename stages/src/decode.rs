//! Decode: a raw record becomes a shipment event, or a rejection that names everything wrong with its form.
//!
//! Enters: a record's bytes as they stood in the source. Leaves: the fields of an event, each with the right type and
//! none judged, beside the untouched record. Guaranteed: any bytes give one or the other without panic; time and
//! memory grow no faster than the record (times the logarithm of its keys), stack use not at all; what is read from
//! a record has one meaning, because a key that occurs twice in an object that is read is refused.
//!
//! | cause | the record |
//! |---|---|
//! | `unreadable-batch` | and perhaps those behind it stood in a batch that the source could not read: the letter has the batch |
//! | `too-large` | was cut by the source at its limit |
//! | `byte-order-mark` | begins with U+FEFF |
//! | `not-utf8`, `nul-byte`, `not-json` | is no text, or no JSON; `nul-byte` hints at UTF-16 |
//! | `too-deep` | is nested deeper than the schema's `depth_max` |
//! | `trailing-data` | goes on after its first JSON value |
//! | `unreadable-value` | is JSON, but a key or value to be read has no value (`1e999`, half a surrogate pair) |
//! | `not-an-object` | is JSON, but no object |
//! | `duplicate-key` | has a key twice in an object that is read; keys are compared unescaped |
//! | `missing-field`, `wrong-type` | lacks a field, or has something else in its place |
//! | `bad-time` | has a time that is not RFC 3339, not in the calendar, or before 1970 |
//! | `unknown-specversion` | is a CloudEvent of another version than 1.0 |

mod depth;
mod fields;
mod paths;
mod problem;
#[cfg(test)]
mod tests;
mod time;
mod walk;

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::de::{DeserializeSeed, IgnoredAny};
use state::{StageName, TraceParent};

use self::{
    fields::{Fields, fields, take},
    paths::{Node, Target},
    problem::Problem,
    walk::{Reads, Walk},
};
use crate::{
    models::{Exit, RawRecord, Rejection, ShipmentEvent, Step, Verdict},
    schema::{Field, Schema},
    stage::Stage,
};

/// The cause of a letter whose bytes are not a record's but those of the batch it stood in.
pub const UNREADABLE_BATCH: &str = "unreadable-batch";

/// The stage that reads an event from a record's bytes. A clone reads what this one reads.
#[derive(Clone, Debug)]
pub struct Decode {
    form: Arc<ArcSwap<Form>>,
}

/// What records look like.
#[derive(Debug)]
struct Form {
    schema: Schema,
    root: Target,
}

impl Decode {
    /// A decoder for records of the given form.
    #[must_use]
    pub fn new(schema: Schema) -> Self {
        Self { form: Arc::new(ArcSwap::from_pointee(Form::new(schema))) }
    }

    /// Reads records of another form from now on, here and in every clone; one that is being read is read to its end as
    /// it was begun.
    pub fn replace(&self, schema: Schema) {
        self.form.store(Arc::new(Form::new(schema)));
    }

    /// The place in a trace that a body names, for one that is delivered again without being decoded.
    #[must_use]
    pub fn traceparent(&self, body: &[u8]) -> Option<TraceParent> {
        let form = self.form.load();
        let mut reads = Reads::default();
        form.glean(body, &mut reads);
        fields::traceparent(&reads.slots[Field::TraceParent as usize])
    }
}

impl Form {
    fn new(schema: Schema) -> Self {
        let root = Target::Object(Node::root(&schema));
        Self { schema, root }
    }

    fn fields(&self, raw: &RawRecord) -> Result<Fields, Box<Rejection>> {
        let mut reads = Reads::default();
        let mut problems = Vec::new();
        let read = match self.read(raw, &mut reads) {
            Ok(()) => fields(&self.schema, &mut reads, &mut problems),
            Err(problem) => {
                problems.push(problem);
                None
            }
        };
        read.ok_or_else(|| Box::new(rejection(&problems, &mut reads)))
    }

    /// Fills `reads`, also with what was read before a problem.
    fn read<'a>(&'a self, raw: &'a RawRecord, reads: &mut Reads<'a>) -> Result<(), Problem> {
        if let Some(why) = &raw.unreadable {
            return Err(Problem::UnreadableBatch(why.clone()));
        }
        if raw.is_cut() {
            self.glean(&raw.bytes, reads);
            return Err(Problem::TooLarge { full_len: raw.full_len, read: raw.bytes.len() });
        }
        let text = text(&raw.bytes)?;
        let max = self.schema.depth_max;
        if depth::exceeds(text.as_bytes(), max) {
            return Err(Problem::TooDeep { max });
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let walk = Walk { target: &self.root, reads };
        walk.deserialize(&mut json).map_err(|error| explain(text, error))?;
        json.end().map_err(|error| nul_byte(text).unwrap_or(Problem::TrailingData(error)))
    }

    /// Fills `reads` from the beginning of a record, so that its dead letter can be found by id or load.
    fn glean<'a>(&'a self, bytes: &'a [u8], reads: &mut Reads<'a>) {
        let text = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        if !depth::exceeds(text.as_bytes(), self.schema.depth_max) {
            let walk = Walk { target: &self.root, reads };
            // It ends early, of course; what was whole before has been kept.
            _ = walk.deserialize(&mut serde_json::Deserializer::from_str(text));
        }
    }
}

impl Stage for Decode {
    type In = RawRecord;
    type Out = ShipmentEvent;

    async fn run(&self, raw: RawRecord) -> Step<ShipmentEvent> {
        match self.form.load().fields(&raw) {
            Ok(Fields { event_id, load_id, status, occurred_at, sequence, traceparent }) => {
                Ok(ShipmentEvent { raw, event_id, load_id, status, occurred_at, sequence, traceparent })
            }
            Err(rejection) => Err(Exit::Verdict(Verdict::Rejected(*rejection))),
        }
    }
}

fn text(bytes: &[u8]) -> Result<&str, Problem> {
    let text = str::from_utf8(bytes).map_err(|error| Problem::NotUtf8 { valid: error.valid_up_to() })?;
    if text.starts_with('\u{feff}') {
        return Err(Problem::ByteOrderMark);
    }
    Ok(text)
}

/// Finds the plainest words for a parser's error; only records that are refused pay for it.
fn explain(text: &str, error: serde_json::Error) -> Problem {
    if text.trim_ascii().is_empty() {
        return Problem::Empty;
    }
    if let Some(problem) = nul_byte(text) {
        return problem;
    }
    // Skipping checks the grammar alone: what passes now failed because a value that is read cannot be represented.
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Problem::Unreadable(error),
        Err(_) => Problem::NotJson(error),
    }
}

fn nul_byte(text: &str) -> Option<Problem> {
    text.bytes().position(|byte| byte == 0).map(|at| Problem::NulByte { at })
}

fn rejection(problems: &[Problem], reads: &mut Reads<'_>) -> Rejection {
    let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
    Rejection {
        stage: StageName::Decode,
        cause: problems.first().map_or("not-json", Problem::cause),
        detail: told.join("; "),
        event_id: take(reads, Field::EventId),
        load_id: take(reads, Field::LoadId),
        status: take(reads, Field::Status),
    }
}
