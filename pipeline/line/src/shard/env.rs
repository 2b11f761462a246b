//! What surrounds the core of a shard in real life, and the answers it gives.

use std::sync::Arc;

use stages::{Ack, Broker, Gate, HealthState, WhenFull};
use state::Clock;
use tokio::time::Instant;

use super::at::{At, Surroundings};
use crate::limits::{Limits, Shared};

/// What a shard works with.
pub(crate) struct Env<Stages> {
    pub(super) stages: Arc<Stages>,
    pub(super) ack: Ack,
    pub(super) clock: Clock,
    pub(super) limits: Limits,
    pub(super) shared: Arc<Shared>,
}

impl<Stages> Env<Stages> {
    /// The present moment.
    pub(super) fn at(&self) -> At<'_> {
        At {
            now: Instant::now(),
            lived: self.clock.monotonic(),
            limits: &self.limits,
            brokers: self.shared.brokers(),
            around: self,
        }
    }
}

/// What is asked of the whole line; what is asked of a broker, the broker answers, whoever drives the core.
pub(crate) trait Pressure {
    /// As [`Surroundings::is_pressed`].
    fn is_pressed(&self) -> bool;
    /// As [`Surroundings::is_contended`].
    fn is_contended(&self) -> bool;
    /// As [`Surroundings::full_letters_room`].
    fn full_letters_room(&self) -> u64;
}

impl<T: Pressure> Surroundings for T {
    fn gate(&self, broker: &Broker, now: Instant) -> Gate {
        broker.health.gate(now)
    }

    fn state(&self, broker: &Broker, now: Instant) -> HealthState {
        broker.health.state(now)
    }

    fn is_paused(&self, broker: &Broker) -> bool {
        broker.health.is_paused()
    }

    fn moves(&self, broker: &Broker) -> u64 {
        broker.health.moves()
    }

    fn concurrency(&self, broker: &Broker) -> usize {
        broker.concurrency()
    }

    fn when_full(&self, broker: &Broker) -> WhenFull {
        broker.when_full()
    }

    fn is_leaving(&self, broker: &Broker) -> bool {
        broker.is_leaving()
    }

    fn is_pressed(&self) -> bool {
        Pressure::is_pressed(self)
    }

    fn is_contended(&self) -> bool {
        Pressure::is_contended(self)
    }

    fn full_letters_room(&self) -> u64 {
        Pressure::full_letters_room(self)
    }
}

impl<Stages> Pressure for Env<Stages> {
    fn is_pressed(&self) -> bool {
        self.shared.is_pressed()
    }

    fn is_contended(&self) -> bool {
        self.shared.is_contended()
    }

    fn full_letters_room(&self) -> u64 {
        self.shared.full_letters_room(self.ack.ledger().store().dead_letters(), &self.limits)
    }
}
