//! What a run is judged by, beside the rules that hold for every run: whether the system sends webhook ids, how much
//! the clocks may be off, and what its profile promises to put it through.

use std::ops::Range;

/// The terms of a judgement. The defaults are Loadline's, for a profile that promises nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// Whether every request must carry a `webhook-id`. The legacy service sends none.
    pub webhook_ids: bool,
    /// What the profile promises: a run in which it did not happen proves nothing.
    pub promised: Promised,
    /// How long before its append, in milliseconds, an event may be seen: whoever appends does so in ticks, and times
    /// are cut to milliseconds. Default 20.
    pub clock_ms: u64,
    /// What of the quota's rate is added to it before a request counts as too many, as a share. Default 0.1: quotas
    /// are kept in whole permits and timers, and no broker notices a tenth.
    pub quota_slack: f64,
    /// How long, in milliseconds, requests can be held up on their way and then arrive at once. Default 50: what a
    /// busy machine takes to let a receiver run again.
    pub bunch_ms: u64,
    /// How many bytes of a record a dead letter keeps: a longer record is known by so many. Default 1 MiB, that of
    /// `source.record_max`.
    pub letter_bytes_max: usize,
    /// How many violations of each kind are told with their history. Default 5: there are twenty kinds, and a report
    /// shows at most a hundred. All are counted.
    pub listed_per_kind: usize,
}

/// What a profile promises. Each promise that was not kept makes the run void.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Promised {
    /// Events are in the log more than once.
    pub duplicates: bool,
    /// Records are in the log that are no events, or other events under a used id.
    pub faulty_records: bool,
    /// The load surges to more than twice the base load.
    pub surge: Option<Surge>,
    /// Brokers, by their places, each of which refuses something or leaves it unanswered. Not one that only refuses
    /// connections: that leaves no trace at a receiver.
    pub faults: Vec<u16>,
    /// Brokers, by their places, each of which takes an event without the sender being told so in time.
    pub lost_answers: Vec<u16>,
    /// The system is killed at least this often.
    pub kills: usize,
}

/// A surge, by the times in which the two loads are compared; milliseconds from the start of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surge {
    /// A time of base load.
    pub base: Range<u64>,
    /// The surge, without its ramps.
    pub peak: Range<u64>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            webhook_ids: true,
            promised: Promised::default(),
            clock_ms: 20,
            quota_slack: 0.1,
            bunch_ms: 50,
            letter_bytes_max: 1 << 20,
            listed_per_kind: 5,
        }
    }
}

impl Terms {
    /// The terms for a profile that promises `promised`.
    #[must_use]
    pub fn new(promised: Promised) -> Self {
        Self { promised, ..Self::default() }
    }

    /// The same for a system that sends no `webhook-id`.
    #[must_use]
    pub fn without_ids(self) -> Self {
        Self { webhook_ids: false, ..self }
    }
}
