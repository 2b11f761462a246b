//! A shipment event before and after its rules were checked.

use std::sync::Arc;

use state::{Event, TraceParent, UnixMillis};

use super::RawRecord;

/// A record that has the shape of an event: every field is there with the right type, no value has been judged.
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
    /// When the change happened, by the producer's clock.
    pub occurred_at: UnixMillis,
    /// The producer's own count of the load's events.
    pub sequence: Option<u64>,
    /// Its place in a distributed trace; none if it names none, or a malformed one.
    pub traceparent: Option<TraceParent>,
}

/// An event that has passed every rule: only `Validate` makes one, or the spill gives one back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidEvent(Arc<Event>);

impl ValidEvent {
    /// For `Validate`, and for deliveries that come back from the spill, where only valid events go.
    pub(crate) fn new(event: Event) -> Self {
        Self(Arc::new(event))
    }

    /// The same with this place in a trace.
    pub(crate) fn in_trace(mut self, traceparent: Option<TraceParent>) -> Self {
        Arc::make_mut(&mut self.0).traceparent = traceparent;
        self
    }

    /// The event itself.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.0
    }
}
