//! Splits a record into its events: the elements of an array, which the record is or has at the schema's pointer.
//!
//! Each event has the record's position with its own index, and its own bytes as they are in the record, shared with it;
//! what it lacks and the record has beside the array is put in (`enclosing`). A record that is one event, or cannot be
//! split, stays whole: then `Decode` says what is wrong with it.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Decode, RecordFormat, depth, pointer::index, problem::Problem, text};
use crate::{excerpt::excerpt, models::RawRecord};

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// What splits records, by the schema of a [`Decode`]; by none, it leaves each whole.
#[derive(Clone, Debug, Default)]
pub struct Split {
    format: Option<Arc<ArcSwap<RecordFormat>>>,
}

/// The events of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Events {
    /// The record itself.
    One(RawRecord),
    /// At least one, each with its index.
    Several(Vec<RawRecord>),
    /// The record is an array, or has one, that is empty.
    Nothing(RawRecord),
}

impl Split {
    /// Splits by the schema of `decode`, also after that is replaced.
    #[must_use]
    pub fn by(decode: &Decode) -> Self {
        Self { format: Some(decode.format.clone()) }
    }

    /// The events of `raw`. A byte order mark before it is left out, as a reader may (RFC 8259, section 8.1).
    #[must_use]
    pub fn events(&self, mut raw: RawRecord) -> Events {
        let Some(format) = &self.format else { return Events::One(raw) };
        if raw.unreadable.is_none() && raw.bytes.starts_with(BYTE_ORDER_MARK) {
            raw.bytes = raw.bytes.slice(BYTE_ORDER_MARK.len()..);
            raw.full_len = raw.full_len.saturating_sub(BYTE_ORDER_MARK.len() as u64);
        }
        match format.load().elements(&raw) {
            Ok(Some(elements)) if elements.is_empty() => Events::Nothing(raw),
            Ok(Some(elements)) => Events::Several(each(&raw, elements)),
            Ok(None) | Err(_) => Events::One(raw),
        }
    }
}

fn each(raw: &RawRecord, elements: Vec<Bytes>) -> Vec<RawRecord> {
    let of = |(at, bytes): (u32, Bytes)| RawRecord {
        position: raw.position.of_event(at),
        full_len: bytes.len() as u64,
        bytes,
        read_at: raw.read_at,
        unreadable: None,
        // That of the record is not that of each of its events.
        id: None,
        traceparent: raw.traceparent.clone(),
    };
    (0..).zip(elements).map(of).collect()
}

impl RecordFormat {
    /// The bytes of each event of `raw`; none if it is not to be split.
    pub(super) fn elements(&self, raw: &RawRecord) -> Result<Option<Vec<Bytes>>, Problem> {
        if raw.position.index.is_some() || raw.unreadable.is_some() || raw.is_cut() {
            return Ok(None);
        }
        let is_array = raw.bytes.trim_ascii_start().first() == Some(&b'[');
        if !is_array && self.schema.events.is_none() {
            return Ok(None);
        }
        let whole = text(&raw.bytes)?;
        let max = self.schema.depth_max;
        // The array around events is not part of them.
        if depth::exceeds(whole.as_bytes(), max.saturating_add(1)) {
            return Err(Problem::TooDeep { max });
        }
        let max = self.schema.events_max;
        let Some(pointer) = &self.schema.events else { return elements(&raw.bytes, 0..raw.bytes.len(), max) };
        let mut added = 0;
        if !is_array {
            return self.under(&raw.bytes, &pointer.keys, max, &mut added);
        }
        // An array of records, each of which may have several events.
        let Some(records) = elements(&raw.bytes, 0..raw.bytes.len(), max)? else { return Ok(None) };
        let mut all = Vec::new();
        for record in records {
            match self.under(&record, &pointer.keys, max, &mut added)? {
                Some(events) => all.extend(events),
                None => all.push(record),
            }
            if all.len() > max {
                return Err(Problem::TooManyEvents { max });
            }
        }
        Ok(Some(all))
    }

    /// Why a record that should have an array of events is none; none if the schema names no such array, or it is not that.
    pub(super) fn no_events(&self, raw: &RawRecord) -> Option<Problem> {
        let pointer = self.schema.events.as_ref().filter(|_| raw.position.index.is_none())?;
        if !matches!(self.elements(raw), Ok(None)) || raw.is_cut() || raw.unreadable.is_some() {
            return None;
        }
        let found = match find(&raw.bytes, &pointer.keys).ok()? {
            None => "is not there",
            Some((base, range)) => match base[range].trim_ascii_start().first() {
                Some(b'n') => "is null, and no array",
                Some(b'"') => "is a string, and no array",
                Some(b't' | b'f') => "is a boolean, and no array",
                _ => "is a number, and no array",
            },
        };
        Some(Problem::NoEvents { pointer: pointer.text.clone(), found })
    }

    /// The events at the end of `keys`, each with what it lacks and `record` has, which is `added`.
    fn under(
        &self,
        record: &Bytes,
        keys: &[String],
        max: usize,
        added: &mut usize,
    ) -> Result<Option<Vec<Bytes>>, Problem> {
        let Some((base, array)) = find(record, keys)? else { return Ok(None) };
        let Some(events) = elements(&base, array, max)? else { return Ok(None) };
        let Some(around) = self.enclosing(record) else { return Ok(Some(events)) };
        self.completed(events, &around, added).map(Some)
    }
}

/// The digits of the whole number at the end of `keys`, if there is one.
pub(super) fn whole_number(record: &Bytes, keys: &[String]) -> Option<String> {
    let text = number(record, keys)?;
    let digits = text.strip_prefix('-').unwrap_or(&text);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(text)
}

/// The number at the end of `keys` as it is written, if there is one.
pub(super) fn number(record: &Bytes, keys: &[String]) -> Option<String> {
    let (base, range) = find(record, keys).ok()??;
    let text = str::from_utf8(&base[range]).ok()?.trim();
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit()).then(|| text.to_owned())
}

/// The value at the end of `keys`, as a range of the bytes that hold it: the record's, or those of a text in it.
fn find(record: &Bytes, keys: &[String]) -> Result<Option<(Bytes, std::ops::Range<usize>)>, Problem> {
    let (mut base, mut range) = (record.clone(), 0..record.len());
    for key in keys {
        let Ok(value) = str::from_utf8(&base[range.clone()]) else { return Ok(None) };
        if value.trim_ascii_start().starts_with('"') {
            let Ok(inside) = serde_json::from_str::<String>(value) else { return Ok(None) };
            base = Bytes::from(inside);
            range = 0..base.len();
        }
        let Ok(value) = str::from_utf8(&base[range.clone()]) else { return Ok(None) };
        let mut json = serde_json::Deserializer::from_str(value);
        let found = Member { key }.deserialize(&mut json);
        let (Ok(found), Ok(())) = (found, json.end()) else { return Ok(None) };
        match found {
            Found::Once(member) => range = range_in(&base, member),
            Found::Nothing => return Ok(None),
            Found::Twice => {
                let object = "an object on the way to schema.events".to_owned();
                return Err(Problem::DuplicateKey { key: excerpt(key), object });
            }
        }
    }
    Ok(Some((base, range)))
}

/// The elements of an array, or a single event that stands where an array might; none if it is neither.
fn elements(base: &Bytes, range: std::ops::Range<usize>, max: usize) -> Result<Option<Vec<Bytes>>, Problem> {
    let Ok(value) = str::from_utf8(&base[range.clone()]) else { return Ok(None) };
    match value.trim_ascii_start().as_bytes().first() {
        Some(b'[') => {}
        Some(b'{') => return Ok(Some(vec![base.slice(range)])),
        Some(b'"') => {
            let inside = serde_json::from_str::<String>(value).ok().map(Bytes::from);
            let Some(inside) = inside.filter(|text| text.trim_ascii_start().starts_with(b"[")) else {
                return Ok(None);
            };
            let whole = 0..inside.len();
            return elements(&inside, whole, max);
        }
        _ => return Ok(None),
    }
    let mut json = serde_json::Deserializer::from_str(value);
    let found = Elements { max }.deserialize(&mut json);
    let (Ok(found), Ok(())) = (found, json.end()) else { return Ok(None) };
    match found {
        Some(found) => {
            Ok(Some(found.into_iter().map(|element| base.slice(range_in(base, element))).collect()))
        }
        None => Err(Problem::TooManyEvents { max }),
    }
}

/// Where `part`, which is a part of `base`, stands in it.
fn range_in(base: &Bytes, part: &RawValue) -> std::ops::Range<usize> {
    let part = part.get().as_bytes();
    let at = (part.as_ptr() as usize).saturating_sub(base.as_ptr() as usize);
    at..at + part.len()
}

/// What of a member is there.
enum Found<'de> {
    Nothing,
    Once(&'de RawValue),
    Twice,
}

/// Finds a member of an object, or an element of an array.
struct Member<'k> {
    key: &'k str,
}

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Found<'de>, A::Error> {
        let mut found = Found::Nothing;
        while let Some(key) = members.next_key::<std::borrow::Cow<'de, str>>()? {
            if key != self.key {
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = members.next_value()?;
            found = if matches!(found, Found::Nothing) { Found::Once(value) } else { Found::Twice };
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Found<'de>, A::Error> {
        let (wanted, mut found, mut at) = (index(self.key), Found::Nothing, 0);
        while let Some(value) = items.next_element::<&'de RawValue>()? {
            if Some(at) == wanted {
                found = Found::Once(value);
            }
            at += 1;
        }
        Ok(found)
    }
}

/// Reads an array's elements unparsed; none if there are more than `max`.
struct Elements {
    max: usize,
}

impl<'de> DeserializeSeed<'de> for Elements {
    type Value = Option<Vec<&'de RawValue>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements {
    type Value = Option<Vec<&'de RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = array.next_element()? {
            if elements.len() == self.max {
                while array.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(None);
            }
            elements.push(element);
        }
        Ok(Some(elements))
    }
}
