//! How a run is doing at one moment, as data: a view into the line enters, plain numbers leave.

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::engine::View;

/// A run at one moment. Each number is exact; together they may be a few events apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Records read in this run.
    pub read: u64,
    /// Records of this run that are settled.
    pub settled: u64,
    /// Where this run took up its source; nothing before that place was open.
    pub resumed_at: Option<u64>,
    /// Everything of the source before this place is settled: bytes of a file, an offset of a log; none until the first
    /// record of the first run is settled.
    pub settled_to: Option<u64>,
    /// Deliveries in memory.
    pub in_flight: u64,
    /// Deliveries that wait on disk.
    pub spilled: u64,
    /// Whether backpressure holds the intake.
    pub held: bool,
    /// The brokers, in config order.
    pub brokers: Vec<BrokerStatus>,
}

/// A broker at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BrokerStatus {
    /// Its id.
    pub id: String,
    /// How it is doing: `healthy`, `limited`, `open`, `half-open` or `disabled`.
    pub state: String,
    /// Attempts made in this run.
    pub attempts: u64,
    /// Events it has taken in this run.
    pub delivered: u64,
    /// Deliveries given up in this run.
    pub dead_letters: u64,
}

impl From<&View> for Status {
    fn from(view: &View) -> Self {
        let (tickets, now) = (view.line.tickets(), Instant::now());
        let settled_to = tickets.watermark().borrow().as_ref().map(|cursor| cursor.offset);
        let settled_to = settled_to.or(view.resumed_at);
        let brokers = view.brokers.iter().map(|broker| BrokerStatus {
            id: broker.id.to_string(),
            state: broker.health.state(now).as_str().to_owned(),
            attempts: broker.health.counts().attempts,
            delivered: broker.tally.delivered.get(),
            dead_letters: broker.tally.dead_letters.get(),
        });
        Self {
            read: tickets.issued(),
            settled: tickets.settled(),
            resumed_at: view.resumed_at,
            settled_to,
            in_flight: view.line.in_flight() as u64,
            spilled: view.line.spilled(),
            held: view.line.is_held(),
            brokers: brokers.collect(),
        }
    }
}
