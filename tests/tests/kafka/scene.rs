//! A log for two brokers that take everything, a few milliseconds after it was sent.

use std::time::Duration;

use lab::receiver::Behaviour;
use tests::{Events, Fleet, Oracle, ShipmentEvent, Wants};

pub(crate) const PARTITIONS: i32 = 6;

pub(crate) struct Scene {
    pub(crate) log: Vec<ShipmentEvent>,
    pub(crate) fleet: Fleet,
    pub(crate) wants: [Wants; 2],
    pub(crate) oracle: Oracle,
}

pub(crate) fn scene(seed: u64, events: usize) -> Scene {
    let log = Events::new(seed, 300).take(events);
    let (fleet, wants) = (Fleet::start(2), [Wants::all(), Wants::all()]);
    // So that there is always something on the wire.
    for tms in fleet.iter() {
        tms.behave(Behaviour { latency: Duration::from_millis(3), ..Behaviour::default() });
    }
    let oracle = Oracle::new(&log, &wants);
    Scene { log, fleet, wants, oracle }
}
