//! All that is known at the end of one system's run: what was issued, what each broker saw, what the system itself
//! says it could not or did not yet deliver. It is what the oracle judges; it may have been tampered with in a test.

use serde::Serialize;

use super::{observation::ReceiverLog, stalls::Stalls};
use crate::{BodyDigest, traffic::Traffic};

/// The evidence of one run.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// What was issued.
    pub traffic: Traffic,
    /// How much of [`Traffic::log`] was appended: the run may have been cut short.
    pub appended: usize,
    /// The brokers.
    pub brokers: Vec<BrokerEvidence>,
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

impl Evidence {
    /// The evidence of a run that has read all of `traffic` and says that all is settled and nothing is left to do; what is
    /// known of its brokers is added.
    #[must_use]
    pub fn of_settled(traffic: Traffic) -> Self {
        let records = traffic.log.len();
        Self {
            traffic,
            appended: records,
            brokers: Vec::new(),
            dead: Vec::new(),
            spilled: Vec::new(),
            settled_to: records,
            kills_ms: Vec::new(),
            stalls: Stalls::default(),
            done: true,
            ended_ms: u64::MAX,
        }
    }
}

/// One broker: what was agreed with it, and what its receiver saw.
#[derive(Clone, Debug)]
pub struct BrokerEvidence {
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
    pub received: ReceiverLog,
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
    pub digest: BodyDigest,
}
