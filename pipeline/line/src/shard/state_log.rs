//! Which changes of a broker's state the log is told: one line when its circuit breaker opens, one when it has closed, and
//! one when deliveries begin to wait on disk or none do any more. Flapping between open and half-open is no news.

use stages::HealthState;

/// What the log says of a broker so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StateLog {
    breaker_open: bool,
    on_disk: bool,
}

/// What is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct News {
    /// Whether the breaker is open now, if that is news.
    pub(crate) breaker_open: Option<bool>,
    /// Whether deliveries wait on disk now, if that is news.
    pub(crate) waits_on_disk: Option<bool>,
    /// How many wait there.
    pub(crate) on_disk: u64,
}

impl StateLog {
    /// Notes that the broker is in `state` and has so many deliveries on disk; gives what is news.
    pub(crate) fn follow(&mut self, state: HealthState, on_disk: u64) -> Option<News> {
        let next = self.next(state, on_disk);
        let before = std::mem::replace(self, next);
        if next == before {
            return None;
        }
        Some(News {
            breaker_open: (before.breaker_open != next.breaker_open).then_some(next.breaker_open),
            waits_on_disk: (before.on_disk != next.on_disk).then_some(next.on_disk),
            on_disk,
        })
    }

    fn next(self, state: HealthState, on_disk: u64) -> Self {
        let breaker_open = match state {
            HealthState::Open | HealthState::HalfOpen => true,
            HealthState::Healthy | HealthState::Limited => false,
            // An operator's or a 410's doing, told by whoever did it: whether it would take any is not known.
            HealthState::Disabled | HealthState::Paused => self.breaker_open,
        };
        Self { breaker_open, on_disk: on_disk > 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_told_once_with_what_waits_on_disk() {
        let mut log = StateLog::default();
        assert_eq!(log.follow(HealthState::Healthy, 0), None);
        let opened = News { breaker_open: Some(true), waits_on_disk: Some(true), on_disk: 3 };
        assert_eq!(
            (log.follow(HealthState::Open, 3), log.follow(HealthState::Open, 4)),
            (Some(opened), None)
        );
        let closed = News { breaker_open: Some(false), waits_on_disk: None, on_disk: 4 };
        assert_eq!(log.follow(HealthState::Healthy, 4), Some(closed));
    }

    #[test]
    fn an_open_breaker_that_is_tried_is_no_news_and_one_that_closes_is() {
        let new = StateLog::default();
        let open = new.next(HealthState::Open, 3);
        assert_eq!(open, open.next(HealthState::HalfOpen, 9));
        assert_ne!(open, open.next(HealthState::Healthy, 3));
        assert_ne!(open, open.next(HealthState::Limited, 0));
        assert_eq!(new, new.next(HealthState::Paused, 0));
    }

    #[test]
    fn a_broker_in_trouble_that_is_paused_or_disabled_does_not_take_deliveries_again() {
        let open = StateLog::default().next(HealthState::Open, 3);
        for state in [HealthState::Paused, HealthState::Disabled] {
            assert_eq!(open.next(state, 3), open);
            assert_ne!(open.next(state, 3).next(HealthState::Healthy, 3), open);
        }
    }
}
