//! A run's outcome as data: what the table, the JSON file and the HTML page are made of. Plain numbers, no logic.

mod figures;
mod html;
mod sample;
mod table;
pub(crate) mod units;
mod verdict;

use serde::Serialize;

pub use html::write_html;
#[doc(hidden)]
pub use sample::sample;
pub use table::write_table;

/// From how many milliseconds on a record that is due and not appended is worth a word: a second is beyond anything
/// that ticks, batches and a busy machine make of it.
pub(crate) const LATE_MS: u64 = 1_000;

/// The outcome of `loadline surge`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The profile's name.
    pub profile: String,
    /// What it shows, in one sentence.
    pub about: String,
    /// The seed of the traffic.
    pub seed: u64,
    /// The version of Loadline.
    pub version: &'static str,
    /// Events issued, duplicates among the records, records in all.
    pub issued: Issued,
    /// The phases of the load, in order: before, during and after the surge.
    pub phases: Vec<Phase>,
    /// What befell the brokers and the system, to mark in the plots.
    pub incidents: Vec<Incident>,
    /// The brokers' ids, in the order in which every list of per-broker numbers is.
    pub brokers: Vec<BrokerInfo>,
    /// One for each system that was run, the legacy model first.
    pub systems: Vec<SystemReport>,
}

/// What was issued.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Issued {
    /// Distinct events.
    pub events: u64,
    /// Records in the log, duplicates and garbage included.
    pub records: u64,
    /// Records that say an event again: producer retries and replays.
    pub duplicates: u64,
    /// Records that are no event, or another event under a used id.
    pub faulty: u64,
    /// Deliveries owed: each event once for each broker that wants it.
    pub deliveries: u64,
}

/// A phase of the load.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Phase {
    /// `before`, `during` or `after` the surge.
    pub name: String,
    /// Its beginning, in milliseconds from the start.
    pub from_ms: u64,
    /// Its end.
    pub to_ms: u64,
}

/// Something that was done to a broker or to the system.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Incident {
    /// When it began, in milliseconds from the start.
    pub from_ms: u64,
    /// When it ended; none if it is a moment.
    pub to_ms: Option<u64>,
    /// What, in a few words: `cedar is down`, `scale-out 3 to 12`, `killed`.
    pub what: String,
}

/// A broker of the cast.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BrokerInfo {
    /// Its id.
    pub id: String,
    /// What is special about it, in a few words: `well`, `slow`, `dead for a while`.
    pub about: String,
    /// Whether it was well throughout.
    pub well: bool,
}

/// One system's run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemReport {
    /// `legacy` or `loadline`.
    pub name: String,
    /// The numbers of the table.
    pub figures: Figures,
    /// Each broker's share, in the brokers' order.
    pub brokers: Vec<BrokerFigures>,
    /// The run over time, oldest first.
    pub samples: Vec<Sample>,
    /// What the oracle holds against it, worst first; each with the event's history. At most a hundred.
    pub violations: Vec<String>,
    /// How many there are in all.
    pub violation_count: u64,
    /// Goals of time that were missed: they depend on the machine, so they are no violations.
    pub missed_goals: Vec<String>,
}

/// The numbers of the table.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// The most events that were in the log and not yet settled.
    pub peak_lag: u64,
    /// The greatest age of the oldest of them, in milliseconds.
    pub peak_age_ms: u64,
    /// From the end of the surge until the lag was gone, in milliseconds; none if it never was.
    pub drain_ms: Option<u64>,
    /// The same until nothing waited on disk any more; none if nothing ever did, or it was never gone.
    pub spill_drain_ms: Option<u64>,
    /// Events in the log and not settled when the run was ended.
    pub lag_at_end: u64,
    /// Requests the brokers took, repeats included.
    pub taken: u64,
    /// Requests the brokers did not take.
    pub refused: u64,
    /// Deliveries owed that were made, each counted once.
    pub delivered: u64,
    /// Of those taken: the broker had taken the same event before.
    pub duplicates: u64,
    /// Of the duplicates: the sender could not know, because no answer to an earlier one had reached it, or it was killed.
    pub explained_duplicates: u64,
    /// Taken after a newer event of the same load had been taken.
    pub out_of_order: u64,
    /// Deliveries owed that nobody can account for.
    pub lost: u64,
    /// Deliveries given up with a dead letter.
    pub dead_letters: u64,
    /// Dead letters of records that are no event, or another event under a used id.
    pub faulty_letters: u64,
    /// Events settled a second, from the start until the last of them was.
    pub settled_per_second: f64,
    /// Deliveries that still waited at the end, on disk or in the log.
    pub waiting: u64,
    /// From the append to the taking, for brokers that were well; per phase, in the phases' order; none if a phase had
    /// none.
    pub latency: Vec<Option<Latency>>,
    /// The largest resident set of the system's process, in bytes; none if it was not started by the simulator.
    pub peak_memory: Option<u64>,
    /// For how long backpressure held the intake, in milliseconds.
    pub held_ms: u64,
    /// The most deliveries that waited on disk.
    pub peak_spilled: u64,
    /// The longest a record that was due waited to be appended, in milliseconds: the producer is slow, or the log does
    /// not take it.
    pub peak_late_ms: u64,
    /// Batches the producer sent again because it did not know that they were taken. They may stand in the log twice.
    pub sent_again: u64,
    /// For how long this machine, or the simulator, stood still, in milliseconds, stalls of 100 ms and more together.
    /// What was under way then has no times to be judged by.
    pub stalled_ms: u64,
}

/// Time from the append to the taking, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// The median.
    pub p50_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
}

/// One broker's share of a run.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BrokerFigures {
    /// Deliveries owed.
    pub owed: u64,
    /// Of them, made.
    pub delivered: u64,
    /// Taken although it had been taken before.
    pub duplicates: u64,
    /// Of those: the sender could not know, because no answer to an earlier one had reached it, or it was killed.
    pub explained_duplicates: u64,
    /// Taken after a newer one of the same load.
    pub out_of_order: u64,
    /// Given up with a dead letter.
    pub dead_letters: u64,
    /// Waiting at the end.
    pub waiting: u64,
    /// Nobody can account for them.
    pub lost: u64,
    /// Latency per phase, as in [`Figures::latency`].
    pub latency: Vec<Option<Latency>>,
}

/// One look at the run.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// When, in milliseconds from the start.
    pub at_ms: u64,
    /// Records appended so far.
    pub appended: u64,
    /// Records read by the system so far, as far as it says.
    pub read: u64,
    /// Events in the log not yet settled.
    pub lag: u64,
    /// The age of the oldest of them, in milliseconds; zero if there is none.
    pub oldest_age_ms: u64,
    /// Deliveries in the system's memory.
    pub in_flight: u64,
    /// Deliveries that wait on disk.
    pub spilled: u64,
    /// Whether backpressure holds the intake.
    pub held: bool,
    /// For how long the record that is due longest has waited to be appended, in milliseconds; zero if none does.
    pub late_ms: u64,
    /// The system's resident set, in bytes.
    pub memory: Option<u64>,
    /// What each broker has taken so far, in the brokers' order.
    pub taken: Vec<u64>,
    /// How the system sees each broker, in the brokers' order: `healthy`, `limited`, `open`, `half-open`, `disabled`,
    /// or nothing if it does not say.
    pub states: Vec<String>,
    /// The 99th percentile, in milliseconds, of what the brokers that are well took since the sample before.
    pub p99_ms: Option<f64>,
}
