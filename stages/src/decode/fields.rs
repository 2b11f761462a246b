//! Makes an event's fields from what was read, or collects everything that is wrong with them. Of a field's places the
//! first that has a value counts.

use std::borrow::Cow;

use state::{BodyDigest, TraceParent, UnixMillis};

use super::{
    field::Field,
    paths::Layout,
    place::Place,
    problem::Problem,
    rfc3339::BadTime,
    time,
    walk::{Kind, Read, Reads},
    zone::Zone,
};
use crate::{excerpt::excerpt, models::RawRecord};

/// The version of CloudEvents that is understood.
const SPEC_VERSION_KNOWN: &str = "1.0";

/// What an id or a status may be.
const TEXT: &str = "a string or a whole number";

/// What stands between joined values; in a value a backslash stands before it, so that no two lists are joined alike.
const JOINT: char = '|';

/// An event's fields, every one with the right type.
pub(super) struct Fields {
    pub(super) event_id: String,
    pub(super) load_id: String,
    pub(super) status: String,
    /// None if the event names no time and needs none.
    pub(super) occurred_at: Option<UnixMillis>,
    pub(super) sequence: Option<u64>,
    pub(super) traceparent: Option<TraceParent>,
}

/// What of an event's ids and status could be read.
#[derive(Default)]
pub(super) struct Found {
    pub(super) event_id: Option<String>,
    pub(super) load_id: Option<String>,
    pub(super) status: Option<String>,
}

/// Takes the fields from `reads`. If there are problems, returns what could be read.
pub(super) fn fields(
    layout: &Layout,
    zone: &Zone,
    raw: &RawRecord,
    reads: &Reads<'_>,
    problems: &mut Vec<Problem>,
) -> Result<Fields, Found> {
    if let Some((object, key)) = &reads.duplicate {
        let object = if object.is_empty() { "the record".to_owned() } else { object.to_string() };
        problems.push(Problem::DuplicateKey { key: excerpt(key), object });
    }
    let mut check = Check { layout, raw, reads, problems, blocked: Vec::new() };
    check.spec_version();
    let mut text = |field| check.text(field);
    let (event_id, load_id, status) = (text(Field::EventId), text(Field::LoadId), text(Field::Status));
    let occurred_at = check.time(zone);
    match (event_id, load_id, status, occurred_at) {
        (Some(event_id), Some(load_id), Some(status), Some(occurred_at)) if problems.is_empty() => {
            let (sequence, traceparent) = (sequence(layout, reads), traceparent(layout, reads));
            Ok(Fields { event_id, load_id, status, occurred_at, sequence, traceparent })
        }
        (event_id, load_id, status, _) => Err(Found { event_id, load_id, status }),
    }
}

/// What could be read of a record with a problem of its own.
pub(super) fn found(layout: &Layout, raw: &RawRecord, reads: &Reads<'_>) -> Found {
    let mut problems = Vec::new();
    let mut check = Check { layout, raw, reads, problems: &mut problems, blocked: Vec::new() };
    // Not the digest: the bytes may be only the beginning, or no event's.
    let mut value = |field| match layout.places(field) {
        [Place::Digest, ..] => None,
        _ => check.text(field),
    };
    Found { event_id: value(Field::EventId), load_id: value(Field::LoadId), status: value(Field::Status) }
}

/// The producer's sequence number. Nothing depends on it, so a malformed one does not reject the event.
fn sequence(layout: &Layout, reads: &Reads<'_>) -> Option<u64> {
    let found = match first_value(layout, Field::Sequence, reads)? {
        Read::Integer(sequence) => Some(*sequence),
        Read::Text(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        _ => None,
    };
    if found.is_none() {
        tracing::debug!("an event's sequence is no unsigned integer below 2^64 and left out");
    }
    found
}

/// The event's place in a trace. A malformed one breaks the trace, but does not reject the event.
pub(super) fn traceparent(layout: &Layout, reads: &Reads<'_>) -> Option<TraceParent> {
    let found = match first_value(layout, Field::TraceParent, reads)? {
        Read::Json(json) => serde_json::from_str::<String>(json).ok(),
        _ => None,
    };
    let parsed = found.as_deref().and_then(TraceParent::parse);
    if parsed.is_none() {
        tracing::debug!("an event's traceparent is malformed and left out");
    }
    parsed
}

/// The first value of a field that is read from values only.
fn first_value<'r, 'a>(layout: &Layout, field: Field, reads: &'r Reads<'a>) -> Option<&'r Read<'a>> {
    let mut values = layout.places(field).iter().filter_map(|place| match place {
        Place::Pointer(slot) => Some(&reads.slots[*slot]),
        _ => None,
    });
    values.find(|read| !read.is_absent())
}

/// A value as text: a string, or a whole number's digits.
fn text<'r>(read: &'r Read<'_>) -> Option<Cow<'r, str>> {
    match read {
        Read::Text(text) => Some(Cow::Borrowed(text)),
        Read::Integer(number) => Some(Cow::Owned(number.to_string())),
        Read::Negative(number) => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}

fn join<'r>(values: impl Iterator<Item = Cow<'r, str>>) -> String {
    let mut joined = String::new();
    for (at, value) in values.enumerate() {
        if at > 0 {
            joined.push(JOINT);
        }
        for character in value.chars() {
            if matches!(character, JOINT | '\\') {
                joined.push('\\');
            }
            joined.push(character);
        }
    }
    joined
}

/// The id of an event whose producer gives none: a digest of its bytes.
fn digest(bytes: &[u8]) -> String {
    let hex = BodyDigest::of(bytes).to_bytes().iter().fold(String::new(), |mut hex, byte| {
        hex.extend([byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')));
        hex
    });
    format!("sha256-{hex}")
}

struct Check<'c, 'r, 'a> {
    layout: &'c Layout,
    raw: &'c RawRecord,
    reads: &'r Reads<'a>,
    problems: &'c mut Vec<Problem>,
    /// The pointers of values on the way that are something else, so that each is reported once.
    blocked: Vec<&'r str>,
}

impl<'r> Check<'_, 'r, '_> {
    /// The field's text from the first place that has one.
    fn text(&mut self, field: Field) -> Option<String> {
        let mut empty = None;
        for place in self.layout.places(field) {
            match self.text_at(place) {
                // Another place may have more; if none has, it is told that the text is empty.
                Some(text) if text.is_empty() => empty = Some(text),
                Some(text) => return Some(text),
                None => {}
            }
        }
        if empty.is_none() {
            self.nowhere(field, TEXT);
        }
        empty
    }

    fn text_at(&self, place: &Place<usize>) -> Option<String> {
        match place {
            Place::Pointer(slot) => text(self.read(*slot)).map(Cow::into_owned),
            Place::Joined(slots) => {
                let whole = |slot: &usize| text(self.read(*slot)).filter(|value| !value.is_empty());
                let values: Option<Vec<_>> = slots.iter().map(whole).collect();
                values.map(|values| join(values.into_iter()))
            }
            Place::Header(_) => self.raw.id.as_deref().map(str::to_owned),
            Place::Digest => Some(digest(&self.raw.bytes)),
            Place::DateTime { .. } | Place::Reading => None,
        }
    }

    /// When the event happened; none in it if it need not say so. Nothing at all if that is wrong.
    fn time(&mut self, zone: &Zone) -> Option<Option<UnixMillis>> {
        let layout = self.layout;
        let places = layout.places(Field::OccurredAt);
        let is_empty = |slot: usize| matches!(self.read(slot), Read::Text(text) if text.trim().is_empty());
        let sole = places.len() == 1;
        for place in places {
            let (slot, moment) = match place {
                Place::Pointer(slot) => (slot, value_time(self.read(*slot), zone)),
                Place::DateTime { date, time } => {
                    (date, parts_time(self.read(*date), self.read(*time), zone))
                }
                Place::Reading => return Some(None),
                _ => continue,
            };
            match moment {
                Some(Ok(moment)) => return Some(Some(moment)),
                Some(Err(_)) if is_empty(*slot) && !sole => {}
                Some(Err(why)) => {
                    let slot = self.at_fault(place, zone).unwrap_or(slot);
                    let (pointer, text) = (self.pointer(*slot), shown(self.read(*slot)));
                    self.problems.push(Problem::Time { pointer, text, why });
                    return None;
                }
                None => {}
            }
        }
        self.nowhere(Field::OccurredAt, "a time, as a string or a number");
        None
    }

    /// The time of day of a date that is right by itself.
    fn at_fault<'p>(&self, place: &'p Place<usize>, zone: &Zone) -> Option<&'p usize> {
        let Place::DateTime { date, time } = place else { return None };
        let noon = Read::Text("12:00".into());
        let date_is_right = matches!(parts_time(self.read(*date), &noon, zone), Some(Ok(_)));
        date_is_right.then_some(time)
    }

    fn spec_version(&mut self) {
        let Some(slot) = self.layout.spec_version else { return };
        match self.read(slot) {
            Read::Text(text) if text == SPEC_VERSION_KNOWN => {}
            Read::Text(text) => {
                let (pointer, text) = (self.pointer(slot), excerpt(text));
                self.problems.push(Problem::SpecVersion { pointer, text });
            }
            _ => self.wrong(slot, "a string"),
        }
    }

    /// Reports that a field has no usable value: what is there instead, or else what is missing.
    fn nowhere(&mut self, field: Field, wanted: &'static str) {
        let mut slots = Vec::new();
        let mut missing = Vec::new();
        for place in self.layout.places(field) {
            match place {
                Place::Pointer(slot) => slots.push(*slot),
                Place::Joined(all) => slots.extend(all),
                Place::DateTime { date, .. } => slots.push(*date),
                Place::Header(name) => missing.push(format!("the header {name}")),
                Place::Digest | Place::Reading => {}
            }
        }
        let usable = |read: &Read<'_>| text(read).is_some_and(|value| !value.is_empty());
        let is_there = |slot: &&usize| {
            let read = &self.reads.slots[**slot];
            !read.is_absent() && text(read).is_none()
        };
        // What stands in a place is told, not that the others are empty.
        let there = slots.iter().find(is_there).copied();
        if let Some(slot) =
            there.or(slots.first().copied().filter(|_| slots.len() == 1 && missing.is_empty()))
        {
            return self.wrong(slot, wanted);
        }
        let empty = slots.iter().filter(|slot| !usable(&self.reads.slots[**slot]));
        missing.splice(0..0, empty.map(|slot| self.layout.pointers[*slot].clone()));
        let pointer = match &missing[..] {
            [one] => one.clone(),
            _ => format!("any of {}", missing.join(", ")),
        };
        self.problems.push(Problem::Missing { pointer });
    }

    fn wrong(&mut self, slot: usize, wanted: &'static str) {
        let pointer = self.pointer(slot);
        let problem = match self.read(slot) {
            Read::Missing => Problem::Missing { pointer },
            Read::Text(_) => Problem::WrongType { pointer, wanted, found: Kind::String },
            Read::Integer(value) => Problem::IsNumber { pointer, wanted, value: *value },
            Read::Negative(_) | Read::Float(_) => Problem::WrongType { pointer, wanted, found: Kind::Number },
            Read::Other(found) => Problem::WrongType { pointer, wanted, found: *found },
            Read::Blocked(object, found) => {
                if self.blocked.contains(&&**object) {
                    return;
                }
                self.blocked.push(object);
                match &**object {
                    "" => Problem::NotAnObject { found: *found },
                    object => {
                        Problem::WrongType { pointer: object.to_owned(), wanted: "an object", found: *found }
                    }
                }
            }
            // Such fields are not validated; the duplicate key itself has been reported.
            Read::Json(_) | Read::Ambiguous => return,
        };
        self.problems.push(problem);
    }

    fn read(&self, slot: usize) -> &'r Read<'r> {
        &self.reads.slots[slot]
    }

    fn pointer(&self, slot: usize) -> String {
        self.layout.pointers[slot].clone()
    }
}

fn value_time(read: &Read<'_>, zone: &Zone) -> Option<Result<UnixMillis, BadTime>> {
    match read {
        Read::Text(text) => Some(time::of_text(text, zone)),
        read => time::of_number(read),
    }
}

fn parts_time(date: &Read<'_>, time: &Read<'_>, zone: &Zone) -> Option<Result<UnixMillis, BadTime>> {
    let date = text(date)?;
    let time = match time {
        Read::Integer(number) => Some(Cow::Owned(time::clock_digits(*number))),
        Read::Text(text) => Some(Cow::Borrowed(&**text)),
        read if read.is_absent() => None,
        _ => return Some(Err(BadTime::Format)),
    };
    Some(time::of_parts(&date, time.as_deref(), zone))
}

fn shown(read: &Read<'_>) -> String {
    match read {
        Read::Other(kind) => format!("is {kind},"),
        Read::Text(text) => excerpt(text),
        Read::Integer(number) => number.to_string(),
        Read::Negative(number) => number.to_string(),
        Read::Float(number) => number.to_string(),
        _ => String::new(),
    }
}
