//! How long each stage takes.

use std::sync::Arc;

use state::Histogram;

/// How long each stage takes, over all brokers.
#[derive(Debug)]
pub struct StageTimes {
    /// Decoding a record.
    pub decode: Arc<Histogram>,
    /// Validating an event.
    pub validate: Arc<Histogram>,
    /// Routing an event.
    pub route: Arc<Histogram>,
    /// Deduplicating a delivery, including the wait for another one of the same event.
    pub dedupe: Arc<Histogram>,
    /// Waiting for the broker's quota.
    pub throttle: Arc<Histogram>,
    /// One exchange with the receiver, whatever its outcome.
    pub deliver: Arc<Histogram>,
    /// From a verdict to its being durable.
    pub ack: Arc<Histogram>,
}

impl StageTimes {
    /// Every stage's name and times, in the order of the line.
    #[must_use]
    pub fn all(&self) -> [(&'static str, &Histogram); 7] {
        [
            ("decode", &self.decode),
            ("validate", &self.validate),
            ("route", &self.route),
            ("dedupe", &self.dedupe),
            ("throttle", &self.throttle),
            ("deliver", &self.deliver),
            ("ack", &self.ack),
        ]
    }
}

impl Default for StageTimes {
    fn default() -> Self {
        let steps = || Arc::new(Histogram::of_steps());
        Self {
            decode: steps(),
            validate: steps(),
            route: steps(),
            dedupe: steps(),
            throttle: steps(),
            deliver: steps(),
            ack: steps(),
        }
    }
}
