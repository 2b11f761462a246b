//! Whether a broker can take deliveries now: circuit breaker, requested pause, disabled or not.

/// A broker's health.
#[derive(Debug)]
pub struct Health;
