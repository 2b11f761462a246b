//! The clocks of a measurement, which ask the operating system: one that all processes of a machine share, and the
//! CPU time of one thread. They are for figures; nothing waits by them.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds of the system's monotonic clock, the same for all processes.
#[must_use]
pub(crate) fn monotonic() -> u64 {
    u64::try_from(duration(clock_gettime(ClockId::Monotonic)).as_nanos()).unwrap_or(u64::MAX)
}

/// The CPU time the calling thread has used.
#[must_use]
pub(crate) fn thread_cpu() -> Duration {
    duration(clock_gettime(ClockId::ThreadCPUTime))
}

fn duration(time: Timespec) -> Duration {
    // The system gives no negative times here.
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_works_uses_cpu_and_the_monotonic_clock_does_not_go_back() {
        let (cpu, at) = (thread_cpu(), monotonic());
        let mut sum = 0_u64;
        while thread_cpu() == cpu {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(thread_cpu() > cpu && monotonic() >= at);
    }
}
