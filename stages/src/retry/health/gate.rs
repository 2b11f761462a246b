//! What may be started at a broker now, for the scheduler and for operators.

use tokio::time::Instant;

/// What may be started at a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Any number of deliveries.
    Open,
    /// One delivery, after [`Health::begin_probe`](super::Health::begin_probe).
    Probe,
    /// None before this time. Check again then, and whenever a delivery of this broker has ended: an outcome may open
    /// the gate earlier.
    HeldUntil(Instant),
    /// None until [`Health::enable`](super::Health::enable).
    Disabled,
}

/// A broker's state as shown to operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HealthState {
    /// Deliveries are sent.
    Healthy,
    /// The receiver has asked for a pause (`Retry-After` and its like).
    Limited,
    /// The circuit breaker is open.
    Open,
    /// The circuit breaker is half-open: one delivery is sent as a probe.
    HalfOpen,
    /// Nothing is sent until an operator enables it; its deliveries become dead letters.
    Disabled,
    /// Nothing is sent until an operator resumes it; its deliveries wait.
    Paused,
}

impl HealthState {
    /// The state's name in status, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Limited => "limited",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
            Self::Disabled => "disabled",
            Self::Paused => "paused",
        }
    }
}
