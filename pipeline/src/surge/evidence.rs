//! All that is known at the end of one system's run: what was issued, what each broker saw, what the system itself
//! says it could not or did not yet deliver. It is what the oracle judges; it may have been tampered with in a test.

use serde::Serialize;

use super::{millis, profile::BrokerProfile, sighting::Witnessed, stalls::Stalls, traffic::Traffic};
use crate::config::BrokerConfig;

/// The evidence of one run.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// What was issued.
    pub traffic: Traffic,
    /// How much of [`Traffic::log`] was appended: the run may have been cut short.
    pub appended: usize,
    /// The brokers.
    pub brokers: Vec<Witness>,
    /// What the system gave up, by its own account.
    pub dead: Vec<DeadClaim>,
    /// Deliveries the system still holds for later, by its own account: broker and event, by their places.
    pub spilled: Vec<(u16, u32)>,
    /// Records of the log the system has not settled, by its own account: places in [`Traffic::log`] from this one on
    /// may be undelivered. The length of what was appended if it has settled all.
    pub settled_to: usize,
    /// When the system was killed with no warning, in milliseconds from the start of the run.
    pub kills_ms: Vec<u64>,
    /// When the machine, or the simulator, stood still: nobody's times of then are to be trusted.
    pub stalls: Stalls,
    /// Whether the system was stopped because, by its own account, nothing was left to do.
    pub done: bool,
    /// When the run was ended, in milliseconds from its start.
    pub ended_ms: u64,
}

/// One broker: what was agreed with it, and what its receiver saw.
#[derive(Clone, Debug)]
pub struct Witness {
    /// Its id.
    pub id: String,
    /// How many requests a second it may be sent, failed ones included.
    pub rate: f64,
    /// How many at once after a quiet time.
    pub burst: u32,
    /// How long a sender waits for its answer, in milliseconds.
    pub timeout_ms: u64,
    /// Whether its receiver was well throughout: such a broker must notice nothing of the others' trouble.
    pub well: bool,
    /// What it saw.
    pub saw: Witnessed,
}

impl Witness {
    /// What Loadline's config says was agreed with `broker`, whose part in the run is `part`, and what it saw.
    #[must_use]
    pub fn of(broker: &BrokerConfig, part: &BrokerProfile, saw: Witnessed) -> Self {
        Self {
            id: broker.id.clone(),
            rate: broker.rate,
            burst: broker.burst,
            timeout_ms: millis(broker.timeout),
            well: part.is_well(),
            saw,
        }
    }
}

/// Something a system says it gave up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeadClaim {
    /// The broker, by its place; none if the record never became an event.
    pub broker: Option<u16>,
    /// The event, by its place; none if it is not one.
    pub event: Option<u32>,
    /// Why.
    pub cause: String,
    /// The digest of the bytes that were kept with it.
    #[serde(skip)]
    pub digest: state::BodyDigest,
}
