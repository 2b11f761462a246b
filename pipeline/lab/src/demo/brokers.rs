//! The brokers of the demo, as data: who wants which events, at what pace, and how each one's receiver behaves.
//! Nobody wants the events of `SEA-` loads with status `matched`, so `examples/events.ndjson` has one event that goes
//! nowhere.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::StatusCode;
use stages::{LoadFilter, Subscription};

use crate::receiver::{Availability, Behaviour, Phase, ReceiverSpec, Recorder, Script};

/// A broker of the demo.
#[derive(Clone, Debug, PartialEq)]
pub struct DemoBroker {
    /// Its name.
    pub id: &'static str,
    /// What is special about it, in a few words.
    pub about: &'static str,
    /// How many deliveries a second it may be given.
    pub rate: u32,
    /// The statuses it wants; none for all.
    pub statuses: &'static [&'static str],
    /// The loads it wants.
    pub loads: Loads,
    /// How its receiver behaves.
    pub script: Script,
}

/// The loads a broker of the demo wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loads {
    /// Every load.
    All,
    /// Loads whose id starts with this.
    Prefix(&'static str),
}

impl DemoBroker {
    /// The secret Loadline and the broker's receiver share, `whsec_…`. It guards nothing: anyone can read it here.
    #[must_use]
    pub fn secret(&self) -> String {
        format!("whsec_{}", STANDARD.encode(format!("{:-<32}", format!("demo-secret-of-{}", self.id))))
    }

    /// Its receiver, on any free port; `recorder` is told of its requests.
    #[must_use]
    pub fn receiver(&self, recorder: Arc<dyn Recorder>) -> ReceiverSpec {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        ReceiverSpec { listen, secrets: vec![self.secret()], script: self.script.clone(), recorder }
    }

    /// Which events it gets.
    #[must_use]
    pub fn subscription(&self) -> Subscription {
        let statuses = self.statuses.iter().map(|&status| Arc::from(status)).collect();
        Subscription {
            statuses: (!self.statuses.is_empty()).then_some(statuses),
            loads: match self.loads {
                Loads::All => LoadFilter::All,
                Loads::Prefix(prefix) => LoadFilter::Prefixes(vec![prefix.to_owned()]),
            },
            ..Subscription::default()
        }
    }
}

/// The demo's twelve brokers: seven that are well and five that are not, each in its own way.
#[must_use]
pub fn brokers() -> Vec<DemoBroker> {
    use Loads::{All, Prefix};
    let mut all = vec![
        broker("amber", "well", 50, &[], Prefix("CHI-"), well(5, 5)),
        broker("basalt", "well", 50, &[], Prefix("DAL-"), well(8, 6)),
        broker("cobalt", "well", 40, &[], Prefix("ATL-"), well(10, 10)),
        broker("dune", "well", 40, &[], Prefix("LAX-"), well(12, 8)),
        broker("ember", "well", 20, &["delivered"], All, well(20, 20)),
        broker("fjord", "well", 100, &["in-transit", "delivered"], All, well(15, 25)),
        broker("kelp", "well", 30, &["accepted"], All, well(6, 4)),
    ];
    all.extend([
        broker("garnet", "slow", 50, &[], Prefix("CHI-"), Script::always(answers_in(300, 120))),
        broker("heath", "throttles", 50, &[], Prefix("DAL-"), throttling()),
        broker("indigo", "flaps", 50, &[], Prefix("ATL-"), flapping()),
        broker("juniper", "down at first", 50, &[], Prefix("LAX-"), down_at_first()),
        broker("lichen", "gone", 50, &["delivered"], Prefix("CHI-"), gone()),
    ]);
    all
}

fn broker(
    id: &'static str,
    about: &'static str,
    rate: u32,
    statuses: &'static [&'static str],
    loads: Loads,
    script: Script,
) -> DemoBroker {
    DemoBroker { id, about, rate, statuses, loads, script }
}

fn answers_in(latency_ms: u64, jitter_ms: u64) -> Behaviour {
    let (latency, jitter) = (Duration::from_millis(latency_ms), Duration::from_millis(jitter_ms));
    Behaviour { latency, jitter, ..Behaviour::default() }
}

fn well(latency_ms: u64, jitter_ms: u64) -> Script {
    Script::always(answers_in(latency_ms, jitter_ms))
}

/// Sends one request in five back for a second.
fn throttling() -> Script {
    let retry_after = Duration::from_secs(1);
    Script::always(Behaviour { throttle_rate: 0.2, retry_after, ..answers_in(10, 10) })
}

/// Well for 700 ms, then nine of ten requests fail for 300 ms, and so on.
fn flapping() -> Script {
    let failing = Behaviour { fail_rate: 0.9, ..answers_in(10, 5) };
    Script {
        first: Phase { behaviour: answers_in(10, 5), lasts: Duration::from_millis(700) },
        then: vec![Phase { behaviour: failing, lasts: Duration::from_millis(300) }],
        repeats: true,
    }
}

/// Refuses connections for three seconds, then is well.
fn down_at_first() -> Script {
    let refusing = Behaviour { availability: Availability::Refusing, ..Behaviour::default() };
    Script {
        first: Phase { behaviour: refusing, lasts: Duration::from_secs(3) },
        then: vec![Phase { behaviour: answers_in(10, 10), lasts: Duration::MAX }],
        repeats: false,
    }
}

/// Says that the endpoint is gone for good.
fn gone() -> Script {
    Script::always(Behaviour { status: StatusCode::GONE, ..answers_in(5, 5) })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{receiver::Keys, traffic::wanted_by};

    const EVENTS: &str = include_str!("../../../../examples/events.ndjson");
    const STATUSES: [&str; 5] = ["matched", "accepted", "in-transit", "in_transit", "delivered"];

    /// The example's events that can be routed: load and canonical status.
    fn events() -> Vec<(String, String)> {
        let lines = EVENTS.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let field = |event: &serde_json::Value, name: &str| Some(event.get(name)?.as_str()?.to_owned());
        lines
            .filter_map(|event| Some((field(&event, "loadId")?, field(&event, "status")?)))
            .filter(|(_, status)| STATUSES.contains(&status.as_str()))
            .map(|(load, status)| (load, status.replace('_', "-")))
            .collect()
    }

    #[test]
    fn every_broker_can_be_set_up() {
        let brokers = brokers();
        assert_eq!(brokers.iter().map(|broker| broker.id).collect::<BTreeSet<_>>().len(), 12);
        for broker in &brokers {
            Keys::new([broker.secret()]).unwrap();
            for phase in broker.script.phases() {
                phase.behaviour.check().unwrap();
            }
        }
    }

    #[test]
    fn every_broker_has_events_in_the_example_and_one_event_has_no_broker() {
        let (brokers, events) = (brokers(), events());
        let subscriptions: Vec<_> = brokers.iter().map(DemoBroker::subscription).collect();
        let wanted: Vec<_> =
            events.iter().map(|(load, status)| wanted_by(&subscriptions, load, status)).collect();
        for (place, broker) in (0..).zip(&brokers) {
            let count = wanted.iter().filter(|wanted| wanted.contains(&place)).count();
            assert!(count >= 5, "{} wants {count} of the example's events", broker.id);
        }
        let unwanted: Vec<_> = events.iter().zip(&wanted).filter(|(_, wanted)| wanted.is_empty()).collect();
        assert_eq!(unwanted.len(), 1);
        assert_eq!(unwanted[0].0, &("SEA-48180".to_owned(), "matched".to_owned()));
    }
}
