//! The verdict in one line: whether the run is healthy, and if not why.

use std::fmt;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use super::{
    BrokerStatus, PartitionStatus, Status, SubscriptionsStatus,
    backlog::{OLDEST_MAX, backlog, unread},
    recent::{Failing, advice},
    span::span,
};
use crate::text_table::shown_in;

/// A partition that could not be read for longer counts as unreachable, in seconds: usually longer than finding a new
/// leader.
const AWAY_MAX: f64 = 10.0;
/// How many characters of an error are shown.
const ERROR_MAX: usize = 200;
/// The share of its rate at which a broker counts as limited by it.
const AT_RATE: f64 = 0.95;
/// How many brokers one reason names.
const NAMES_MAX: usize = 5;
/// How many reasons are shown; the rest is in the table.
const REASONS_MAX: usize = 3;

/// The verdict on a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// The condition.
    pub word: Condition,
    /// The reasons, the worst first; hints for a healthy run.
    pub because: Vec<String>,
}

/// The condition of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Events arrive and leave.
    Healthy,
    /// Events wait.
    Lagging,
    /// A broker refuses what it is sent, or what is read is no event: dead letters are made instead of deliveries.
    Failing,
    /// Nothing is settled any more.
    Faulted,
    /// No process runs.
    NotRunning,
}

impl Verdict {
    /// The verdict on `status`, of a running process if `running`.
    #[must_use]
    pub fn new(status: &Status, running: bool) -> Self {
        let mut because = Vec::new();
        let mut notes = Vec::new();
        if status.ledger.as_ref().is_some_and(|ledger| ledger.faulted) {
            because.push("the ledger cannot write: its log says why".to_owned());
            return Self { word: Condition::Faulted, because };
        }
        let mut brokers: Vec<&BrokerStatus> = status.brokers.iter().collect();
        brokers.sort_by(|one, other| worse(one, other));
        for broker in brokers {
            if broker.leaving {
                let (id, left) = (&broker.id, broker.waiting().max(broker.queued + broker.on_wire));
                notes.push(format!(
                    "broker {id} is no longer in the config and gets nothing new, {left} are left for it"
                ));
            }
            if broker.no_room > 0 {
                because.push(no_room(broker));
            }
            let reason = if running { reason(broker) } else { left_behind(broker) };
            match reason {
                Some(reason) if ["disabled", "stranded"].contains(&&*broker.state) || is_untried(broker) => {
                    notes.push(reason);
                }
                Some(reason) => because.push(reason),
                None => {}
            }
        }
        let database = status.subscriptions.as_ref();
        // The database says by itself that it holds the intake.
        if status.held && !database.is_some_and(SubscriptionsStatus::holds) {
            because.insert(0, held(&status.partitions));
        }
        because.splice(0..0, database.and_then(SubscriptionsStatus::reason));
        notes.extend(database.and_then(SubscriptionsStatus::notes));
        // First, because the log's content is unknown.
        let away = out_of_reach(&status.partitions).into_iter();
        because.splice(0..0, away);
        because.extend(if running { backlog(&status.partitions) } else { unread(&status.partitions) });
        if !because.is_empty() {
            because.extend(at_their_rate(&status.brokers));
        }
        if status.stopping {
            notes.insert(0, "it is stopping".to_owned());
        }
        let Failing { reasons, notes: more } = Failing::of(status);
        notes.extend(more);
        let word = match (running, reasons.is_empty(), because.is_empty()) {
            (false, _, _) => Condition::NotRunning,
            (true, false, _) => Condition::Failing,
            (true, true, true) => Condition::Healthy,
            (true, true, false) => Condition::Lagging,
        };
        because.splice(0..0, reasons);
        because.append(&mut notes);
        Self { word, because }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, joint) = match self.word {
            Condition::Healthy => ("healthy", ", but "),
            Condition::Lagging => ("lagging", " because "),
            Condition::Failing => ("failing", " because "),
            Condition::Faulted => ("faulted", " because "),
            Condition::NotRunning => ("no process runs", "; "),
        };
        f.write_str(word)?;
        for (number, reason) in self.because.iter().take(REASONS_MAX).enumerate() {
            write!(f, "{}{reason}", if number == 0 { joint } else { "; " })?;
        }
        match self.because.len().saturating_sub(REASONS_MAX) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// Worst first: by state, then by how long something has waited.
pub(super) fn worse(one: &BrokerStatus, other: &BrokerStatus) -> std::cmp::Ordering {
    let rank = |broker: &BrokerStatus| match &*broker.state {
        "open" => 0,
        "half-open" => 1,
        "disabled" | "stranded" => 2,
        "paused" => 3,
        "limited" => 4,
        "draining" => 5,
        _ => 6,
    };
    let age = |broker: &BrokerStatus| broker.oldest_seconds.unwrap_or(-1.0);
    rank(one).cmp(&rank(other)).then(age(other).total_cmp(&age(one)))
}

/// What backpressure holds: all, or only partitions with too many unsettled records.
fn held(partitions: &[PartitionStatus]) -> String {
    let held = partitions.iter().filter(|partition| partition.held);
    let others = held.clone().count().saturating_sub(1);
    match held.clone().next() {
        Some(first) if others + 1 < partitions.len() => match others {
            0 => format!("backpressure holds {}", first.name),
            1 => format!("backpressure holds {} and one more partition", first.name),
            more => format!("backpressure holds {} and {more} more partitions", first.name),
        },
        _ => "backpressure holds the intake".to_owned(),
    }
}

/// The partition that could not be read for longest, standing for all.
fn out_of_reach(partitions: &[PartitionStatus]) -> Option<String> {
    let away = || {
        partitions.iter().filter_map(|partition| {
            let away = partition.away().filter(|away| *away > AWAY_MAX)?;
            Some((away, partition))
        })
    };
    let (longest, partition) = away().max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    let others = match away().count() - 1 {
        0 => String::new(),
        1 => ", nor has one more partition".to_owned(),
        more => format!(", nor have {more} more partitions"),
    };
    let error = partition.reading.as_ref().and_then(|reading| reading.last_error.as_deref());
    let error = error.map_or(String::new(), |error| format!(", last error: {}", shown_in(error, ERROR_MAX)));
    Some(format!("{} has not been readable for {}{others}{error}", partition.name, span(longest)))
}

/// How a broker with a full queue holds all others.
fn no_room(broker: &BrokerStatus) -> String {
    let BrokerStatus { id, spilled_bytes, no_room, .. } = broker;
    let size = ByteSize(*spilled_bytes);
    let then = if broker.when_full == "dead-letter" && broker.queue_full > 0 {
        format!("what finds no room there becomes dead letters ({} so far)", broker.queue_full)
    } else {
        format!("{no_room} more wait in memory for room there")
    };
    format!("the disk queue of {id} is full ({size}), and {then}")
}

/// What waits for a broker while no process runs.
fn left_behind(broker: &BrokerStatus) -> Option<String> {
    match (&*broker.state, broker.waiting()) {
        ("disabled" | "stranded", _) => reason(broker),
        (_, 0) => None,
        (_, waiting) => Some(format!("{waiting} wait on disk for {}", broker.id)),
    }
}

/// The brokers that are limited by their own rate: another process would not make them faster.
fn at_their_rate(brokers: &[BrokerStatus]) -> Option<String> {
    let used_up = |broker: &&BrokerStatus| {
        let used = broker.rate_used.unwrap_or(0.0);
        broker.waiting() > 0 && used >= AT_RATE * broker.rate_allowed && used > 0.0
    };
    let names: Vec<&str> = brokers.iter().filter(used_up).map(|broker| broker.id.as_str()).collect();
    let named = names.iter().take(NAMES_MAX).copied().collect::<Vec<_>>().join(", ");
    match (names.len(), names.len().saturating_sub(NAMES_MAX)) {
        (0, _) => None,
        (1, _) => Some(format!("{named} takes all that its rate allows")),
        (_, 0) => Some(format!("{named} take all that their rates allow")),
        (_, more) => Some(format!("{named} and {more} more take all that their rates allow")),
    }
}

/// Whether a breaker is half-open only because there is nothing to probe with.
fn is_untried(broker: &BrokerStatus) -> bool {
    ["open", "half-open"].contains(&&*broker.state) && broker.waiting() == 0 && broker.on_wire == 0
}

fn reason(broker: &BrokerStatus) -> Option<String> {
    let BrokerStatus { id, state, oldest_seconds, last_error, .. } = broker;
    let waiting = broker.waiting();
    let waits = match (waiting, oldest_seconds) {
        (0, _) => String::new(),
        (waiting, None) => format!(", {waiting} wait"),
        (waiting, Some(oldest)) => format!(", {waiting} wait, the oldest for {}", span(*oldest)),
    };
    let waits = match broker.spilled_bytes_max {
        Some(max) if broker.spilled_bytes >= max / 4 * 3 && broker.spilled_bytes > 0 => {
            let share = broker.spilled_bytes as f64 * 100.0 / max as f64;
            format!("{waits}, its disk queue {share:.0}% full")
        }
        _ => waits,
    };
    let waits = match broker.full_in_seconds {
        Some(seconds) if seconds > 0.0 => format!("{waits}, full in about {}", span(seconds)),
        _ => waits,
    };
    let error = last_error.as_ref().map_or(String::new(), |error| format!(", last error: {}", error.cause));
    match &**state {
        "open" | "half-open" => {
            let refuses = broker.last_error.as_ref().and_then(|error| error.status);
            let advice = match refuses {
                Some(400..=499) => format!("; {}", advice(broker)),
                _ => String::new(),
            };
            let what = if is_untried(broker) {
                "took nothing when it was last tried, and nothing waits for it"
            } else {
                "does not take anything"
            };
            Some(format!("broker {id} {what} ({state}){waits}{error}{advice}"))
        }
        "disabled" => {
            let why = broker.disabled.as_deref().unwrap_or("no reason given");
            Some(format!("broker {id} is disabled ({why}): what comes for it becomes dead letters"))
        }
        "stranded" => Some(format!(
            "{waiting} wait on disk for {id}, which the config does not name: they stay there until it does"
        )),
        "paused" if waiting == 0 => None,
        "paused" => Some(format!("broker {id} is paused by an operator{waits}")),
        "limited" if waiting > 0 => Some(format!("broker {id} has asked for a pause{waits}")),
        // Reported already.
        "draining" if broker.leaving => None,
        "draining" => Some(format!("broker {id} catches up{waits}")),
        _ if oldest_seconds.is_some_and(|oldest| oldest > OLDEST_MAX) => {
            Some(format!("broker {id} is slower than its events come{waits}"))
        }
        _ => None,
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
