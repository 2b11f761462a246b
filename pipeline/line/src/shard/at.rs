//! When a step of the core happens, and what it may ask beside its input.

use stages::{Broker, Gate, HealthState, WhenFull};
use state::UnixMillis;
use tokio::time::Instant;

use crate::limits::Limits;

/// When a step happens, and what it may ask beside its input.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) now: Instant,
    /// The same moment as it is written to disk: see [`state::Clock::lived`].
    pub(crate) lived: UnixMillis,
    pub(crate) limits: &'a Limits,
    /// How many brokers share the line.
    pub(crate) brokers: usize,
    pub(crate) around: &'a dyn Surroundings,
}

/// What a step may ask: the answers are inputs like any other, asked for only where they count. Health is shared with
/// attempts and operators on other threads, so an answer holds for this step alone.
pub(crate) trait Surroundings {
    /// What `broker` may be given now.
    fn gate(&self, broker: &Broker, now: Instant) -> Gate;
    /// How `broker` is doing, for the log.
    fn state(&self, broker: &Broker, now: Instant) -> HealthState;
    /// Whether an operator has paused `broker`.
    fn is_paused(&self, broker: &Broker) -> bool;
    /// How often the config has sent `broker` elsewhere.
    fn moves(&self, broker: &Broker) -> u64;
    /// How many deliveries `broker` may have on the wire.
    fn concurrency(&self, broker: &Broker) -> usize;
    /// What becomes of the deliveries of `broker` that find no room on disk.
    fn when_full(&self, broker: &Broker) -> WhenFull;
    /// Whether the config does not name `broker` any more.
    fn is_leaving(&self, broker: &Broker) -> bool;
    /// Whether backpressure holds the intake.
    fn is_pressed(&self) -> bool;
    /// Whether anyone waits for what a delivery in memory holds: the intake or a read.
    fn is_contended(&self) -> bool;
    /// How many bytes of dead letters full disk queues may still make.
    fn full_letters_room(&self) -> u64;
}
