//! The places from which a field can be read: a value, several values, or something beside the record's values.

use std::fmt;

use super::{
    field::Field,
    pointer::{Pointer, PointerFault},
};

/// The most values that can be joined to one.
const JOINED_MAX: usize = 8;

/// One place from which a field can be read. `P` is a pointer, or the text of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place<P = String> {
    /// The value at a JSON pointer.
    Pointer(P),
    /// The values at several pointers, joined: all of them must be there.
    Joined(Vec<P>),
    /// A date, and perhaps a time of day.
    DateTime {
        /// The date.
        date: P,
        /// The time of day; midnight if it is absent.
        time: P,
    },
    /// A header that came beside the record, by its name in small letters.
    Header(String),
    /// The digest of the event's bytes.
    Digest,
    /// The time at which the event is read.
    Reading,
}

/// The places of one field, in the order of preference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Places(pub(super) Vec<Place<Pointer>>);

impl Places {
    /// The most places of one field: feeds have a few forms, not dozens.
    pub(super) const MAX: usize = 8;

    pub(super) fn one(place: Place<Pointer>) -> Self {
        Self(vec![place])
    }

    /// All pointers.
    pub(super) fn pointers(&self) -> impl Iterator<Item = &Pointer> {
        self.0.iter().flat_map(Place::pointers)
    }
}

impl Place<Pointer> {
    fn pointers(&self) -> Vec<&Pointer> {
        match self {
            Self::Pointer(pointer) => vec![pointer],
            Self::Joined(all) => all.iter().collect(),
            Self::DateTime { date, time } => vec![date, time],
            Self::Header(_) | Self::Digest | Self::Reading => Vec::new(),
        }
    }
}

impl Place<&str> {
    /// The place with its pointers parsed; else the first text that is none.
    pub(super) fn parse(&self) -> Result<Place<Pointer>, (String, PointerFault)> {
        let pointer = |text: &str| Pointer::parse(text).map_err(|fault| (text.to_owned(), fault));
        Ok(match self {
            Self::Pointer(text) => Place::Pointer(pointer(text)?),
            Self::Joined(all) => {
                Place::Joined(all.iter().map(|text| pointer(text)).collect::<Result<_, _>>()?)
            }
            Self::DateTime { date, time } => Place::DateTime { date: pointer(date)?, time: pointer(time)? },
            Self::Header(name) => Place::Header(name.to_ascii_lowercase()),
            Self::Digest => Place::Digest,
            Self::Reading => Place::Reading,
        })
    }
}

/// What a field can be read from, besides a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// Joined values, a header, or the digest.
    Id,
    /// Joined values.
    Text,
    /// A date and a time, or the time of reading.
    Time,
    /// Nothing else.
    Value,
}

impl Takes {
    pub(super) fn of(field: Field) -> Self {
        match field {
            Field::EventId => Self::Id,
            Field::LoadId | Field::Status => Self::Text,
            Field::OccurredAt => Self::Time,
            Field::Sequence | Field::TraceParent => Self::Value,
        }
    }

    pub(super) fn includes(self, place: &Place<&str>) -> bool {
        match place {
            Place::Pointer(_) => true,
            Place::Joined(all) => {
                matches!(self, Self::Id | Self::Text) && (1..=JOINED_MAX).contains(&all.len())
            }
            Place::Header(name) => self == Self::Id && !name.is_empty(),
            Place::Digest => self == Self::Id,
            Place::DateTime { .. } | Place::Reading => self == Self::Time,
        }
    }

    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::Id => "pointers, 1 to 8 joined values, a header, or the digest",
            Self::Text => "pointers, or 1 to 8 joined values",
            Self::Time => "pointers, a date and a time, or the time of reading",
            Self::Value => "pointers",
        }
    }
}

impl fmt::Display for Place<&str> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pointer(text) => f.write_str(text),
            Self::Joined(all) => write!(f, "{} joined values", all.len()),
            Self::DateTime { .. } => f.write_str("a date and a time"),
            Self::Header(name) => write!(f, "the header {name}"),
            Self::Digest => f.write_str("the digest"),
            Self::Reading => f.write_str("the time of reading"),
        }
    }
}
