//! The summary at the end of a run: counts of records and deliveries, for people and machines.

use std::io::{self, Write};
use std::sync::Arc;

use serde::Serialize;
use stages::{Broker, Tally};
use state::Ledger;

use crate::ConfigFile;
use line::LineReport;
use sources::FileCounts;
use topics::Losses;

/// The whole run.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub struct Summary {
    /// Records read from the source.
    pub records: u64,
    /// Records settled.
    pub settled: u64,
    /// Records that became dead letters before there was a delivery.
    pub rejected: u64,
    /// Events no broker subscribes to.
    pub unrouted: u64,
    /// Events that were let through although their status is not known.
    pub unknown_statuses: u64,
    /// Deliveries taken by their brokers.
    pub delivered: u64,
    /// Duplicates: deliveries whose broker had been given the event before.
    pub duplicates: u64,
    /// Deliveries and records that became dead letters in this run.
    pub dead_letters: u64,
    /// Dead letters in the state directory at the end: without those that were replayed or purged, with those of earlier
    /// runs. None if they were not all counted yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letters_kept: Option<u64>,
    /// Dead letters in the state directory that are not on their topic yet; none if they are not published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unpublished: Option<u64>,
    /// Deliveries that wait on disk.
    pub spilled: u64,
    /// Deliveries that were on the wire when the run was stopped.
    pub abandoned: u64,
    /// Attempts that may have repeated one the receiver had taken.
    pub possible_repeats: PossibleRepeats,
    /// How often something of the source was lost before it was read.
    pub losses: u64,
    /// The last losses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
    /// Commits of the ledger, each with one flush.
    pub commits: u64,
    /// Each broker's counts, in config order, then removed brokers.
    pub brokers: Vec<BrokerSummary>,
}

/// Attempts that may have repeated one the receiver had taken, by cause.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub struct PossibleRepeats {
    /// An interrupted run may have sent it.
    pub crash: u64,
    /// An earlier attempt had no answer, or one that does not say whether it was taken.
    pub no_answer: u64,
    /// An earlier attempt was refused, possibly after the receiver had taken it.
    pub refusal: u64,
}

/// One broker's counts.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub struct BrokerSummary {
    /// The broker.
    pub id: String,
    /// Deliveries taken.
    pub delivered: u64,
    /// Duplicates.
    pub duplicates: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Deliveries that wait on disk.
    pub waiting: u64,
    /// Attempts that failed.
    pub failed_attempts: u64,
    /// Why it is disabled, if it is.
    pub disabled: Option<String>,
    /// The last failed attempt's cause.
    pub last_error: Option<String>,
}

/// What was lost of a run's source before it was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct SourceLosses {
    /// Of a file.
    pub(crate) file: Option<Arc<FileCounts>>,
    /// Of a topic.
    pub(crate) topic: Option<Arc<Losses>>,
}

impl Summary {
    /// The summary of a run that has ended.
    ///
    /// # Errors
    /// A fault of the state, if what waits on disk cannot be counted.
    pub fn new(
        report: &LineReport,
        tally: &Tally,
        brokers: &[Arc<Broker>],
        ledger: &Ledger,
    ) -> Result<Self, state::StateFault> {
        let usage = ledger.store().spill().usage()?;
        let brokers: Vec<_> = brokers
            .iter()
            .map(|broker| {
                let waiting = usage.get(&broker.id).map_or(0, |usage| usage.deliveries);
                (BrokerSummary::new(broker, waiting), broker.health.counts())
            })
            .collect();
        let sum = |of: fn(&BrokerSummary) -> u64| brokers.iter().map(|(summary, _)| of(summary)).sum::<u64>();
        Ok(Self {
            records: report.records,
            settled: report.settled,
            rejected: tally.rejected.get(),
            unrouted: tally.unrouted.get(),
            unknown_statuses: tally.unknown_statuses.get(),
            delivered: sum(|broker| broker.delivered),
            duplicates: sum(|broker| broker.duplicates),
            dead_letters: tally.rejected.get() + sum(|broker| broker.dead_letters),
            dead_letters_kept: kept(ledger.store().dead_letters()),
            unpublished: None,
            spilled: usage.values().map(|usage| usage.deliveries).sum(),
            abandoned: report.abandoned as u64,
            possible_repeats: PossibleRepeats {
                crash: brokers.iter().map(|(_, counts)| counts.repeats_after_crash).sum(),
                no_answer: brokers.iter().map(|(_, counts)| counts.repeats_after_no_answer).sum(),
                refusal: brokers.iter().map(|(_, counts)| counts.repeats_after_refusal).sum(),
            },
            losses: 0,
            lost: Vec::new(),
            commits: ledger.stats().commits(),
            brokers: brokers.into_iter().map(|(summary, _)| summary).collect(),
        })
    }

    /// This summary with what was lost of the source.
    pub(crate) fn with_losses(self, of: &SourceLosses) -> Self {
        let (file, topic) = (of.file.as_deref(), of.topic.as_deref());
        let losses = file.map_or(0, FileCounts::losses) + topic.map_or(0, Losses::count);
        let lost = [file.map(FileCounts::lost), topic.map(Losses::texts)];
        Self { losses, lost: lost.into_iter().flatten().flatten().collect(), ..self }
    }

    /// Writes the summary as aligned lines, without idle brokers. With a `config`, also says what can be done next.
    ///
    /// # Errors
    /// `out` cannot be written.
    pub fn write(&self, out: &mut impl Write, config: Option<&ConfigFile>) -> io::Result<()> {
        let Self { records, settled, delivered, duplicates, dead_letters, spilled, .. } = self;
        writeln!(out, "records       {records:>9} read, {settled} settled, {} for no broker", self.unrouted)?;
        if self.unknown_statuses > 0 {
            writeln!(
                out,
                "              {:>9} let through with a status that is not known",
                self.unknown_statuses
            )?;
        }
        writeln!(out, "deliveries    {delivered:>9} delivered, {duplicates} duplicates not sent again")?;
        match self.dead_letters_kept.filter(|kept| kept != dead_letters) {
            Some(kept) => writeln!(out, "dead letters  {dead_letters:>9} in this run, {kept} kept in all")?,
            None => writeln!(out, "dead letters  {dead_letters:>9}")?,
        }
        if let Some(left) = self.unpublished.filter(|left| *left > 0) {
            writeln!(out, "unpublished   {left:>9} dead letters; the next run goes on with them")?;
        }
        writeln!(out, "on disk       {spilled:>9} waiting for their brokers")?;
        let PossibleRepeats { crash, no_answer, refusal } = self.possible_repeats;
        let repeats = crash + no_answer + refusal;
        if repeats > 0 {
            writeln!(
                out,
                "may repeat    {repeats:>9} attempts: {crash} after a crash, {no_answer} after no clear answer, {refusal} after a refusal"
            )?;
        }
        if self.abandoned > 0 {
            writeln!(out, "abandoned     {:>9} on the wire when the run was stopped", self.abandoned)?;
        }
        if self.losses > 0 {
            let what = if self.losses == 1 { "piece" } else { "pieces" };
            writeln!(out, "lost          {:>9} {what} of the source, before it was read", self.losses)?;
            self.lost.iter().try_for_each(|lost| writeln!(out, "  {lost}"))?;
        }
        for broker in self.brokers.iter().filter(|broker| broker.waiting > 0 || broker.disabled.is_some()) {
            broker.write(out, config)?;
        }
        Ok(())
    }
}

fn kept(letters: &state::DeadLetters) -> Option<u64> {
    let counts = letters.counts();
    counts.complete.then(|| counts.by_cause.values().sum())
}

impl BrokerSummary {
    fn new(broker: &Broker, waiting: u64) -> Self {
        Self {
            id: broker.id.to_string(),
            delivered: broker.tally.delivered.get(),
            duplicates: broker.tally.duplicates.get(),
            dead_letters: broker.tally.dead_letters.get(),
            waiting,
            failed_attempts: broker.health.counts().failures,
            disabled: broker.health.disabled_reason().map(|reason| reason.to_string()),
            last_error: broker.health.last_error().map(|error| error.cause),
        }
    }

    fn write(&self, out: &mut impl Write, config: Option<&ConfigFile>) -> io::Result<()> {
        let Self { id, waiting, .. } = self;
        if let Some(reason) = &self.disabled {
            let way_out = config.map_or(String::new(), |config| {
                config.complete(&format!("; `loadline broker enable {id}` takes it back"))
            });
            writeln!(out, "  {id}: disabled ({reason}){way_out}")
        } else {
            let error = self.last_error.as_deref().unwrap_or("none");
            writeln!(
                out,
                "  {id}: {waiting} wait on disk, last error: {error}; the next run goes on with them"
            )
        }
    }
}
