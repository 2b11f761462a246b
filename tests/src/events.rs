//! Shipment events from a seed: a number enters, the same events leave on every machine. They look like a producer's:
//! more fields than Loadline reads, numbers and texts that change if they are parsed and written again, several loads
//! under way at once, each going through its statuses in order.

use std::{collections::HashMap, fmt::Write as _};

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

/// What loads' ids begin with, one for each region.
const REGIONS: [&str; 4] = ["CHI", "DAL", "ATL", "LAX"];
/// The statuses of a load in their order; the last one is repeated.
const STATUSES: [&str; 5] = ["posted", "matched", "accepted", "in-transit", "delivered"];

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
    dice: Xoshiro256PlusPlus,
    seed: u64,
    loads: u64,
    made: u64,
    sequences: HashMap<u64, usize>,
}

impl Events {
    /// A producer with this seed, and about so many loads under way.
    #[must_use]
    pub fn new(seed: u64, loads: u64) -> Self {
        Self {
            dice: Xoshiro256PlusPlus::seed_from_u64(seed),
            seed,
            loads: loads.max(1),
            made: 0,
            sequences: HashMap::new(),
        }
    }

    /// The next `count` events.
    pub fn take(&mut self, count: usize) -> Vec<ShipmentEvent> {
        (0..count).map(|_| self.make()).collect()
    }

    fn make(&mut self) -> ShipmentEvent {
        let load = self.dice.random_range(0..self.loads);
        let sequence = self.sequences.entry(load).or_default();
        let status = STATUSES[(*sequence).min(STATUSES.len() - 1)];
        *sequence += 1;
        let sequence = *sequence;
        let region = usize::try_from(load).expect("a small number") % REGIONS.len();
        let load_id = format!("{}-{:05}", REGIONS[region], load);
        self.made += 1;
        let event_id = format!("evt-{:x}-{:07}-{:08x}", self.seed, self.made, self.dice.random::<u32>());
        let body = self.body(&event_id, &load_id, status, sequence);
        ShipmentEvent { event_id, load_id, status, body }
    }

    fn body(&mut self, event_id: &str, load_id: &str, status: &str, sequence: usize) -> Bytes {
        let (hour, minute) = (sequence % 24, self.made % 60);
        let dice = &mut self.dice;
        // Written by hand: 1.50 and \u00e9 and the blanks would not survive a parser and a printer.
        let mut body = format!(
            r#"{{"eventId":"{event_id}","loadId":"{load_id}", "status":"{status}","occurredAt":"2025-06-01T{hour:02}:{minute:02}:00.500Z","sequence":{sequence},"rate":{{"currency":"USD","total":{}.50}},"weightLbs":{}"#,
            dice.random_range(400..9_000),
            dice.random_range(1_000..44_000),
        );
        let more: [&str; 4] = [
            r#","shipper":"Caf\u00e9 Soleil","note":"d\u00e9p\u00f4t \/ quai 4""#,
            r#","reference":12345678901234567890123,"eta" : null"#,
            r#","stops":[{"type":"pickup","city":"Montréal"},{"type":"drop","city":"Laredo","pieces":1e1}]"#,
            r#","position":{"lat":41.850030,"lon":-87.650050},"driver":{"id":"DRV-1884"}"#,
        ];
        for text in more {
            if dice.random_bool(0.6) {
                body.push_str(text);
            }
        }
        let _infallible = write!(body, r#","checksum":"{:016x}"}}"#, dice.random::<u64>());
        Bytes::from(body)
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
    fn an_event_is_json_whose_fields_are_what_the_harness_takes_it_for() {
        for event in Events::new(3, 5).take(40) {
            let json: serde_json::Value = serde_json::from_slice(&event.body).unwrap();
            assert_eq!(json["eventId"], event.event_id.as_str());
            assert_eq!(json["loadId"], event.load_id.as_str());
            assert_eq!(json["status"], event.status);
            assert_ne!(serde_json::to_vec(&json).unwrap(), event.body, "it must not survive a parser");
        }
    }
}
