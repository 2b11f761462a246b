//! Shipment events, as many as are asked for: the same seed gives the same events on every machine. Several loads are under
//! way at once; each goes through its statuses in order and stays at the last one.

use std::collections::HashMap;

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

use super::body::{Content, write_body};

/// What loads' ids begin with, one for each region.
const REGIONS: [&str; 4] = ["CHI", "DAL", "ATL", "LAX"];
/// The statuses of a load in their order; the last one is repeated.
const STATUSES: [&str; 5] = ["posted", "matched", "accepted", "in-transit", "delivered"];
/// The shortest and the longest event, in bytes, without the fields of [`MORE`].
const SIZES: [usize; 2] = [230, 400];
/// Fields that some events have.
const MORE: [&str; 3] = [
    r#","reference":12345678901234567890123,"eta" : null"#,
    r#","stops":[{"type":"pickup","city":"Montréal"},{"type":"drop","city":"Laredo","pieces":1e1}]"#,
    r#","position":{"lat":41.850030,"lon":-87.650050},"shipper":"Caf\u00e9 Soleil""#,
];

/// A generated event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShipmentEvent {
    /// The producer's id.
    pub event_id: String,
    /// The load.
    pub load_id: String,
    /// The status.
    pub status: &'static str,
    /// The record, without its line ending.
    pub body: Bytes,
}

/// A producer of events.
#[derive(Debug)]
pub struct Events {
    rng: Xoshiro256PlusPlus,
    seed: u64,
    loads: u64,
    made: u64,
    /// How many events each load has had.
    steps: HashMap<u64, usize>,
}

impl Events {
    /// A producer with this seed, and with so many loads, at least one.
    #[must_use]
    pub fn new(seed: u64, loads: u64) -> Self {
        let rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        Self { rng, seed, loads: loads.max(1), made: 0, steps: HashMap::new() }
    }

    /// The next `count` events.
    pub fn take(&mut self, count: usize) -> Vec<ShipmentEvent> {
        (0..count).map(|_| self.event()).collect()
    }

    fn event(&mut self) -> ShipmentEvent {
        let load = self.rng.random_range(0..self.loads);
        let step = self.steps.entry(load).or_default();
        let status = STATUSES[(*step).min(STATUSES.len() - 1)];
        *step += 1;
        let sequence = *step as u64;
        let load_id = format!("{}-{load:05}", REGIONS[(load % REGIONS.len() as u64) as usize]);
        self.made += 1;
        let event_id = format!("evt-{:x}-{:07}-{:08x}", self.seed, self.made, self.rng.random::<u32>());
        let more: String = MORE.into_iter().filter(|_| self.rng.random_bool(0.6)).collect();
        let [least, longest] = SIZES;
        let content = Content {
            event_id: &event_id,
            load_id: &load_id,
            status,
            sequence,
            more: &more,
            number: self.made,
            size: self.rng.random_range(least..=longest),
        };
        let body = Bytes::from(write_body(&content, &mut self.rng));
        ShipmentEvent { event_id, load_id, status, body }
    }
}

/// The events as NDJSON.
#[must_use]
pub fn lines(events: &[ShipmentEvent]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(events.iter().map(|event| event.body.len() + 1).sum());
    for event in events {
        lines.extend_from_slice(&event.body);
        lines.push(b'\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_events_and_another_seed_other_ones() {
        assert_eq!(Events::new(1, 10).take(50), Events::new(1, 10).take(50));
        assert_ne!(Events::new(1, 10).take(50), Events::new(2, 10).take(50));
    }

    #[test]
    fn an_event_is_json_with_the_fields_it_is_said_to_have() {
        for event in Events::new(3, 5).take(40) {
            let json: serde_json::Value = serde_json::from_slice(&event.body).unwrap();
            assert_eq!(json["eventId"], event.event_id.as_str());
            assert_eq!(json["loadId"], event.load_id.as_str());
            assert_eq!(json["status"], event.status);
            assert_ne!(serde_json::to_vec(&json).unwrap(), event.body, "it must not survive a parser");
        }
    }
}
