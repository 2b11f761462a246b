//! What a broker's state comes to, in the log: one line when it stops taking what it is given, one when it takes it again,
//! and one when what waited on disk is gone. Flapping between open and half-open is no news.

use stages::HealthState;
use tokio::time::Instant;

use super::slot::Slot;

/// What the log says of a broker so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    in_trouble: bool,
    on_disk: bool,
}

impl Told {
    /// What there is to say of a broker in `state` with so many deliveries on disk.
    fn of(state: HealthState, on_disk: u64) -> Self {
        let in_trouble = matches!(state, HealthState::Open | HealthState::HalfOpen);
        Self { in_trouble, on_disk: on_disk > 0 }
    }
}

impl Slot {
    /// Writes to the log what has changed since it was last asked.
    pub(super) fn tell(&mut self, now: Instant) {
        let health = &self.broker.health;
        let (on_disk, broker) = (self.account.deliveries(), &self.broker.id);
        let told = Told::of(health.state(now), on_disk);
        let before = std::mem::replace(&mut self.told, told);
        if told == before {
            return;
        }
        match (before.in_trouble, told.in_trouble) {
            (false, true) => {
                let cause = health.last_error().map(|error| error.cause).unwrap_or_default();
                tracing::warn!(%broker, cause, on_disk, "the broker takes nothing: its deliveries wait on disk");
            }
            (true, false) => tracing::info!(%broker, on_disk, "the broker takes deliveries again"),
            _ => {}
        }
        if before.on_disk != told.on_disk {
            let what =
                if told.on_disk { "deliveries wait on disk" } else { "nothing waits on disk any more" };
            tracing::info!(%broker, on_disk, "{what}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_breaker_that_is_tried_is_no_news_and_one_that_closes_is() {
        let open = Told::of(HealthState::Open, 3);
        assert_eq!(open, Told::of(HealthState::HalfOpen, 9));
        assert_ne!(open, Told::of(HealthState::Healthy, 3));
        assert_ne!(Told::of(HealthState::Healthy, 3), Told::of(HealthState::Limited, 0));
        assert_eq!(Told::default(), Told::of(HealthState::Paused, 0));
    }
}
