//! Correction events: for each load that stands wrong at some broker, its newest event's status once more, under an id of
//! its own. A load gets one event, by what all brokers were given: one for each broker could set another broker back.
//!
//! The id is made from the load and the event that is corrected, so that a second audit of the same logs makes the same
//! events, which Loadline then knows as duplicates.

use std::{
    cmp::Ordering,
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use state::BodyDigest;

use crate::{
    delivery::Delivery, fault::AuditFault, judge, sort::Sorted, status_order::StatusOrder, times::rfc3339,
};

/// The newest event of a load at one broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Standing {
    pub(crate) newest: Delivery,
    /// Whether the load stands at an older one there.
    pub(crate) wrong: bool,
}

impl Sorted for Standing {
    fn order(&self, other: &Self) -> Ordering {
        self.newest.load.cmp(&other.newest.load).then_with(|| self.newest.order(&other.newest))
    }

    fn heap_bytes(&self) -> usize {
        self.newest.heap_bytes()
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) events: u64,
    /// Loads that stand wrong and whose newest event has no status.
    pub(crate) without_status: u64,
}

/// A file of correction events.
pub(crate) struct CorrectionEvents<'s> {
    path: PathBuf,
    out: BufWriter<File>,
    statuses: &'s StatusOrder,
    load: Vec<Standing>,
    written: Written,
}

impl<'s> CorrectionEvents<'s> {
    /// A new file; an existing one is left alone.
    pub(crate) fn create(path: &Path, statuses: &'s StatusOrder) -> Result<Self, AuditFault> {
        let file =
            File::create_new(path).map_err(|source| AuditFault::Output { path: path.to_owned(), source })?;
        let (out, load, written) = (BufWriter::new(file), Vec::new(), Written::default());
        Ok(Self { path: path.to_owned(), out, statuses, load, written })
    }

    /// Adds standings, sorted.
    pub(crate) fn write(
        mut self,
        standings: impl Iterator<Item = Result<Standing, AuditFault>>,
    ) -> Result<Written, AuditFault> {
        for standing in standings {
            let standing = standing?;
            if self.load.first().is_some_and(|first| first.newest.load != standing.newest.load) {
                self.end_load()?;
            }
            self.load.push(standing);
        }
        self.end_load()?;
        self.out.flush().map_err(|source| AuditFault::Output { path: self.path, source })?;
        Ok(self.written)
    }

    fn end_load(&mut self) -> Result<(), AuditFault> {
        let load = std::mem::take(&mut self.load);
        let Some(newest) =
            newest(&load, self.statuses).filter(|_| load.iter().any(|standing| standing.wrong))
        else {
            return Ok(());
        };
        if newest.status.is_empty() {
            self.written.without_status += 1;
            return Ok(());
        }
        self.written.events += 1;
        let fault = |source| AuditFault::Output { path: self.path.clone(), source };
        writeln!(self.out, "{}", event(newest)).map_err(fault)
    }
}

/// The newest of a load's events at all brokers.
fn newest<'l>(load: &'l [Standing], statuses: &StatusOrder) -> Option<&'l Delivery> {
    let deliveries: Vec<&Delivery> = load.iter().map(|standing| &standing.newest).collect();
    let (_, ages) = judge::ages(&deliveries, statuses);
    ages.iter().zip(&deliveries).max_by_key(|(age, _)| **age).map(|(_, delivery)| *delivery)
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
mod tests {
    use super::*;
    use crate::delivery::Outcome;

    fn standing(
        broker: &str,
        load: &str,
        event: &str,
        sequence: u64,
        wrong: bool,
    ) -> Result<Standing, AuditFault> {
        let newest = Delivery {
            broker: broker.into(),
            load: load.into(),
            event: event.into(),
            status: if event == "e-0" { String::new() } else { "delivered".into() },
            digest: String::new(),
            at: 2_000,
            place: 1,
            occurred_at: Some(1_000),
            sequence: Some(sequence),
            outcome: Outcome::Taken,
        };
        Ok(Standing { newest, wrong })
    }

    #[test]
    fn a_load_that_stands_wrong_anywhere_gets_its_newest_status_of_all_brokers_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.ndjson");
        let statuses = StatusOrder::default();
        let write = |path: &Path| {
            let events = CorrectionEvents::create(path, &statuses).unwrap();
            let standings = [
                standing("acme", "L-1", "e-5", 5, false),
                standing("bolt", "L-1", "e-4", 4, true),
                standing("acme", "L-2", "e-9", 9, false),
                standing("acme", "L-3", "e-0", 1, true),
            ];
            events.write(standings.into_iter()).unwrap()
        };
        assert_eq!(write(&path), Written { events: 1, without_status: 1 });
        let text = std::fs::read_to_string(&path).unwrap();
        let event: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(
            (&event["loadId"], &event["corrects"], &event["sequence"]),
            (&json!("L-1"), &json!("e-5"), &json!(5))
        );
        assert_eq!(event["occurredAt"], "1970-01-01T00:00:01Z");
        assert!(event["eventId"].as_str().unwrap().starts_with("correction-"), "{event}");
        assert!(CorrectionEvents::create(&path, &statuses).is_err(), "it is not overwritten");
        let again = dir.path().join("again.ndjson");
        write(&again);
        assert_eq!(std::fs::read_to_string(again).unwrap(), text, "the same logs give the same events");
    }
}
