//! Measures what Loadline costs on this machine. Whoever is compared with another is measured in turns with it, by the same
//! receiver in a process of its own and by the same rule, so that the ratios mean something even on a machine that is not
//! quiet.
//!
//! ```text
//! loadline bench ── starts, gives work, reads /proc ──> receiver (counts arrivals)
//!                └────────────────────────────────────> one contestant at a time, which posts to it
//! ```

mod configs;
mod dead;
mod fault;
mod figures;
mod fill;
mod kafka;
mod machine;
mod meter;
mod part;
mod report;
mod run;
mod scale;
mod slow;
mod stages;
mod table;
mod throughput;
mod workload;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;

pub use fault::BenchFault;
pub use figures::{Bound, Goal, Spread, Unit};
pub use machine::Machine;
pub use part::{PartFault, Posts, post, receive};
pub use report::{
    Contestant, Dead, Grown, OverKafka, Place, Report, Run, Scale, Sized, Slow, StageCost, Terms, Threads,
    Throughput,
};
pub use table::write_table;
pub use workload::BROKERS_MIN;

use configs::make_dir;
use meter::Meter;
use run::{Turn, Work};
use workload::Workload;

/// A part of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Section {
    /// Loadline beside reqwest alone and the legacy model.
    Throughput,
    /// Brokers that take 20 ms to answer.
    Slow,
    /// One dead broker among others.
    Dead,
    /// Many brokers, many ledger entries, memory and recovery: takes minutes.
    Scale,
    /// One member over a Kafka cluster that is named, whose state follows its partitions.
    Kafka,
}

/// What to measure, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// How it is made.
    pub terms: Terms,
    /// Only this section; without it all but [`Section::Scale`] and [`Section::Kafka`].
    pub only: Option<Section>,
    /// Brokers of a Kafka cluster to begin with, for its section.
    pub bootstrap: Option<String>,
    /// The numbers of ledger entries to compare, ascending.
    pub entries: Vec<u64>,
    /// The command line.
    pub command: String,
    /// The `loadline` to measure.
    pub program: PathBuf,
    /// Where files are put.
    pub dir: PathBuf,
}

/// What a section needs of its surroundings.
struct Bench<'b> {
    terms: Terms,
    entries: &'b [u64],
    program: &'b Path,
    dir: &'b Path,
    say: &'b dyn Fn(String),
}

impl Bench<'_> {
    /// Tells whoever looks on what is being done.
    fn say(&self, what: impl Into<String>) {
        (self.say)(what.into());
    }

    /// Gives each of `names` its turn in each round, in a directory of its own, over `workload`, with a receiver that
    /// answers after `delay`; `run` makes the run of the one at a place.
    async fn in_turns<const N: usize>(
        &self,
        (what, dir): (&str, &str),
        names: [&str; N],
        (workload, delay): (&Workload, Duration),
        mut run: impl AsyncFnMut(usize, Turn<'_>) -> Result<Run, BenchFault>,
    ) -> Result<Vec<Contestant>, BenchFault> {
        let events = self.dir.join("events.ndjson");
        workload.write(&events)?;
        let work = Work { workload, events: &events };
        let mut meter = Meter::start(self.program, self.dir, delay, workload.brokers()).await?;
        let mut contestants = names.map(Contestant::new).to_vec();
        for round in 0..self.terms.rounds {
            for which in turns(round, N) {
                self.say(format!("{what}, round {}: {}", round + 1, names[which]));
                let dir = make_dir(self.dir, &format!("{dir}-{round}-{which}"))?;
                let turn = Turn { program: self.program, dir: &dir, meter: &mut meter, work };
                contestants[which].runs.push(run(which, turn).await?);
            }
        }
        meter.end().await?;
        Ok(contestants)
    }

    /// The usual workload.
    fn workload(&self) -> Workload {
        Workload::by_status(self.terms.deliveries, self.terms.brokers, 0).with(self.terms.ids)
    }
}

/// In which order `count` contestants have their turns in round `round`: each is first once in a while, so that none
/// always follows the same one.
fn turns(round: u32, count: usize) -> impl Iterator<Item = usize> {
    let first = usize::try_from(round).unwrap_or_default();
    (0..count).map(move |place| (first + place) % count.max(1))
}

/// Measures; `say` is told what is being done.
///
/// # Errors
/// [`BenchFault`]: something could not be measured. A goal that is missed is none.
pub async fn measure(options: &Options, say: &dyn Fn(String)) -> Result<Report, BenchFault> {
    let Options { terms, only, bootstrap, entries, command, program, dir } = options;
    let bench = Bench { terms: *terms, entries, program, dir, say };
    let by_itself = |section| !matches!(section, Section::Scale | Section::Kafka);
    let wants = |section| only.map_or(by_itself(section), |only| only == section);
    let mut report = Report {
        command: command.clone(),
        version: env!("CARGO_PKG_VERSION"),
        debug_build: cfg!(debug_assertions),
        machine: Machine::here(),
        terms: *terms,
        throughput: None,
        slow: None,
        dead: None,
        scale: None,
        kafka: None,
        goals: Vec::new(),
    };
    if wants(Section::Throughput) {
        let throughput = throughput::measure(&bench).await?;
        report.goals.extend(throughput::goals(&throughput));
        report.throughput = Some(throughput);
    }
    if wants(Section::Slow) {
        let slow = slow::measure(&bench).await?;
        report.goals.extend(slow::goals(&slow));
        report.slow = Some(slow);
    }
    if wants(Section::Dead) {
        let dead = dead::measure(&bench).await?;
        report.goals.extend(dead::goals(&dead));
        report.dead = Some(dead);
    }
    if wants(Section::Scale) {
        let scale = scale::measure(&bench).await?;
        report.goals.extend(scale::goals(&scale));
        report.scale = Some(scale);
    }
    if wants(Section::Kafka) {
        let bootstrap = bootstrap.as_ref().ok_or(BenchFault::NoCluster)?;
        let kafka = kafka::measure(&bench, bootstrap).await?;
        report.goals.extend(kafka::goals(&kafka));
        report.kafka = Some(kafka);
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_has_a_turn_in_each_round_and_nobody_is_always_first() {
        let order = |round| turns(round, 3).collect::<Vec<_>>();
        assert_eq!([order(0), order(1), order(2)], [vec![0, 1, 2], vec![1, 2, 0], vec![2, 0, 1]]);
        assert_eq!(order(3), order(0));
    }
}
