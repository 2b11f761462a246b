//! The fields that are read from a record.

use std::fmt;

/// What is read from a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// The producer's id of the event, a text or a whole number.
    EventId,
    /// The load that changed, a text or a whole number.
    LoadId,
    /// The load's new status, a text or a whole number.
    Status,
    /// When it changed: a text in a form of ISO 8601, or a number of seconds or milliseconds since 1970.
    OccurredAt,
    /// The producer's own count of the load's events: an unsigned integer below 2^64, null or absent.
    Sequence,
    /// Its place in a distributed trace, a string in the form of W3C Trace Context; anything else counts as absent.
    TraceParent,
}

impl Field {
    /// Every field, in the order in which problems with them are reported.
    pub const ALL: [Self; 6] =
        [Self::EventId, Self::LoadId, Self::Status, Self::OccurredAt, Self::Sequence, Self::TraceParent];

    /// The field's name in the config.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EventId => "event_id",
            Self::LoadId => "load_id",
            Self::Status => "status",
            Self::OccurredAt => "occurred_at",
            Self::Sequence => "sequence",
            Self::TraceParent => "traceparent",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
