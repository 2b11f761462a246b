//! Where the fields of a delivery stand in a row.

use std::borrow::Cow;

use serde_json::Value;

/// The place of a field: the name of a column or of a member, or a JSON pointer (RFC 6901), which begins with `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The name or the pointer.
    pub place: String,
    /// Whether a row without it is wrong.
    pub needed: bool,
}

impl Column {
    /// The place a user has named: every row must have it.
    #[must_use]
    pub fn named(place: &str) -> Self {
        Self { place: place.to_owned(), needed: true }
    }

    /// The usual place: read where a row has it.
    #[must_use]
    pub fn usual(place: &str) -> Self {
        Self { place: place.to_owned(), needed: false }
    }

    pub(crate) fn value<'r>(&self, row: &'r Value) -> Option<&'r Value> {
        if self.place.starts_with('/') { row.pointer(&self.place) } else { row.get(&self.place) }
    }

    /// The field as text; none if it is not there or empty, an error if it must be there.
    pub(crate) fn text<'r>(&self, row: &'r Value) -> Result<Option<Cow<'r, str>>, String> {
        let text = match self.value(row) {
            Some(Value::String(text)) => Some(Cow::Borrowed(text.as_str())),
            Some(Value::Number(number)) => Some(Cow::Owned(number.to_string())),
            _ => None,
        };
        match text.filter(|text| !text.is_empty() && text != "-") {
            None if self.needed => Err(format!("{} is not there or empty", self.place)),
            text => Ok(text),
        }
    }
}

/// Where the fields of a delivery stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// The event's id.
    pub event_id: Column,
    /// The load.
    pub load_id: Column,
    /// The status the event gives the load.
    pub status: Column,
    /// When the event occurred.
    pub occurred_at: Column,
    /// The producer's number.
    pub sequence: Column,
    /// The broker.
    pub broker: Column,
    /// When the delivery was logged.
    pub time: Column,
    /// The HTTP status of the answer.
    pub answer: Column,
    /// A digest of the body.
    pub digest: Column,
    /// The body itself, from which the event's fields are read instead.
    pub body: Option<Column>,
}

impl Columns {
    /// The fields that every row must have.
    pub(crate) fn needed(&self) -> impl Iterator<Item = &Column> {
        let of_event = [&self.event_id, &self.load_id, &self.status, &self.occurred_at, &self.sequence];
        let of_event = of_event.into_iter().filter(|_| self.body.is_none());
        let others = [&self.broker, &self.time, &self.answer, &self.digest];
        of_event.chain(others).chain(&self.body).filter(|column| column.needed)
    }
}

impl Default for Columns {
    fn default() -> Self {
        Self {
            event_id: Column::named("eventId"),
            load_id: Column::usual("loadId"),
            status: Column::usual("status"),
            occurred_at: Column::usual("occurredAt"),
            sequence: Column::usual("sequence"),
            broker: Column::usual("broker"),
            time: Column::named("time"),
            answer: Column::usual("answer"),
            digest: Column::usual("digest"),
            body: None,
        }
    }
}
