//! What a measurement came to, as data: what `--json` prints, and what the tables are made of. Times are in the unit that
//! the field names; what this system does not say is none.

use std::time::Duration;

use serde::Serialize;

use super::{
    figures::{Goal, Spread},
    machine::Machine,
};
use crate::process::usage::ThreadCpu;
use crate::traffic::corpus::Ids;

/// The whole measurement.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The command line that made it.
    pub command: String,
    /// Loadline's version.
    pub version: &'static str,
    /// Whether it was built without optimizations: then no figure means anything.
    pub debug_build: bool,
    /// Where it was made.
    pub machine: Machine,
    /// How it was made.
    pub terms: Terms,
    /// How fast it is beside reqwest alone and the legacy model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throughput: Option<Throughput>,
    /// Brokers that take their time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow: Option<Slow>,
    /// One broker that is dead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead: Option<Dead>,
    /// What growth costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
    /// A member over a Kafka cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka: Option<OverKafka>,
    /// What should have come out, and whether it has.
    pub goals: Vec<Goal>,
}

/// How a measurement is made.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Terms {
    /// Interleaved rounds.
    pub rounds: u32,
    /// Deliveries in each run.
    pub deliveries: u64,
    /// Brokers.
    pub brokers: usize,
    /// Requests at once.
    pub concurrency: usize,
    /// How event ids are made.
    pub ids: Ids,
}

/// One run of one contestant.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Requests that arrived.
    pub deliveries: u64,
    /// Requests a second, from the first arrival to the last.
    pub per_second: Option<f64>,
    /// CPU time of the process for each delivery, from when it waited for work to when it rested again.
    pub cpu_micros: Option<f64>,
    /// CPU time of the receiver for each.
    pub receiver_cpu_micros: Option<f64>,
    /// The resident set at the end, in bytes.
    pub memory_now: Option<u64>,
    /// The largest resident set, in bytes.
    pub memory_most: Option<u64>,
    /// The CPU time by thread; of Loadline's processes only their names say something.
    pub threads: Option<Threads>,
}

/// CPU µs for each delivery, by what Loadline's threads are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Threads {
    /// The main thread: reads, decodes, validates, routes.
    pub intake: f64,
    /// The shards: deliver.
    pub shards: f64,
    /// The ledger's: commits.
    pub ledger: f64,
    /// All others: sled's own, the admin endpoint, blocking reads of the source.
    pub others: f64,
}

impl Threads {
    /// What each kind of thread of process `pid` has used between two looks; `per_delivery` gives µs.
    pub(super) fn between(
        pid: u32,
        before: &[ThreadCpu],
        now: &[ThreadCpu],
        per_delivery: impl Fn(Duration) -> f64,
    ) -> Self {
        let mut threads = Self::default();
        for thread in now {
            // One that was not there had used nothing.
            let earlier = before.iter().find(|earlier| earlier.id == thread.id);
            let used = thread.cpu.saturating_sub(earlier.map_or(Duration::ZERO, |earlier| earlier.cpu));
            let part = match thread.name.as_str() {
                _ if thread.id == pid => &mut threads.intake,
                name if name.starts_with("shard-") => &mut threads.shards,
                "ledger" => &mut threads.ledger,
                _ => &mut threads.others,
            };
            *part += per_delivery(used);
        }
        threads
    }
}

/// All runs of one contestant, in the order of the rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Contestant {
    /// Who.
    pub name: String,
    /// Its runs.
    pub runs: Vec<Run>,
}

impl Contestant {
    /// Nothing has been run yet.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), runs: Vec::new() }
    }

    /// A figure over the rounds.
    #[must_use]
    pub fn spread(&self, of: impl Fn(&Run) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.runs.iter().filter_map(of))
    }

    /// How its figure compares with `other`'s, round by round.
    #[must_use]
    pub fn beside(&self, other: &Self, of: impl Fn(&Run) -> Option<f64>) -> Option<Spread> {
        Spread::of_ratios(self.runs.iter().zip(&other.runs).map(|(ours, theirs)| (of(ours), of(theirs))))
    }
}

/// Deliveries a second of a run; for [`Contestant::spread`] and [`Contestant::beside`].
#[must_use]
pub(super) fn speed(run: &Run) -> Option<f64> {
    run.per_second
}

/// CPU µs a delivery of a run.
#[must_use]
pub(super) fn cost(run: &Run) -> Option<f64> {
    run.cpu_micros
}

/// How fast it is: [`Throughput::BARE`] first, the others beside it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throughput {
    /// Who was measured.
    pub contestants: Vec<Contestant>,
    /// What each stage costs alone; none where a thread's CPU time cannot be told.
    pub stages: Vec<StageCost>,
}

impl Throughput {
    /// Where reqwest alone stands among the contestants.
    pub const BARE: usize = 0;
    /// Where Loadline with `durability = "process"` stands.
    pub const PROCESS: usize = 2;
    /// Where Loadline with `durability = "power"` stands.
    pub const POWER: usize = 3;
    /// Where Loadline stands with event ids that look random, and `durability = "process"`.
    pub const RANDOM: usize = 4;
}

/// What a stage costs by itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StageCost {
    /// The stage.
    pub stage: &'static str,
    /// Which thread does it in the line.
    pub thread: Place,
    /// CPU µs each time.
    pub micros: f64,
    /// How often it is done for each delivery: less than once, if once for an event that goes to several brokers.
    pub per_delivery: f64,
}

/// Which thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// The main thread.
    Intake,
    /// A shard.
    Shards,
}

/// Brokers that take their time: Loadline first, then the legacy model with one consumer and with twelve.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Slow {
    /// How long each answer takes, in ms.
    pub delay_ms: u64,
    /// Loadline's requests at once to each broker.
    pub concurrency_per_broker: usize,
    /// Who was measured.
    pub contestants: Vec<Contestant>,
}

/// One broker that is dead: the others' runs with all alive first, then with one that refuses connections, then with
/// one that takes them and never answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dead {
    /// How many others there are.
    pub others: usize,
    /// What was measured.
    pub variants: Vec<Contestant>,
}

/// What growth costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scale {
    /// Deliveries in memory at most, for any number of brokers.
    pub in_flight_max: usize,
    /// By the number of brokers.
    pub brokers: Vec<Sized>,
    /// By the number of ledger entries.
    pub entries: Vec<Sized>,
    /// The resident set when idle with an empty ledger, in bytes.
    pub idle_bytes: Option<u64>,
    /// With this many entries, what a run needs and how it comes back.
    pub grown: Option<Grown>,
}

/// One member over a Kafka cluster, whose state follows its partitions; the run over a file first.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OverKafka {
    /// Who was measured.
    pub contestants: Vec<Contestant>,
    /// How many outcomes the next member takes over.
    pub entries: u64,
    /// Seconds from its start until it reads all partitions.
    pub restore_seconds: Option<Spread>,
}

/// Runs at one size.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sized {
    /// How many of what grows.
    pub size: u64,
    /// The runs.
    pub contestant: Contestant,
}

/// A run over a ledger with many entries.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Grown {
    /// How many entries.
    pub entries: u64,
    /// The resident set after deliveries, in bytes.
    pub after_bytes: Option<u64>,
    /// The largest resident set, in bytes.
    pub most_bytes: Option<u64>,
    /// Seconds from the start of the process after a kill -9 to the arrival of its first delivery.
    pub first_delivery_seconds: Option<Spread>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_told_apart_by_their_names_and_what_they_had_used_before_does_not_count() {
        let thread = |id, name: &str, ms| ThreadCpu { id, name: name.into(), cpu: Duration::from_millis(ms) };
        let before = [thread(7, "loadline", 100), thread(8, "shard-0", 10)];
        let now = [
            thread(7, "loadline", 150),
            thread(8, "shard-0", 210),
            thread(9, "shard-1", 100),
            thread(10, "ledger", 80),
            thread(11, "sled-io-0", 5),
            thread(12, "admin", 1),
        ];
        let threads = Threads::between(7, &before, &now, |used| used.as_secs_f64() * 1e6 / 1_000.0);
        assert_eq!(threads, Threads { intake: 50.0, shards: 300.0, ledger: 80.0, others: 6.0 });
    }
}
