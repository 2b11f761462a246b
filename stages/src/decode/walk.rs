//! Reads a record's JSON in one pass, keeps the wanted values and skips the rest.
//!
//! No value tree is built, strings without escapes are borrowed, and only wanted numbers are converted. A text on the
//! way to a field is read as the JSON it holds. Recursion goes no deeper than the configured pointers, and a text counts
//! as one level more.

use std::{borrow::Cow, fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::{
    depth,
    paths::{Node, Target},
};

/// Up to this many keys are compared in pairs, which is faster than sorting, and kept without an allocation.
const COMPARED_MAX: usize = 24;

/// As many values are kept without an allocation: those of the presets.
const SLOTS: usize = 9;

/// What was found at a pointer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Read<'a> {
    /// Nothing.
    #[default]
    Missing,
    /// A string.
    Text(Cow<'a, str>),
    /// An unsigned integer.
    Integer(u64),
    /// An integer below zero.
    Negative(i64),
    /// A number with a fraction or an exponent, or beyond 64 bits.
    Float(f64),
    /// The unparsed value, for a field that is not validated.
    Json(Cow<'a, str>),
    /// A value of a type no field has.
    Other(Kind),
    /// A value on the way, at this pointer, is not what has members.
    Blocked(Arc<str>, Kind),
    /// A key on the way occurs twice, so that parsers may disagree.
    Ambiguous,
}

/// A JSON type, as named in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        })
    }
}

impl Read<'_> {
    fn into_owned(self) -> Read<'static> {
        match self {
            Self::Missing => Read::Missing,
            Self::Text(text) => Read::Text(Cow::Owned(text.into_owned())),
            Self::Integer(number) => Read::Integer(number),
            Self::Negative(number) => Read::Negative(number),
            Self::Float(number) => Read::Float(number),
            Self::Json(json) => Read::Json(Cow::Owned(json.into_owned())),
            Self::Other(kind) => Read::Other(kind),
            Self::Blocked(pointer, kind) => Read::Blocked(pointer, kind),
            Self::Ambiguous => Read::Ambiguous,
        }
    }

    /// Whether there is no value: none at all, or null.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Missing | Self::Other(Kind::Null) | Self::Blocked(_, Kind::Null))
    }
}

/// All that was read from one record.
#[derive(Debug)]
pub(super) struct Reads<'a> {
    pub(super) slots: SmallVec<[Read<'a>; SLOTS]>,
    /// The first key found twice in an object that was entered, and that object's pointer.
    pub(super) duplicate: Option<(Arc<str>, Cow<'a, str>)>,
    depth_max: usize,
}

impl<'a> Reads<'a> {
    /// For so many slots; texts that hold JSON may nest `depth_max` deep.
    pub(super) fn new(slots: usize, depth_max: usize) -> Self {
        let mut all = SmallVec::new();
        all.resize_with(slots, || Read::Missing);
        Self { slots: all, duplicate: None, depth_max }
    }

    fn fill(&mut self, slots: &[usize], read: &Read<'a>) {
        for &slot in slots {
            self.slots[slot].clone_from(read);
        }
    }

    fn note_duplicates(&mut self, node: &Node, keys: &mut [Cow<'a, str>]) {
        if keys.len() <= COMPARED_MAX && !repeats(keys) {
            return;
        }
        keys.sort_unstable();
        for pair in keys.windows(2).filter(|pair| pair[0] == pair[1]) {
            if let Some(target) = node.member(&pair[0]) {
                target.each_slot(&mut |slot| self.slots[slot] = Read::Ambiguous);
            }
            self.duplicate.get_or_insert_with(|| (Arc::clone(&node.pointer), pair[0].clone()));
        }
    }

    /// Reads the JSON that `text` holds into the slots of `node`; false if it holds none.
    fn enter_text(&mut self, target: &Target, text: &str) -> bool {
        let holds_json = text.trim_ascii_start().starts_with(['{', '[']);
        if !holds_json || depth::exceeds(text.as_bytes(), self.depth_max) {
            return false;
        }
        let mut inside = Reads::new(self.slots.len(), self.depth_max);
        let mut json = serde_json::Deserializer::from_str(text);
        let read = Walk { target, reads: &mut inside }.deserialize(&mut json);
        if read.and_then(|()| json.end()).is_err() {
            return false;
        }
        target.each_slot(&mut |slot| self.slots[slot] = std::mem::take(&mut inside.slots[slot]).into_owned());
        if let Some((pointer, key)) = inside.duplicate {
            self.duplicate.get_or_insert((pointer, Cow::Owned(key.into_owned())));
        }
        true
    }
}

fn repeats(keys: &[Cow<'_, str>]) -> bool {
    keys.iter().enumerate().any(|(at, key)| keys[..at].iter().any(|before| before == key))
}

/// Reads one value into the slots of `target`.
pub(super) struct Walk<'w, 'a> {
    pub(super) target: &'w Target,
    pub(super) reads: &'w mut Reads<'a>,
}

impl<'a> Walk<'_, 'a> {
    fn keep(self, kind: Kind, read: Read<'a>) {
        match self.target {
            Target::Value(slot) | Target::Json(slot) => self.reads.slots[*slot] = read,
            // What is no text in base64 has nothing to say.
            Target::Base64(_) => {}
            Target::Node(node) => {
                self.reads.fill(&node.slots, &Read::Blocked(Arc::clone(&node.pointer), kind));
                if let Some(slot) = node.value {
                    self.reads.slots[slot] = read;
                }
            }
        }
    }

    fn keep_text(self, text: Cow<'a, str>) {
        match self.target {
            Target::Node(_) if self.reads.enter_text(self.target, &text) => return,
            Target::Base64(target) => {
                let decoded = BASE64.decode(text.as_bytes()).ok();
                if let Some(decoded) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()) {
                    self.reads.enter_text(target, &decoded);
                }
                return;
            }
            _ => {}
        }
        self.keep(Kind::String, Read::Text(text));
    }
}

impl<'a> DeserializeSeed<'a> for Walk<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        // Parsed later: half a surrogate pair in it must not refuse the record.
        if let Target::Json(slot) = self.target {
            let json = <&RawValue>::deserialize(deserializer)?.get();
            let read = if json == "null" { Read::Other(Kind::Null) } else { Read::Json(json.into()) };
            self.reads.slots[*slot] = read;
            return Ok(());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Walk<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'a str) -> Result<(), E> {
        self.keep_text(Cow::Borrowed(text));
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.keep_text(Cow::Owned(text.to_owned()));
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.keep(Kind::Number, Read::Integer(number));
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.keep(Kind::Number, Read::Negative(number));
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.keep(Kind::Number, Read::Float(number));
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.keep(Kind::Bool, Read::Other(Kind::Bool));
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.keep(Kind::Null, Read::Other(Kind::Null));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<(), A::Error> {
        let node = match self.target {
            Target::Node(node) if node.has_elements() => node,
            _ => {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                self.keep(Kind::Array, Read::Other(Kind::Array));
                return Ok(());
            }
        };
        let (mut wanted, mut at) = (node.elements().peekable(), 0);
        loop {
            let found = match wanted.next_if(|(index, _)| *index == at) {
                Some((_, target)) => {
                    items.next_element_seed(Walk { target, reads: &mut *self.reads })?.is_some()
                }
                None => items.next_element::<IgnoredAny>()?.is_some(),
            };
            if !found {
                return Ok(());
            }
            at += 1;
        }
    }

    fn visit_map<A: MapAccess<'a>>(self, mut members: A) -> Result<(), A::Error> {
        let Target::Node(node) = self.target else {
            while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            self.keep(Kind::Object, Read::Other(Kind::Object));
            return Ok(());
        };
        let mut keys = SmallVec::<[_; COMPARED_MAX]>::new();
        while let Some(Key(key)) = members.next_key()? {
            match node.member(&key) {
                Some(target) => members.next_value_seed(Walk { target, reads: &mut *self.reads })?,
                None => _ = members.next_value::<IgnoredAny>()?,
            }
            keys.push(key);
        }
        self.reads.note_duplicates(node, &mut keys);
        Ok(())
    }
}

/// A member's key, borrowed unless it has escapes; serde's own `Cow` always copies.
struct Key<'a>(Cow<'a, str>);

impl<'a> Deserialize<'a> for Key<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keep;

        impl<'a> Visitor<'a> for Keep {
            type Value = Key<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member's key")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'a str) -> Result<Key<'a>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Key<'a>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Keep)
    }
}
