//! The simulated brokers: each answers 200 after a while, or not at all while it is dead.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode};
use stages::{
    models::Delivery,
    simulation::{Answer, Receivers},
};
use tokio::time::{Instant, sleep};

use super::plan::{BEFORE, Plan};

/// All brokers of a plan that began at `start`.
pub(super) struct Brokers {
    pub(super) plan: Arc<Plan>,
    pub(super) start: Instant,
}

impl Receivers for Brokers {
    async fn post(&self, delivery: &Delivery, _: &HeaderMap) -> Answer {
        match self.answers_in(delivery.broker.ordinal) {
            Some(after) => sleep(after).await,
            None => std::future::pending().await,
        }
        Answer::Status(StatusCode::OK, None)
    }
}

impl Brokers {
    /// How long the broker takes for the answer to a request that comes now.
    fn answers_in(&self, broker: usize) -> Option<Duration> {
        let broker = &self.plan.brokers[broker];
        if (BEFORE..self.plan.surge_end()).contains(&self.start.elapsed()) {
            broker.answers_in()
        } else {
            Some(broker.latency)
        }
    }
}
