//! Puts traffic together record by record, as a log has it. What a record is follows from its id and its bytes: the first
//! one with an id is the event, the same bytes again are a producer's retry, other bytes a conflict.

use std::collections::HashMap;

use bytes::Bytes;

use super::{Entry, Form, SimEvent, Traffic};

/// Traffic to which records are appended.
#[derive(Debug, Default)]
pub struct TrafficLog {
    traffic: Traffic,
    /// The event with each id, by its place.
    places: HashMap<String, u32>,
}

impl TrafficLog {
    /// Appends a record of `event` at `at_ms`, which is not before that of an earlier record.
    pub fn append(&mut self, at_ms: u64, event: SimEvent) {
        let body = event.body.clone();
        let events = &mut self.traffic.events;
        let next = u32::try_from(events.len()).unwrap_or(u32::MAX);
        let place = *self.places.entry(event.id.clone()).or_insert(next);
        let form = if place == next {
            events.push(event);
            Form::First
        } else if events[place as usize].body == body {
            Form::ProducerRetry
        } else {
            Form::Conflict
        };
        self.traffic.log.push(Entry { at_ms, event: Some(place), form, body });
    }

    /// Appends a record at `at_ms` that is no event.
    pub fn append_garbage(&mut self, at_ms: u64, body: Bytes) {
        self.traffic.log.push(Entry { at_ms, event: None, form: Form::Garbage, body });
    }

    /// The traffic.
    #[must_use]
    pub fn finish(self) -> Traffic {
        self.traffic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_what_its_id_and_its_bytes_say() {
        let event = |id: &str, body: &'static str| {
            SimEvent::new(id.to_owned(), "L".into(), Bytes::from_static(body.as_bytes()), [0].into())
        };
        let mut log = TrafficLog::default();
        for (id, body) in [("a", "1"), ("b", "2"), ("a", "1"), ("b", "3")] {
            log.append(0, event(id, body));
        }
        log.append_garbage(5, Bytes::from_static(b"{"));
        let traffic = log.finish();
        let forms: Vec<_> = traffic.log.iter().map(|entry| (entry.event, entry.form)).collect();
        let expected = [
            (Some(0), Form::First),
            (Some(1), Form::First),
            (Some(0), Form::ProducerRetry),
            (Some(1), Form::Conflict),
            (None, Form::Garbage),
        ];
        assert_eq!((forms.as_slice(), traffic.events.len()), (&expected[..], 2));
    }
}
