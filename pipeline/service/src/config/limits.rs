//! `[limits]`: the bounds of memory, disk and shutdown.

use std::time::Duration;

use stages::WhenFull;

use super::{
    section::Section,
    units::{DURATION, count, size},
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// The names of what happens when a disk queue is full.
pub(super) const WHEN_FULL: [(&str, WhenFull); 2] =
    [("dead-letter", WhenFull::DeadLetter), ("hold", WhenFull::Hold)];

/// The bounds of memory, disk and shutdown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Deliveries in memory over all brokers (default 4096, 1 to 1048576). At this many the source is not polled.
    pub in_flight_max: usize,
    /// Bytes of bodies in memory over all brokers (default 512 MiB, 1 MiB to 1 TiB). At this many the source is not
    /// polled.
    pub memory_max: u64,
    /// Of these, what one broker may hold before it spills (default 1024, 1 to 1048576).
    pub per_broker_max: usize,
    /// Records between the oldest unsettled and the newest read (default 65536, 1 to 16777216): what is read again
    /// after a crash.
    pub unsettled_max: usize,
    /// A broker whose oldest delivery waited longer than this spills, unless all lag (default 2 s, 10 ms to 10 min).
    pub spill_after: Duration,
    /// What one broker may hold on disk, in bytes (default 256 MiB, 64 KiB to 1 TiB).
    pub spill_broker_max: u64,
    /// What all brokers together may hold on disk, in bytes (default 4 GiB, 64 KiB to 16 TiB).
    pub spill_total_max: u64,
    /// What happens to a broker's deliveries when its disk queue is full, unless the broker sets it (default
    /// `dead-letter`).
    pub when_full: WhenFull,
    /// Bytes of dead letters that full disk queues may make (default 4 GiB, 0 to 16 TiB); at this many they hold.
    pub full_letters_max: u64,
    /// How long a shutdown waits for what is on the wire (default 20 s, 0 to 10 min).
    pub grace: Duration,
    /// How long a run over finite input goes on for brokers that are held after its input has ended (default 1 min, 0
    /// to 7 days); what is left then stays on disk.
    pub drain: Duration,
    /// Threads that deliver, each with its own share of the brokers (default 0: one per core; 0 to 256).
    pub shards: usize,
}

impl LimitsConfig {
    pub(super) fn read(s: &mut Section<'_, '_>) -> Self {
        let ten_minutes = 600 * SECOND;
        Self {
            in_flight_max: s.ranged("in_flight_max", 4096, 1..=1 << 20, &count()),
            memory_max: s.ranged("memory_max", 512 << 20, 1 << 20..=1 << 40, &size()),
            per_broker_max: s.ranged("per_broker_max", 1024, 1..=1 << 20, &count()),
            unsettled_max: s.ranged("unsettled_max", 65_536, 1..=1 << 24, &count()),
            spill_after: s.ranged("spill_after", 2 * SECOND, SECOND / 100..=ten_minutes, &DURATION),
            spill_broker_max: s.ranged("spill_broker_max", 256 << 20, 64 << 10..=1 << 40, &size()),
            spill_total_max: s.ranged("spill_total_max", 4 << 30, 64 << 10..=16 << 40, &size()),
            when_full: s.choice("when_full", WHEN_FULL[0], &WHEN_FULL[1..]),
            full_letters_max: s.ranged("full_letters_max", 4 << 30, 0..=16 << 40, &size()),
            grace: s.ranged("grace", 20 * SECOND, Duration::ZERO..=ten_minutes, &DURATION),
            drain: s.ranged("drain", 60 * SECOND, Duration::ZERO..=7 * DAY, &DURATION),
            shards: s.ranged("shards", 0, 0..=256, &count()),
        }
    }
}
