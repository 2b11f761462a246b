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
    /// What there is to say next, of a broker that is in `state` now and has so many deliveries on disk.
    fn next(self, state: HealthState, on_disk: u64) -> Self {
        let in_trouble = match state {
            HealthState::Open | HealthState::HalfOpen => true,
            HealthState::Healthy | HealthState::Limited => false,
            // An operator's or a 410's doing, told by whoever did it: whether it would take any is not known.
            HealthState::Disabled | HealthState::Paused => self.in_trouble,
        };
        Self { in_trouble, on_disk: on_disk > 0 }
    }
}

impl Slot {
    /// Writes to the log what has changed since it was last asked.
    pub(super) fn tell(&mut self, now: Instant) {
        let health = &self.broker.health;
        let (on_disk, broker) = (self.account.deliveries(), &self.broker.id);
        let told = self.told.next(health.state(now), on_disk);
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
        let new = Told::default();
        let open = new.next(HealthState::Open, 3);
        assert_eq!(open, open.next(HealthState::HalfOpen, 9));
        assert_ne!(open, open.next(HealthState::Healthy, 3));
        assert_ne!(open, open.next(HealthState::Limited, 0));
        assert_eq!(new, new.next(HealthState::Paused, 0));
    }

    #[test]
    fn a_broker_in_trouble_that_is_paused_or_disabled_does_not_take_deliveries_again() {
        let open = Told::default().next(HealthState::Open, 3);
        for state in [HealthState::Paused, HealthState::Disabled] {
            assert_eq!(open.next(state, 3), open);
            assert_ne!(open.next(state, 3).next(HealthState::Healthy, 3), open);
        }
    }
}
