//! Monotonic time across restarts. Entries expire and waits end by it, so setting the wall clock forward or back
//! expires nothing early and delays nothing.
//!
//! It starts at the wall clock's time of the first start and advances with the machine's uptime. Across restarts of
//! the process the boot id shows that the machine was not off in between. Only the wall clock can say how long a
//! machine was off, and it may be wrong at first. So this *claim* counts only once it was made twice: when the wall
//! clock still says so an hour later, or at the next boot.
//!
//! Guarantee: time that did not pass counts only if the wall clock has claimed it twice. The cost is that entries are
//! kept longer: by up to an hour after a boot, and by the time for which a machine stood still without its uptime,
//! such as a paused virtual machine.

use bincode::{Decode, Encode};

use crate::clock_reading::{Boot, ClockReading};

/// How long the wall clock must confirm its claim, in milliseconds. A clock that is wrong after a boot is usually
/// corrected within minutes.
const AGREED: u64 = 3_600_000;

/// The smallest change that counts as a step of the wall clock, in milliseconds; smaller corrections happen all the
/// time.
const STEP_MIN: u64 = 1_000;

/// The stored state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Kept {
    lived: u64,
    wall: u64,
    up: u64,
    boot: Option<Boot>,
    claim: Claim,
}

/// Time that the wall clock claims has passed while the machine was off, and that does not count yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
struct Claim {
    millis: u64,
    /// The wall clock's time when it made the claim.
    wall: u64,
}

/// A step of the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// By how many milliseconds.
    pub(crate) millis: u64,
    /// Whether it was set forward.
    pub(crate) forward: bool,
}

/// The monotonic time of one process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MonotonicTime {
    /// How far it is ahead of the uptime.
    ahead: u64,
    claim: Claim,
    /// The uptime of the wall clock's last step.
    steady_since: u64,
    last: ClockReading,
}

impl MonotonicTime {
    /// Continues from the stored state, if there is one.
    pub(crate) fn resume(kept: Option<Kept>, now: ClockReading) -> Self {
        let (lived, claim) = match kept {
            None => (now.wall, Claim::default()),
            Some(kept) if kept.boot.is_some() && kept.boot == now.boot && kept.up <= now.up => {
                (kept.lived.saturating_add(now.up - kept.up), kept.claim)
            }
            Some(kept) => {
                // Claimed before, and not withdrawn since.
                let twice = if now.wall >= kept.claim.wall { kept.claim.millis } else { 0 };
                let claim = Claim { millis: now.wall.saturating_sub(kept.wall), wall: now.wall };
                (kept.lived.saturating_add(twice), claim)
            }
        };
        Self { ahead: lived.wrapping_sub(now.up), claim, steady_since: now.up, last: now }
    }

    /// How far it is ahead of the uptime; wraps around.
    pub(crate) fn ahead(&self) -> u64 {
        self.ahead
    }

    /// Compares the clocks; returns a step of the wall clock if there was one.
    pub(crate) fn look(&mut self, now: ClockReading) -> Option<Step> {
        let expected = self.last.wall.saturating_add(now.up.saturating_sub(self.last.up));
        self.last = now;
        let step = Step { millis: now.wall.abs_diff(expected), forward: now.wall > expected };
        if step.millis >= STEP_MIN {
            self.steady_since = now.up;
            if !step.forward {
                self.claim.millis = self.claim.millis.saturating_sub(step.millis);
            }
            return Some(step);
        }
        if self.claim.millis > 0 && now.up.saturating_sub(self.steady_since) >= AGREED {
            self.ahead = self.ahead.wrapping_add(std::mem::take(&mut self.claim.millis));
        }
        None
    }

    /// The state to store.
    pub(crate) fn keep(&self, now: ClockReading) -> Kept {
        let ClockReading { wall, up, boot } = now;
        Kept { lived: up.wrapping_add(self.ahead), wall, up, boot, claim: self.claim }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;
    const START: u64 = 1_700_000_000_000;

    fn at(wall: u64, up: u64, boot: u8) -> ClockReading {
        ClockReading { wall: START + wall, up, boot: Some([boot; 16]) }
    }

    fn monotonic(lived: &MonotonicTime, now: ClockReading) -> u64 {
        now.up.wrapping_add(lived.ahead()) - START
    }

    #[test]
    fn a_wall_clock_that_is_set_moves_nothing_and_each_step_is_told_once() {
        let mut time = MonotonicTime::resume(None, at(0, 50, 1));
        assert_eq!(time.look(at(1_000, 1_050, 1)), None);
        let forward = Some(Step { millis: 11 * DAY, forward: true });
        assert_eq!(time.look(at(11 * DAY + 2_000, 2_050, 1)), forward);
        assert_eq!(time.look(at(11 * DAY + 3_000, 3_050, 1)), None);
        assert_eq!(time.look(at(4_000, 4_050, 1)), Some(Step { millis: 11 * DAY, forward: false }));
        assert_eq!(monotonic(&time, at(0, 4_050, 1)), 4_000);
        // For good, too: it may be right now, and was not lived.
        time.look(at(4 * DAY, 5_050, 1));
        for hour in 1..10 {
            assert_eq!(time.look(at(4 * DAY + hour * HOUR, 5_050 + hour * HOUR, 1)), None);
        }
        assert_eq!(monotonic(&time, at(0, 5_050 + 9 * HOUR, 1)), 5_000 + 9 * HOUR);
    }

    #[test]
    fn a_restart_counts_what_the_machine_was_up_whatever_the_wall_clock_says() {
        for wall in [0, HOUR, 11 * DAY] {
            let before = at(HOUR, 1_000, 1);
            let kept = MonotonicTime::resume(None, before).keep(before);
            let after = at(wall, 61_000, 1);
            assert_eq!(monotonic(&MonotonicTime::resume(Some(kept), after), after), HOUR + 60_000);
        }
    }

    #[test]
    fn how_long_a_machine_was_off_counts_when_the_clock_has_stood_by_it_for_an_hour() {
        let before = at(0, 1_000, 1);
        let kept = MonotonicTime::resume(None, before).keep(before);
        let mut time = MonotonicTime::resume(Some(kept), at(3 * DAY, 500, 2));
        assert_eq!(monotonic(&time, at(0, 500, 2)), 0, "said once");
        time.look(at(3 * DAY + HOUR - 1, 499 + HOUR, 2));
        assert_eq!(monotonic(&time, at(0, 499 + HOUR, 2)), HOUR - 1);
        time.look(at(3 * DAY + HOUR, 500 + HOUR, 2));
        assert_eq!(monotonic(&time, at(0, 500 + HOUR, 2)), 3 * DAY + HOUR);
        time.look(at(3 * DAY + 9 * HOUR, 500 + 9 * HOUR, 2));
        assert_eq!(monotonic(&time, at(0, 500 + 9 * HOUR, 2)), 3 * DAY + 9 * HOUR, "counted once");
    }

    #[test]
    fn a_clock_that_was_wrong_after_a_boot_and_is_set_right_claims_nothing_wrong() {
        let before = at(0, 1_000, 1);
        let kept = MonotonicTime::resume(None, before).keep(before);
        let mut time = MonotonicTime::resume(Some(kept), at(11 * DAY, 500, 2));
        assert!(time.look(at(60_000, 60_500, 2)).is_some());
        time.look(at(60_000 + 2 * HOUR, 60_500 + 2 * HOUR, 2));
        assert_eq!(monotonic(&time, at(0, 60_500 + 2 * HOUR, 2)), 60_000 + 2 * HOUR);
        // And one that is behind claims nothing at all.
        let behind = at(0, 500, 3);
        let kept = MonotonicTime::resume(None, at(9 * DAY, 1_000, 1)).keep(at(9 * DAY, 1_000, 1));
        assert_eq!(monotonic(&MonotonicTime::resume(Some(kept), behind), behind), 9 * DAY);
    }

    #[test]
    fn short_runs_on_a_machine_that_is_booted_for_each_count_the_time_between_them_at_the_next() {
        let mut kept = None;
        for day in 0..30 {
            let start = at(day * DAY, 10, day as u8);
            let time = MonotonicTime::resume(kept, start);
            let behind = day * DAY - monotonic(&time, start);
            assert!(behind <= DAY + 60_000 * day, "day {day}: {behind} ms behind");
            kept = Some(time.keep(at(day * DAY + 60_000, 60_010, day as u8)));
        }
        // The clock is 11 days ahead at one start and right at the next: nothing of it counts.
        let wrong = MonotonicTime::resume(kept, at(41 * DAY, 10, 99)).keep(at(41 * DAY, 20, 99));
        let right = at(31 * DAY, 10, 100);
        assert!(monotonic(&MonotonicTime::resume(Some(wrong), right), right) <= 31 * DAY);
    }

    #[test]
    fn a_boot_that_has_no_id_is_taken_for_another_one() {
        let before = ClockReading { boot: None, ..at(0, 1_000, 1) };
        let kept = MonotonicTime::resume(None, before).keep(before);
        let after = ClockReading { boot: None, ..at(DAY, 2_000, 1) };
        assert_eq!(monotonic(&MonotonicTime::resume(Some(kept), after), after), 0);
    }
}
