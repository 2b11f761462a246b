//! A whole audit: reads the logs, sorts their deliveries, judges load by load, and writes what was asked for.

use std::{path::PathBuf, vec};

use stages::{Schema, Zone};

use crate::{
    bad_lines::BadLine,
    columns::Columns,
    corrections::Corrections,
    delivery::Delivery,
    events::{CorrectionEvents, FirstTaken},
    fault::AuditFault,
    input::Input,
    judge::judge,
    loads::Loads,
    progress::{Phase, Progress},
    reading::{Meaning, Reader},
    report::Report,
    rows::Form,
    sort::Sorter,
    status_order::StatusOrder,
};

/// The least memory for sorting. A temporary file has about a sixth of it: with less, 10 GB of logs would become more files
/// than the 1,024 that a process may usually open.
pub const MEMORY_MIN: usize = 64 << 20;
/// After how many loads progress is told.
const TELL_EVERY: u64 = 4_096;

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where fields stand.
    pub columns: Columns,
    /// The form of all logs; none if each shows its own.
    pub form: Option<Form>,
    /// Where times without an offset are.
    pub zone: Zone,
    /// What the path of a delivery begins with, in access logs.
    pub path: Option<String>,
    /// How events are read from bodies.
    pub schema: Option<Schema>,
    /// The statuses of a load in their order, if the logs have no times or numbers of events.
    pub statuses: StatusOrder,
    /// The memory for sorting, in bytes; at least [`MEMORY_MIN`].
    pub memory: usize,
    /// Where temporary files go.
    pub temporary: PathBuf,
    /// Where correction files go; none for no such files.
    pub out: Option<PathBuf>,
    /// Where correction events go; none for no such events.
    pub events: Option<PathBuf>,
}

/// Audits the logs; `watch` is told of the progress.
///
/// # Errors
/// A log that cannot be read, a file that cannot be written, or a log whose columns cannot be what they are said to be.
pub fn audit(
    inputs: &[Input],
    options: &Options,
    watch: &mut dyn FnMut(Progress),
) -> Result<Report, AuditFault> {
    let corrections = options.out.as_deref().map(Corrections::create).transpose()?;
    let events = options.events.as_deref();
    let events = events.map(|path| CorrectionEvents::create(path, &options.statuses)).transpose()?;
    let meaning = Meaning {
        columns: options.columns.clone(),
        form: options.form,
        zone: options.zone.clone(),
        path: options.path.clone(),
        schema: options.schema.clone(),
    };
    let sorter = Sorter::<Delivery>::new(options.memory, &options.temporary)?;
    let mut reader = Reader::new(inputs, &meaning, watch);
    let sorted = sorter.sort(&mut reader)?;
    let (counts, bad_lines) = (reader.counts, std::mem::take(&mut reader.bad.first));
    let mut findings = Findings {
        loads: Loads::new(sorted),
        statuses: &options.statuses,
        report: Report { counts, ..Report::default() },
        corrections,
        first_taken: events.as_ref().map(|_| Vec::new().into_iter()),
        judged: 0,
        watch,
    };
    match events {
        Some(events) => {
            let sorter = Sorter::<FirstTaken>::new(options.memory, &options.temporary)?;
            let written = events.write(sorter.sort(&mut findings)?)?;
            findings.report.correction_events = Some(written.events);
            findings.report.without_status = Some(written.without_status);
        }
        None => findings.by_ref().try_for_each(|first| first.map(drop))?,
    }
    findings.close(bad_lines)
}

/// Judges load by load, notes what is found, and gives the events of each load at each broker, if they are asked for.
struct Findings<'f, I: Iterator<Item = Result<Delivery, AuditFault>>> {
    loads: Loads<I>,
    statuses: &'f StatusOrder,
    report: Report,
    corrections: Option<Corrections>,
    /// What is still to be given of the load that was judged last; none if nothing is to be given.
    first_taken: Option<vec::IntoIter<FirstTaken>>,
    judged: u64,
    watch: &'f mut dyn FnMut(Progress),
}

impl<I: Iterator<Item = Result<Delivery, AuditFault>>> Findings<'_, I> {
    fn take(&mut self, load: &[Delivery]) -> Result<(), AuditFault> {
        let finding = judge(load, self.statuses);
        let at = |delivery: Option<&Delivery>| delivery.map_or(0, |delivery| delivery.at);
        self.report.add(&finding, (at(load.first()), at(load.last())))?;
        if let Some(corrections) = self.corrections.as_mut().filter(|_| finding.is_wrong()) {
            corrections.add(&finding)?;
        }
        self.judged += 1;
        if self.judged.is_multiple_of(TELL_EVERY) {
            let lines = self.judged;
            (self.watch)(Progress { phase: Phase::Judging, bytes: 0, bytes_all: 0, lines });
        }
        if let Some(first_taken) = &mut self.first_taken {
            *first_taken = FirstTaken::of_load(load, &finding).into_iter();
        }
        Ok(())
    }

    fn close(self, bad_lines: Vec<BadLine>) -> Result<Report, AuditFault> {
        if let Some(corrections) = self.corrections {
            corrections.close(&bad_lines)?;
        }
        Ok(Report { bad_lines, ..self.report })
    }
}

impl<I: Iterator<Item = Result<Delivery, AuditFault>>> Iterator for Findings<'_, I> {
    type Item = Result<FirstTaken, AuditFault>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(first) = self.first_taken.as_mut().and_then(Iterator::next) {
                return Some(Ok(first));
            }
            let taken = match self.loads.next()? {
                Ok(load) => self.take(&load),
                Err(fault) => Err(fault),
            };
            if let Err(fault) = taken {
                return Some(Err(fault));
            }
        }
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
