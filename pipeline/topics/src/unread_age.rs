//! The age of the oldest unread record, from polls of the log's end. A record below an end has been there since that
//! end was seen, whatever time its producer gives, and even if nothing has been read yet.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// The precision of the age, as one part in this many: the older the record, the fewer ends are stored. For a lag
/// that grows for a year they are about 400.
const PARTS: u32 = 32;

/// Ends of a log, each with the time when it was first seen; ascending.
#[derive(Debug, Default)]
pub(crate) struct UnreadAge(VecDeque<(u64, Instant)>);

impl UnreadAge {
    /// The log ends at `end`, and everything below `position` was read.
    pub(crate) fn ends_at(&mut self, position: u64, end: u64, now: Instant) {
        while self.0.front().is_some_and(|(seen, _)| *seen <= position) {
            self.0.pop_front();
        }
        let (newest, since) = self.0.back().map_or((position, None), |(seen, since)| (*seen, Some(*since)));
        let oldest = self.age(position, now).unwrap_or_default();
        let is_time = since.is_none_or(|since| now.saturating_duration_since(since) >= oldest / PARTS);
        if end > newest && is_time {
            self.0.push_back((end, now));
        }
    }

    /// For how long the record at `position` has been there, at least; none if it is not known to be there.
    pub(crate) fn age(&self, position: u64, now: Instant) -> Option<Duration> {
        let (_, since) = self.0.iter().find(|(end, _)| *end > position)?;
        Some(now.saturating_duration_since(*since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_waits_is_as_old_as_the_first_end_behind_it() {
        let (start, mut waiting) = (Instant::now(), UnreadAge::default());
        waiting.ends_at(5, 5, start);
        assert_eq!(waiting.age(5, start), None, "all has been read");
        waiting.ends_at(5, 8, start + SECOND);
        waiting.ends_at(5, 8, start + 2 * SECOND);
        waiting.ends_at(6, 20, start + 3 * SECOND);
        let age = |waiting: &UnreadAge, position| waiting.age(position, start + 10 * SECOND);
        assert_eq!((age(&waiting, 5), age(&waiting, 7)), (Some(9 * SECOND), Some(9 * SECOND)));
        assert_eq!((age(&waiting, 8), age(&waiting, 20)), (Some(7 * SECOND), None));
        waiting.ends_at(20, 20, start + 11 * SECOND);
        assert!(waiting.0.is_empty(), "what has been read is forgotten");
    }

    /// Follows a log that gets a record every five seconds, each read `late` such times later, for so many.
    fn follow(late: u32, times: u32) -> usize {
        let (start, mut waiting, mut most) = (Instant::now(), UnreadAge::default(), 0);
        for time in 0..times {
            let (position, now) = (u64::from(time.saturating_sub(late)), start + time * 5 * SECOND);
            waiting.ends_at(position, u64::from(time) + 1, now);
            let (age, truth) = (waiting.age(position, now).unwrap(), time.min(late) * 5 * SECOND);
            assert!(age <= truth && age + truth / PARTS + 5 * SECOND >= truth, "{age:?} of {truth:?}");
            most = most.max(waiting.0.len());
        }
        most
    }

    #[test]
    fn the_age_of_a_lag_is_known_well_enough_and_takes_little_room_however_long_it_lasts() {
        assert!(follow(0, 1_000) <= 2);
        assert!(follow(720, 20_000) < 200, "an hour, for a day");
        assert!(follow(u32::MAX, 20_000) < 300, "it only grows");
    }
}
