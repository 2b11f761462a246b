//! From what was read to an event's fields, or to everything that is wrong with them.

use std::borrow::Cow;

use state::{TraceParent, UnixMillis};

use super::{
    paths::{SPEC_VERSION, pointer},
    problem::Problem,
    time::unix_millis,
    walk::{Kind, Read, Reads},
};
use crate::{
    excerpt::excerpt,
    schema::{Field, Schema},
};

/// The version of CloudEvents that is understood.
const SPEC_VERSION_KNOWN: &str = "1.0";

/// An event's fields, every one with the right type.
pub(super) struct Fields {
    pub(super) event_id: String,
    pub(super) load_id: String,
    pub(super) status: String,
    pub(super) occurred_at: UnixMillis,
    pub(super) sequence: Option<u64>,
    pub(super) traceparent: Option<TraceParent>,
}

/// Takes the fields from `reads`. Without problems they are there; with any, what could be read stays in `reads`.
pub(super) fn fields(schema: &Schema, reads: &mut Reads<'_>, problems: &mut Vec<Problem>) -> Option<Fields> {
    if let Some((object, key)) = &reads.duplicate {
        let object = if object.is_empty() { "the record".to_owned() } else { (*object).to_owned() };
        problems.push(Problem::DuplicateKey { key: excerpt(key), object });
    }
    let mut check = Check { schema, problems, blocked: Vec::new() };
    check.spec_version(&reads.slots[SPEC_VERSION]);
    for field in [Field::EventId, Field::LoadId, Field::Status] {
        check.text(field as usize, &reads.slots[field as usize]);
    }
    let occurred_at = check.time(&reads.slots[Field::OccurredAt as usize]);
    if !problems.is_empty() {
        return None;
    }
    Some(Fields {
        event_id: take(reads, Field::EventId)?,
        load_id: take(reads, Field::LoadId)?,
        status: take(reads, Field::Status)?,
        occurred_at: occurred_at?,
        sequence: sequence(&reads.slots[Field::Sequence as usize]),
        traceparent: traceparent(&reads.slots[Field::TraceParent as usize]),
    })
}

/// The producer's count. Nothing is ordered by it, so that a mistake in it costs no event its delivery.
fn sequence(read: &Read<'_>) -> Option<u64> {
    let found = match read {
        Read::Missing | Read::Other(Kind::Null) => return None,
        Read::Integer(sequence) => Some(*sequence),
        Read::Text(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        _ => None,
    };
    if found.is_none() {
        tracing::debug!("an event's sequence is no unsigned integer below 2^64 and left out");
    }
    found
}

/// The event's place in a trace. A producer's mistake here costs the trace its thread, and no event its delivery.
pub(super) fn traceparent(read: &Read<'_>) -> Option<TraceParent> {
    let found = match read {
        Read::Missing | Read::Other(Kind::Null) => return None,
        Read::Json(json) => serde_json::from_str::<String>(json).ok(),
        _ => None,
    };
    let parsed = found.as_deref().and_then(TraceParent::parse);
    if parsed.is_none() {
        tracing::debug!("an event's traceparent is malformed and left out");
    }
    parsed
}

/// The field's text as far as it could be read.
pub(super) fn take(reads: &mut Reads<'_>, field: Field) -> Option<String> {
    match std::mem::take(&mut reads.slots[field as usize]) {
        Read::Text(text) => Some(text.into_owned()),
        _ => None,
    }
}

struct Check<'c, 'a> {
    schema: &'c Schema,
    problems: &'c mut Vec<Problem>,
    /// The pointers of objects that are something else, so that each is told once.
    blocked: Vec<&'a str>,
}

impl<'a> Check<'_, 'a> {
    fn text<'r>(&mut self, slot: usize, read: &'r Read<'a>) -> Option<&'r Cow<'a, str>> {
        if let Read::Text(text) = read {
            return Some(text);
        }
        self.wrong(slot, "a string", read);
        None
    }

    fn spec_version(&mut self, read: &Read<'a>) {
        if self.schema.spec_version.is_none() {
            return;
        }
        if let Some(text) = self.text(SPEC_VERSION, read).filter(|text| *text != SPEC_VERSION_KNOWN) {
            self.problems
                .push(Problem::SpecVersion { pointer: self.pointer(SPEC_VERSION), text: excerpt(text) });
        }
    }

    fn time(&mut self, read: &Read<'a>) -> Option<UnixMillis> {
        let slot = Field::OccurredAt as usize;
        let text = self.text(slot, read)?;
        unix_millis(text)
            .map_err(|why| {
                let (pointer, text) = (self.pointer(slot), excerpt(text));
                self.problems.push(Problem::Time { pointer, text, why });
            })
            .ok()
    }

    fn wrong(&mut self, slot: usize, wanted: &'static str, read: &Read<'a>) {
        let pointer = self.pointer(slot);
        self.problems.push(match read {
            Read::Missing => Problem::Missing { pointer },
            Read::Text(_) => Problem::WrongType { pointer, wanted, found: Kind::String },
            Read::Integer(value) => Problem::IsNumber { pointer, wanted, value: *value },
            // No field that may be wrong is read like this.
            Read::Json(_) => return,
            Read::Other(found) => Problem::WrongType { pointer, wanted, found: *found },
            Read::Blocked(object, found) => {
                if self.blocked.contains(object) {
                    return;
                }
                self.blocked.push(object);
                match *object {
                    "" => Problem::NotAnObject { found: *found },
                    object => {
                        Problem::WrongType { pointer: object.to_owned(), wanted: "an object", found: *found }
                    }
                }
            }
            // The duplicate key itself has been told.
            Read::Ambiguous => return,
        });
    }

    fn pointer(&self, slot: usize) -> String {
        pointer(self.schema, slot).to_owned()
    }
}
