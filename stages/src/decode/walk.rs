//! One pass over a record's JSON that keeps the wanted values and skips the rest.
//!
//! Enters: the tree of paths and serde's events. Leaves: what stood in each slot. No value tree is built, strings
//! are borrowed where they have no escapes, and no number but a wanted one is ever converted. Recursion goes as deep
//! as the configured pointers and no deeper.

use std::{borrow::Cow, fmt};

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use serde_json::value::RawValue;

use super::paths::{Node, SLOTS, TRACE_PARENT, Target};

/// Up to so many keys are compared each with each, which beats sorting them.
const COMPARED_MAX: usize = 24;

/// What stood where a field was looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Read<'a> {
    /// Nothing.
    #[default]
    Missing,
    /// A string.
    Text(Cow<'a, str>),
    /// An unsigned integer.
    Integer(u64),
    /// A value as it was written, for a field in which nothing can be wrong.
    Json(&'a str),
    /// A value of a type no field has.
    Other(Kind),
    /// An object on the way, at this pointer, was something else.
    Blocked(&'a str, Kind),
    /// A key on the way occurs twice, so that readers may differ.
    Ambiguous,
}

/// A JSON type, as it stands in messages.
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

/// All that was read from one record.
#[derive(Debug, Default)]
pub(super) struct Reads<'a> {
    pub(super) slots: [Read<'a>; SLOTS],
    /// The first key found twice in an object that was entered, and that object's pointer.
    pub(super) duplicate: Option<(&'a str, Cow<'a, str>)>,
}

impl<'a> Reads<'a> {
    fn fill(&mut self, slots: &[usize], read: &Read<'a>) {
        for &slot in slots {
            self.slots[slot].clone_from(read);
        }
    }

    fn note_duplicates(&mut self, node: &'a Node, mut keys: Vec<Cow<'a, str>>) {
        if keys.len() <= COMPARED_MAX && !repeats(&keys) {
            return;
        }
        keys.sort_unstable();
        for pair in keys.windows(2).filter(|pair| pair[0] == pair[1]) {
            if let Some(target) = node.member(&pair[0]) {
                self.fill(target.slots(), &Read::Ambiguous);
            }
            self.duplicate.get_or_insert_with(|| (&node.pointer, pair[0].clone()));
        }
    }
}

fn repeats(keys: &[Cow<'_, str>]) -> bool {
    keys.iter().enumerate().any(|(at, key)| keys[..at].iter().any(|before| before == key))
}

/// Reads one value into the slots of `target`.
pub(super) struct Walk<'w, 'a> {
    pub(super) target: &'a Target,
    pub(super) reads: &'w mut Reads<'a>,
}

impl<'a> Walk<'_, 'a> {
    fn keep(self, kind: Kind, read: Read<'a>) {
        match self.target {
            Target::Value(slot) => self.reads.slots[*slot] = read,
            Target::Object(node) => self.reads.fill(&node.slots, &Read::Blocked(&node.pointer, kind)),
        }
    }
}

impl<'a> DeserializeSeed<'a> for Walk<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        // Looked into later: half a surrogate pair in it must not refuse the record.
        if let Target::Value(TRACE_PARENT) = self.target {
            let json = <&RawValue>::deserialize(deserializer)?.get();
            let read = if json == "null" { Read::Other(Kind::Null) } else { Read::Json(json) };
            self.reads.slots[TRACE_PARENT] = read;
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
        self.keep(Kind::String, Read::Text(Cow::Borrowed(text)));
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.keep(Kind::String, Read::Text(Cow::Owned(text.to_owned())));
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.keep(Kind::Number, Read::Integer(number));
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.keep(Kind::Number, Read::Other(Kind::Number));
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.keep(Kind::Number, Read::Other(Kind::Number));
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
        while items.next_element::<IgnoredAny>()?.is_some() {}
        self.keep(Kind::Array, Read::Other(Kind::Array));
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(self, mut members: A) -> Result<(), A::Error> {
        let Target::Object(node) = self.target else {
            while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            self.keep(Kind::Object, Read::Other(Kind::Object));
            return Ok(());
        };
        let mut keys = Vec::with_capacity(COMPARED_MAX);
        while let Some(Key(key)) = members.next_key()? {
            match node.member(&key) {
                Some(target) => members.next_value_seed(Walk { target, reads: &mut *self.reads })?,
                None => _ = members.next_value::<IgnoredAny>()?,
            }
            keys.push(key);
        }
        self.reads.note_duplicates(node, keys);
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
