//! A shipment event before and after validation.

use std::sync::Arc;

use state::{Event, TraceParent, UnixMillis};

use super::RawRecord;

/// A record with the fields of an event: all present with the right type, no value validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShipmentEvent {
    /// The record it was decoded from: position and original bytes.
    pub raw: RawRecord,
    /// The producer's id of the event.
    pub event_id: String,
    /// The load that changed.
    pub load_id: String,
    /// The status as the producer wrote it.
    pub status: String,
    /// When the change happened, by the producer's clock; none if it names no time and need not.
    pub occurred_at: Option<UnixMillis>,
    /// The producer's own count of the load's events.
    pub sequence: Option<u64>,
    /// Its place in a distributed trace; none if that is absent or malformed.
    pub traceparent: Option<TraceParent>,
}

/// An event that has passed every rule: made by `Validate`, or read from the spill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidEvent(Arc<Event>);

/// Before the name of a source whose letter is sent again by a process that does not hold it.
const LETTER: &str = "letter of ";

impl ValidEvent {
    /// For `Validate`, and for deliveries from the spill, which holds valid events only.
    pub(crate) fn new(event: Event) -> Self {
        Self(Arc::new(event))
    }

    /// This event with this place in a trace.
    pub(crate) fn in_trace(mut self, traceparent: Option<TraceParent>) -> Self {
        Arc::make_mut(&mut self.0).traceparent = traceparent;
        self
    }

    /// This event without its partition: its source is named as that of a letter.
    pub(crate) fn staying(mut self) -> Self {
        let position = &mut Arc::make_mut(&mut self.0).position;
        if !position.source.starts_with(LETTER) {
            position.source = format!("{LETTER}{}", position.source).into();
        }
        self
    }

    /// This event with what `read` has of it and a dead letter has not: when it occurred, and its number.
    pub(crate) fn read_again(mut self, read: &ShipmentEvent) -> Self {
        let event = Arc::make_mut(&mut self.0);
        // One that names no time occurred when it was read.
        event.occurred_at = read.occurred_at.unwrap_or(event.read_at);
        event.sequence = read.sequence;
        self
    }

    /// The event itself.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.0
    }
}
