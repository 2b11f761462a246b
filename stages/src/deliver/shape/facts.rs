//! What a request can be made of: the event's fields by name, and anything in its body by JSON pointer.

use std::{borrow::Cow, cell::OnceCell};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Number, Value};
use state::Event;

use super::super::{
    body_error::is_json_pointer,
    placeholders::{Piece, PlaceError, pieces},
};
use crate::{at_pointer::at_pointer, json_value::json_value};

/// From here on a float has no fractions, and not all whole numbers: 2^53.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Why an event cannot be put into the form that its broker asks for. Shows no value of the event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It has no such field, or one that is no text, number or truth value, or empty, or a number that has more than 64 bits.
    #[error("the event has no text or number at {field}, which the request needs")]
    Missing {
        /// The field.
        field: String,
    },
    /// The value would change which path is posted to.
    #[error("the event's {field} cannot stand in a path")]
    NoSegment {
        /// The field.
        field: String,
    },
    /// The URL is too long.
    #[error("the url is longer than {max} bytes with this event's values")]
    UrlTooLong {
        /// The most it may have.
        max: usize,
    },
    /// The template fails.
    #[error("the template fails for this event: {detail}")]
    Template {
        /// What is wrong, without the event's values.
        detail: String,
    },
    /// The template makes something else.
    #[error("what the template makes of this event is not json: {detail}")]
    NotJson {
        /// Where.
        detail: String,
    },
}

/// A field that a place can stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// `eventId`.
    EventId,
    /// `loadId`.
    LoadId,
    /// `status`, by its canonical name.
    Status,
    /// `occurredAt`, in RFC 3339.
    OccurredAt,
    /// `sequence`.
    Sequence,
    /// A JSON pointer into the event's body.
    Pointer(Box<str>),
}

impl Field {
    /// The names, for messages.
    pub const NAMES: &str =
        "loadId, eventId, status, occurredAt, sequence, or a JSON pointer such as /stop/city";

    pub(super) fn of(name: &str) -> Result<Self, PlaceError> {
        Ok(match name {
            "eventId" => Self::EventId,
            "loadId" => Self::LoadId,
            "status" => Self::Status,
            "occurredAt" => Self::OccurredAt,
            "sequence" => Self::Sequence,
            pointer if is_json_pointer(pointer) => Self::Pointer(pointer.into()),
            pointer if pointer.starts_with('/') => {
                return Err(PlaceError::Pointer { pointer: pointer.to_owned() });
            }
            name => return Err(PlaceError::Unknown { name: name.to_owned() }),
        })
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::EventId => "eventId",
            Self::LoadId => "loadId",
            Self::Status => "status",
            Self::OccurredAt => "occurredAt",
            Self::Sequence => "sequence",
            Self::Pointer(pointer) => pointer,
        }
    }
}

/// An event whose body is read when something in it is asked for, and then once.
pub(super) struct Facts<'e> {
    event: &'e Event,
    body: OnceCell<Value>,
}

impl<'e> Facts<'e> {
    pub(super) fn new(event: &'e Event) -> Self {
        Self { event, body: OnceCell::new() }
    }

    pub(super) fn event(&self) -> &'e Event {
        self.event
    }

    /// The body as it was read, without white space around it.
    pub(super) fn original(&self) -> &'e [u8] {
        self.event.body.trim_ascii()
    }

    pub(super) fn body(&self) -> &Value {
        self.body.get_or_init(|| json_value(&self.event.body))
    }

    /// The field as text, never empty.
    pub(super) fn text(&self, field: &Field) -> Result<Cow<'_, str>, Unfit> {
        let found: Option<Cow<'_, str>> = match field {
            Field::EventId => Some((&*self.event.event_id).into()),
            Field::LoadId => Some((&*self.event.load_id).into()),
            Field::Status => Some((&*self.event.status).into()),
            Field::OccurredAt => Some(rfc3339(self.event).into()),
            Field::Sequence => self.event.sequence.map(|number| number.to_string().into()),
            Field::Pointer(pointer) => match at_pointer(self.body(), pointer).map(Cow::into_owned) {
                Some(Value::String(text)) => Some(text.into()),
                Some(Value::Number(number)) if is_exact(&number) => Some(number.to_string().into()),
                Some(Value::Bool(flag)) => Some(flag.to_string().into()),
                None | Some(Value::Number(_) | Value::Null | Value::Array(_) | Value::Object(_)) => None,
            },
        };
        let found = found.filter(|text| !text.is_empty());
        found.ok_or_else(|| Unfit::Missing { field: field.name().to_owned() })
    }
}

/// Whether a number is read as it was written: a whole one of more than 64 bits would be rounded.
fn is_exact(number: &Number) -> bool {
    !number.is_f64() || number.as_f64().is_some_and(|number| number.abs() < EXACT_MAX)
}

/// A text with fields in it, such as `load.{status}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(Box<[TextPiece]>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TextPiece {
    Text(Box<str>),
    Field(Field),
}

impl Text {
    /// Reads a text with places for fields: see [`Field::NAMES`].
    ///
    /// # Errors
    /// A place stands for nothing.
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        let piece = |piece| match piece {
            Piece::Text(text) => Ok(TextPiece::Text(text.into())),
            Piece::Name(name) => Field::of(name).map(TextPiece::Field),
        };
        pieces(text)?.into_iter().map(piece).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn pieces(&self) -> &[TextPiece] {
        &self.0
    }

    pub(super) fn fill(&self, facts: &Facts<'_>) -> Result<String, Unfit> {
        let mut filled = String::new();
        for piece in &self.0 {
            match piece {
                TextPiece::Text(text) => filled.push_str(text),
                TextPiece::Field(field) => filled.push_str(&facts.text(field)?),
            }
        }
        Ok(filled)
    }
}

/// When the event occurred, in RFC 3339 and UTC.
pub(super) fn rfc3339(event: &Event) -> String {
    let millis = i64::try_from(event.occurred_at).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX).to_string()
}

/// `text` as a JSON string.
pub(super) fn json_text(text: &str) -> String {
    Value::from(text).to_string()
}

pub(super) fn join(parts: &[&[u8]]) -> Bytes {
    parts.concat().into()
}
