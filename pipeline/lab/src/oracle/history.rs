//! Everything that is known of one event, as moments in the order of time: at most [`MOMENTS_MAX`], and if there are more,
//! the last one says how many.

use std::fmt::{self, Display};

use crate::BodyDigest;

use super::{evidence::Evidence, observation::Observation};
use crate::traffic::Form;

use super::{messages, violation::Violation};

/// How many moments of one event are told: enough for any honest run; one that goes on for ever needs no more.
pub const MOMENTS_MAX: usize = 60;

/// A moment in the history of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When, in milliseconds from the start of the run; none for what is only known from the account at the end.
    pub at_ms: Option<u64>,
    /// What.
    pub what: String,
}

/// The history of what `violation` is about.
pub(super) fn of(violation: &Violation, evidence: &Evidence) -> Vec<Moment> {
    let mut moments = match (violation.event(), violation) {
        (Some(event), _) => of_event(event, violation.broker(), evidence),
        (None, Violation::GarbageVanished { record, .. } | Violation::LettersTooMany { record, .. }) => {
            of_record(*record, evidence)
        }
        (None, Violation::StrayLetter { letter, .. }) => {
            evidence.dead.get(*letter).map(|claim| dead_letter(&claim.cause)).into_iter().collect()
        }
        _ => Vec::new(),
    };
    if moments.len() > MOMENTS_MAX {
        let more = moments.len() - (MOMENTS_MAX - 1);
        moments.truncate(MOMENTS_MAX - 1);
        moments.push(Moment { at_ms: None, what: format!("and {more} moments more") });
    }
    moments
}

fn of_event(event: u32, broker: Option<u16>, evidence: &Evidence) -> Vec<Moment> {
    let mut moments = Vec::new();
    for (place, entry) in appended(evidence).filter(|(_, entry)| entry.event == Some(event)) {
        let form = match entry.form {
            Form::First => "the first time",
            Form::ProducerRetry => "once more by its producer",
            Form::Replay => "once more by a replay",
            Form::Conflict => "with other bytes",
            Form::Garbage => "as garbage",
        };
        moments.push(at(entry.at_ms, format!("appended {form} (record {place})")));
    }
    for (place, witness) in (0..).zip(&evidence.brokers) {
        if broker.is_some_and(|broker| broker != place) {
            continue;
        }
        let by = if broker.is_some() { String::new() } else { format!("{}: ", witness.id) };
        let receipts = witness.received.taken.iter().filter(|receipt| receipt.event == Some(event));
        moments.extend(receipts.map(|receipt| at(receipt.at_ms, by.clone() + &taken(receipt))));
    }
    let since_ms = moments.iter().filter_map(|moment| moment.at_ms).min();
    let kills = evidence.kills_ms.iter().filter(|kill| since_ms.is_some_and(|since_ms| **kill >= since_ms));
    moments.extend(kills.map(|kill| at(*kill, "the system was killed".to_owned())));
    let until_ms = moments.iter().filter_map(|moment| moment.at_ms).max();
    let life = since_ms.unwrap_or_default()..until_ms.unwrap_or_default();
    let stalls = evidence.stalls.iter().filter(|stall| stall.start < life.end && stall.end > life.start);
    moments.extend(
        stalls.map(|stall| {
            at(stall.start, format!("the machine stood still for {} ms", stall.end - stall.start))
        }),
    );
    moments.sort_by_key(|moment| moment.at_ms);
    let here = |claimed: Option<u16>| broker.is_none() || claimed == broker || claimed.is_none();
    let letters = evidence.dead.iter().filter(|claim| claim.event == Some(event) && here(claim.broker));
    moments.extend(letters.map(|claim| dead_letter(&claim.cause)));
    let spills = evidence.spilled.iter().filter(|(place, spilled)| *spilled == event && here(Some(*place)));
    moments.extend(spills.map(|_| Moment { at_ms: None, what: "held on disk, it says".to_owned() }));
    let first = appended(evidence).find(|(_, entry)| entry.event == Some(event));
    if first.is_some_and(|(place, _)| place >= evidence.settled_to) {
        moments.push(Moment { at_ms: None, what: "not settled yet, it says".to_owned() });
    }
    moments
}

/// The records with the bytes of the one at `record`, and their letters.
fn of_record(record: usize, evidence: &Evidence) -> Vec<Moment> {
    let Some(entry) = evidence.traffic.log.get(record) else { return Vec::new() };
    let same = appended(evidence).filter(|(_, other)| other.body == entry.body);
    let mut moments: Vec<_> =
        same.map(|(place, other)| at(other.at_ms, format!("appended (record {place})"))).collect();
    let digest = BodyDigest::of(&entry.body);
    let letters = evidence.dead.iter().filter(|claim| claim.digest == digest);
    moments.extend(letters.map(|claim| dead_letter(&claim.cause)));
    moments
}

fn appended(evidence: &Evidence) -> impl Iterator<Item = (usize, &crate::traffic::Entry)> {
    evidence.traffic.log.iter().take(evidence.appended).enumerate()
}

fn taken(receipt: &Observation) -> String {
    let id = messages::id(&receipt.webhook_id);
    match receipt.told {
        Some(told) => format!("taken with {id}; told {} at {} ms", told.status, told.at_ms),
        None => format!("taken with {id}; the sender was told nothing"),
    }
}

fn at(at_ms: u64, what: String) -> Moment {
    Moment { at_ms: Some(at_ms), what }
}

fn dead_letter(cause: &str) -> Moment {
    Moment { at_ms: None, what: format!("dead letter, it says: {cause}") }
}

impl Display for Moment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at_ms {
            Some(at_ms) => write!(out, "{at_ms:>8} ms  {}", self.what),
            None => write!(out, "at the end   {}", self.what),
        }
    }
}
