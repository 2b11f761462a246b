//! What an event of several takes from the record around it: required fields that it does not have itself, from the same
//! pointers.
//!
//! They are put into the event's own bytes, so that all that is made of these later (requests, dead letters, what is
//! compared for a conflict) has them too. An event that lacks nothing keeps its bytes. An event id is never taken from
//! around the event alone: it would be that of every event in the record.

use bytes::Bytes;

use super::{
    RecordFormat,
    field::Field,
    place::Place,
    pointer::Pointer,
    problem::Problem,
    split::number,
    walk::{Read, Reads},
};
use crate::{excerpt::excerpt, json_value::Members};

/// The longest value that is copied into each event: ids and times are shorter, and a record may have many events.
const VALUE_MAX: usize = 1024;

/// The most bytes that may be put into the events of one record: all of them are in memory at once.
const ADDED_MAX: usize = 16 << 20;

/// The fields that an event must have, so that taking one from around it changes no event that is whole.
const REQUIRED: [Field; 4] = [Field::EventId, Field::LoadId, Field::Status, Field::OccurredAt];

/// The values around a record's events, as JSON, by their slots.
pub(super) struct Enclosing(Vec<Around>);

/// What is around the events in one slot.
enum Around {
    Nothing,
    Value(String),
    /// Several values. The key that is there twice, and the object that has it.
    Ambiguous {
        key: String,
        object: String,
    },
}

/// A value to put into an event: at these keys, this JSON.
type Missing<'k> = (Vec<&'k str>, &'k str);

impl RecordFormat {
    /// The values of `record` that its events may lack; none if there are none.
    pub(super) fn enclosing(&self, record: &Bytes) -> Option<Enclosing> {
        let mut reads = self.reads();
        self.parse_partial(record, &mut reads);
        let duplicate = reads.duplicate.take();
        let ambiguous = || match &duplicate {
            None => Around::Nothing,
            Some((object, key)) => {
                let object = if object.is_empty() { "the record".to_owned() } else { object.to_string() };
                Around::Ambiguous { key: excerpt(key), object }
            }
        };
        let around = |(slot, read): (usize, &Read<'_>)| match read {
            Read::Ambiguous => ambiguous(),
            read => json(read, || self.number_at(record, slot)).map_or(Around::Nothing, Around::Value),
        };
        let values: Vec<_> = reads.slots.iter().enumerate().map(around).collect();
        let is_none = values.iter().all(|around| matches!(around, Around::Nothing));
        (!is_none).then_some(Enclosing(values))
    }

    /// The number in a slot as it is written: read as a float it may have lost digits.
    fn number_at(&self, record: &Bytes, slot: usize) -> Option<String> {
        let pointer = Pointer::parse(&self.layout.pointers[slot]).ok()?;
        number(record, &pointer.keys)
    }

    /// `events`, each with what it lacks and `around` has; `added` counts the bytes that this takes.
    ///
    /// # Errors
    /// [`Problem::DuplicateKey`] if one lacks what is there twice; [`Problem::TooMuchAround`].
    pub(super) fn completed(
        &self,
        events: Vec<Bytes>,
        around: &Enclosing,
        added: &mut usize,
    ) -> Result<Vec<Bytes>, Problem> {
        let mut complete = |event: Bytes| {
            let Some(whole) = self.with_missing(&event, around)? else { return Ok(event) };
            // Also those that change a byte only are a copy.
            *added += whole.len();
            if *added > ADDED_MAX {
                return Err(Problem::TooMuchAround { max: ADDED_MAX });
            }
            Ok(whole)
        };
        events.into_iter().map(&mut complete).collect()
    }

    fn with_missing(&self, event: &Bytes, around: &Enclosing) -> Result<Option<Bytes>, Problem> {
        let mut reads = self.reads();
        self.parse_partial(event, &mut reads);
        let of = |field: Field| lacking(field, self.layout.places(field), &reads, around);
        let mut slots: Vec<_> = REQUIRED.into_iter().flat_map(of).collect();
        slots.sort_unstable();
        slots.dedup();
        let pointer = |slot: &usize| Pointer::parse(&self.layout.pointers[*slot]).ok();
        let pointers: Vec<_> = slots.iter().filter_map(pointer).collect();
        let mut missing: Vec<Missing<'_>> = Vec::new();
        for (pointer, slot) in pointers.iter().zip(&slots) {
            let keys = pointer.keys.iter().map(String::as_str).collect();
            match &around.0[*slot] {
                Around::Value(json) => missing.push((keys, json)),
                Around::Ambiguous { key, object } => {
                    return Err(Problem::DuplicateKey { key: key.clone(), object: object.clone() });
                }
                Around::Nothing => return Ok(None),
            }
        }
        let Ok(event) = str::from_utf8(event) else { return Ok(None) };
        Ok(if missing.is_empty() { None } else { with(event, &missing).map(Bytes::from) })
    }
}

/// A text or a number as JSON; none for all else, and for what is too long. `number` is the number as it is written.
fn json(read: &Read<'_>, number: impl FnOnce() -> Option<String>) -> Option<String> {
    let json = match read {
        Read::Text(text) if !text.is_empty() => serde_json::to_string(text).ok(),
        Read::Integer(number) => Some(number.to_string()),
        Read::Negative(number) => Some(number.to_string()),
        Read::Float(_) => number(),
        _ => None,
    };
    json.filter(|json| json.len() <= VALUE_MAX)
}

/// The slots that the first of `field`'s places lacks of which `around` has all that is lacking; none if the event has a
/// place whole.
fn lacking(field: Field, places: &[Place<usize>], reads: &Reads<'_>, around: &Enclosing) -> Vec<usize> {
    let is_absent = |slot: usize| {
        let read = &reads.slots[slot];
        read.is_absent() || matches!(read, Read::Text(text) if text.is_empty())
    };
    let is_around = |slot: usize| !matches!(around.0[slot], Around::Nothing);
    let has = |place: &Place<usize>| match place {
        Place::Pointer(slot) | Place::DateTime { date: slot, .. } => !is_absent(*slot),
        Place::Joined(all) => !all.iter().any(|slot| is_absent(*slot)),
        Place::Header(_) | Place::Digest => true,
        Place::Reading => false,
    };
    if places.iter().any(has) {
        return Vec::new();
    }
    let is_id = field == Field::EventId;
    let of = |place: &Place<usize>| match place {
        Place::Pointer(slot) => (!is_id && is_around(*slot)).then(|| vec![*slot]),
        Place::Joined(all) => {
            let absent: Vec<_> = all.iter().copied().filter(|slot| is_absent(*slot)).collect();
            let is_whole = absent.iter().all(|slot| is_around(*slot));
            (is_whole && !(is_id && absent.len() == all.len())).then_some(absent)
        }
        Place::DateTime { date, time } => is_around(*date).then(|| {
            let time = Some(*time).filter(|time| is_absent(*time) && is_around(*time));
            [Some(*date), time].into_iter().flatten().collect()
        }),
        Place::Header(_) | Place::Digest | Place::Reading => None,
    };
    places.iter().find_map(of).unwrap_or_default()
}

/// The object `event` with each of `missing`; none if it is no object, or something else stands in the way.
fn with(event: &str, missing: &[Missing<'_>]) -> Option<String> {
    let Members(members) = serde_json::from_str(event).ok()?;
    let mut firsts: Vec<&str> = Vec::new();
    for (keys, _) in missing {
        let first = keys.first()?;
        if !firsts.contains(first) {
            firsts.push(first);
        }
    }
    let (mut added, mut written) = (Vec::new(), Vec::new());
    for first in &firsts {
        if !members.iter().any(|(key, _)| key == first) {
            added.push(member(first, &built(&within(missing, first))?)?);
        }
    }
    for (key, value) in &members {
        let value = value.get();
        let inside = if firsts.contains(&&**key) { within(missing, key) } else { Vec::new() };
        let completed = match value {
            _ if inside.is_empty() => value.to_owned(),
            // An empty text is none.
            "null" | "\"\"" => built(&inside)?,
            _ => with(value, &inside)?,
        };
        written.push(member(key, &completed)?);
    }
    added.extend(written);
    Some(format!("{{{}}}", added.join(",")))
}

/// What is missing below the member `first`.
fn within<'k>(missing: &[Missing<'k>], first: &str) -> Vec<Missing<'k>> {
    let below = missing.iter().filter(|(keys, _)| keys.first() == Some(&first));
    below.map(|(keys, json)| (keys[1..].to_vec(), *json)).collect()
}

/// A value of nothing but what is missing.
fn built(missing: &[Missing<'_>]) -> Option<String> {
    match missing {
        [(keys, json)] if keys.is_empty() => Some((*json).to_owned()),
        _ => with("{}", missing),
    }
}

fn member(key: &str, json: &str) -> Option<String> {
    Some(format!("{}:{json}", serde_json::to_string(key).ok()?))
}

#[cfg(test)]
#[path = "enclosing_tests.rs"]
mod tests;
