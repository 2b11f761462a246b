//! Correction events: for each load that stands wrong at some broker, its newest event's status once more, under an id of
//! its own. A load gets one event, by what all brokers were given: one for each broker could set another broker back.
//!
//! The id is made from the load and the event that is corrected, so that a second audit of the same logs makes the same
//! events, which Loadline then knows as duplicates.

use std::{
    cmp::Ordering,
    fs::File,
    io::{BufWriter, Write},
    mem::size_of,
    path::{Path, PathBuf},
};

use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};
use serde_json::json;
use state::{BodyDigest, UnixMillis};

use crate::{
    delivery::{Delivery, Outcome},
    fault::AuditFault,
    judge::{self, LoadFinding},
    sort::Sorted,
    status_order::StatusOrder,
    times::rfc3339,
};

/// When something was taken: the time, and the place among all lines that were read.
type Moment = (UnixMillis, u64);

/// The first delivery of an event to one broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FirstTaken {
    load: String,
    event: String,
    at: Moment,
    /// How the load stands at this broker, if the event is its newest there. Most events are not: so it is in a box.
    standing: Option<Box<Standing>>,
}

/// How a load stands at one broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Standing {
    /// The newest event's last delivery.
    newest: Delivery,
    /// Whether the load stands at an older event.
    wrong: bool,
}

impl FirstTaken {
    /// Of each event of a load at one broker; of none if the log does not say which load it is.
    pub(crate) fn of_load(load: &[Delivery], finding: &LoadFinding) -> Vec<Self> {
        let Some(newest) = finding.last_true.as_ref().filter(|_| !finding.load_id.is_empty()) else {
            return Vec::new();
        };
        let taken = || load.iter().filter(|delivery| delivery.outcome == Outcome::Taken);
        let is_newest =
            |delivery: &&Delivery| delivery.event == newest.event_id && delivery.at == newest.delivered_at;
        let last = taken().rev().find(is_newest).cloned();
        let mut standing = last.map(|newest| Box::new(Standing { newest, wrong: finding.stands_wrong }));
        let mut known = FxHashSet::default();
        let first = taken().filter(|delivery| known.insert(&*delivery.event));
        let of = |delivery: &Delivery| Self {
            load: delivery.load.clone(),
            event: delivery.event.clone(),
            at: (delivery.at, delivery.place),
            standing: if delivery.event == newest.event_id { standing.take() } else { None },
        };
        first.map(of).collect()
    }
}

impl Sorted for FirstTaken {
    /// By load and event; so the first of an event is its first delivery to any broker.
    fn order(&self, other: &Self) -> Ordering {
        (&self.load, &self.event, self.at).cmp(&(&other.load, &other.event, other.at))
    }

    fn heap_bytes(&self) -> usize {
        let standing = self.standing.as_ref();
        let standing = standing.map_or(0, |standing| size_of::<Standing>() + standing.newest.heap_bytes());
        // As in a delivery, 16 bytes are for the allocator.
        self.load.capacity() + self.event.capacity() + 2 * 16 + standing
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) events: u64,
    /// Loads that stand wrong and whose newest event has no status.
    pub(crate) without_status: u64,
}

/// What is known of a load, as its events come by. It is as much as the load has brokers.
#[derive(Debug, Default)]
struct Load {
    id: String,
    /// The event that came last, and its first delivery to any broker.
    event: Option<(String, Moment)>,
    /// How the load stands at each broker, with the first delivery of its newest event there to any broker.
    standings: Vec<(Standing, Moment)>,
}

impl Load {
    fn add(&mut self, FirstTaken { event, at, standing, .. }: FirstTaken) {
        let first = match &self.event {
            Some((known, first)) if *known == event => *first,
            _ => at,
        };
        self.event = Some((event, first));
        self.standings.extend(standing.map(|standing| (*standing, first)));
    }

    /// The newest of the brokers' newest events; none if the load stands right at all of them.
    ///
    /// Events of the same rank, as all are without an order, are judged as `judge` does it: what was first taken later is
    /// newer. It is the first delivery to any broker that counts: a last one, or one to a broker that was behind, may be
    /// that of an old event, and would set the others back.
    fn correction(&self, statuses: &StatusOrder) -> Option<&Delivery> {
        if !self.standings.iter().any(|(standing, _)| standing.wrong) {
            return None;
        }
        let deliveries: Vec<&Delivery> =
            self.standings.iter().map(|(standing, _)| &standing.newest).collect();
        let (_, ranks) = judge::ranks(&deliveries, statuses);
        let all = ranks.iter().zip(&self.standings).zip(deliveries);
        let newest = all.max_by_key(|((rank, (_, first)), last)| (**rank, *first, last.at, last.place));
        newest.map(|(_, delivery)| delivery)
    }
}

/// A file of correction events.
pub(crate) struct CorrectionEvents<'s> {
    path: PathBuf,
    out: BufWriter<File>,
    statuses: &'s StatusOrder,
    written: Written,
}

impl<'s> CorrectionEvents<'s> {
    /// A new file; an existing one is left alone.
    pub(crate) fn create(path: &Path, statuses: &'s StatusOrder) -> Result<Self, AuditFault> {
        let file =
            File::create_new(path).map_err(|source| AuditFault::Output { path: path.to_owned(), source })?;
        let (out, written) = (BufWriter::new(file), Written::default());
        Ok(Self { path: path.to_owned(), out, statuses, written })
    }

    /// Writes the corrections of all loads, whose events come sorted.
    pub(crate) fn write(
        mut self,
        events: impl Iterator<Item = Result<FirstTaken, AuditFault>>,
    ) -> Result<Written, AuditFault> {
        let mut load = Load::default();
        for event in events {
            let event = event?;
            if load.id != event.load {
                let next = Load { id: event.load.clone(), ..Load::default() };
                self.correct(&std::mem::replace(&mut load, next))?;
            }
            load.add(event);
        }
        self.correct(&load)?;
        self.out.flush().map_err(|source| AuditFault::Output { path: self.path, source })?;
        Ok(self.written)
    }

    fn correct(&mut self, load: &Load) -> Result<(), AuditFault> {
        let Some(newest) = load.correction(self.statuses) else { return Ok(()) };
        if newest.status.is_empty() {
            self.written.without_status += 1;
            return Ok(());
        }
        self.written.events += 1;
        let fault = |source| AuditFault::Output { path: self.path.clone(), source };
        writeln!(self.out, "{}", event(newest)).map_err(fault)
    }
}

/// The event that says once more what `newest` says, in the form that the default `[schema]` reads.
fn event(newest: &Delivery) -> String {
    let Delivery { load, event, status, .. } = newest;
    let digits = BodyDigest::of(json!([load, event]).to_string().as_bytes()).to_hex();
    let occurred_at = rfc3339(newest.occurred_at.unwrap_or(newest.at));
    let mut body = json!({
        "eventId": format!("correction-{digits}"), "loadId": load, "status": status, "occurredAt": occurred_at,
        "corrects": event,
    });
    if let Some(sequence) = newest.sequence {
        body["sequence"] = json!(sequence);
    }
    body.to_string()
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
