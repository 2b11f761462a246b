//! The database with brokers and subscriptions, as the status shows it.

use serde::{Deserialize, Serialize};
use subscriptions::Counts;

use super::{seconds, span::span};
use crate::text_table::shown_in;

/// An outage that is shorter is no reason to worry, in seconds: a server that is restarted takes about so long.
const AWAY_MAX: f64 = 2.0;
/// How many characters of an error are shown.
const ERROR_MAX: usize = 200;

/// The database with brokers and subscriptions at one moment. Counts are of this run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionsStatus {
    /// Queries for blocks of loads that were answered.
    pub lookups: u64,
    /// Loads that were looked up.
    pub loads: u64,
    /// Subscriptions that were found.
    pub rows: u64,
    /// Queries and connections that failed.
    pub failures: u64,
    /// Events that wait for an answer.
    pub waiting: u64,
    /// Events that were routed by what was known last of their load.
    pub last_known_events: u64,
    /// Loads of which the last answer is kept.
    pub last_known_loads: u64,
    /// Whether events are routed so now, because the database is away.
    pub bridged: bool,
    /// Brokers of the table that are in force.
    pub brokers: u64,
    /// Brokers whose rows are broken, with what is wrong with them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<RejectedBroker>,
    /// Subscriptions found whose broker is not in force, because its row was never whole.
    pub unknown_brokers: u64,
    /// How old the copy of the brokers' table is, in seconds; none if there is none yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brokers_age_seconds: Option<f64>,
    /// For how long the database has not answered, in seconds; none if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub away_seconds: Option<f64>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// A broker whose row is broken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RejectedBroker {
    /// The broker.
    pub broker: String,
    /// What is wrong with its row.
    pub why: String,
}

impl From<&Counts> for SubscriptionsStatus {
    fn from(counts: &Counts) -> Self {
        let outage = counts.outage();
        let rejected = counts.rejected().into_iter().map(|(broker, why)| RejectedBroker { broker, why });
        Self {
            lookups: counts.queries(),
            loads: counts.loads(),
            rows: counts.rows(),
            failures: counts.failures(),
            waiting: counts.waiting() as u64,
            last_known_events: counts.last_known(),
            last_known_loads: counts.known_loads() as u64,
            bridged: counts.is_bridged(),
            brokers: counts.brokers() as u64,
            rejected: rejected.collect(),
            unknown_brokers: counts.unknown(),
            brokers_age_seconds: counts.age().map(seconds),
            away_seconds: outage.as_ref().map(|outage| seconds(outage.length)),
            last_error: outage.map(|outage| outage.error.to_string()),
        }
    }
}

impl SubscriptionsStatus {
    /// Whether events wait because the database does not answer.
    pub(crate) fn holds(&self) -> bool {
        self.away_seconds.is_some() && self.waiting > 0
    }

    /// Why events wait, or will.
    pub(super) fn reason(&self) -> Option<String> {
        let away = self.away_seconds.filter(|away| *away > AWAY_MAX || self.waiting > 0 || self.bridged)?;
        let error = self.last_error.as_deref().unwrap_or_default();
        let Self { waiting, last_known_events: events, .. } = self;
        let held = match (waiting, self.bridged) {
            (0, false) => "what is read next waits to be routed".to_owned(),
            (0, true) => format!("events are routed by what was known last of their loads, {events} so far"),
            (waiting, false) => format!("the intake is held and {waiting} events wait to be routed"),
            (waiting, true) => format!(
                "the intake is held and {waiting} events wait, one of them of a load that is not known; {events} were routed by \
                 what was known last"
            ),
        };
        Some(format!(
            "the database of subscriptions has not answered for {}: {held}; last error: {}",
            span(away),
            shown_in(error, ERROR_MAX)
        ))
    }

    /// What to know of one that answers.
    pub(super) fn notes(&self) -> Option<String> {
        let first = self.rejected.first()?;
        let more = match self.rejected.len() - 1 {
            0 => String::new(),
            more => format!("; and {more} more rows are broken"),
        };
        let RejectedBroker { broker, why } = first;
        Some(format!(
            "the row of broker {broker} is broken, what was in force of it stays: {}{more}",
            shown_in(why, ERROR_MAX)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Condition, Status, Verdict};

    #[test]
    fn an_outage_that_holds_events_is_the_first_reason_and_a_broken_row_is_a_note() {
        let rejected = vec![RejectedBroker { broker: "acme".into(), why: "rate: is out of bounds".into() }];
        let away = SubscriptionsStatus { rejected, ..SubscriptionsStatus::default() };
        let verdict = |subscriptions: SubscriptionsStatus| {
            let held = subscriptions.holds();
            let subscriptions = Some(subscriptions);
            Verdict::new(&Status { subscriptions, held, ..Status::default() }, true)
        };
        let well = verdict(away.clone());
        assert_eq!(well.word, Condition::Healthy);
        assert!(well.because[0].starts_with("the row of broker acme is broken"), "{well}");
        let away = SubscriptionsStatus {
            away_seconds: Some(7.0),
            last_error: Some("it cannot be reached: refused".into()),
            waiting: 3,
            ..away
        };
        let lagging = verdict(away);
        assert_eq!(lagging.word, Condition::Lagging);
        let first = "the database of subscriptions has not answered for 7.0s: the intake is held and 3 events wait to be \
                     routed; last error: it cannot be reached: refused";
        assert_eq!(lagging.because[0], first);
        let bridged = SubscriptionsStatus {
            away_seconds: Some(1.0),
            bridged: true,
            last_known_events: 12,
            ..SubscriptionsStatus::default()
        };
        let told = verdict(bridged.clone());
        assert_eq!(told.word, Condition::Lagging);
        let first = "the database of subscriptions has not answered for 1.0s: events are routed by what was known last of their \
                     loads, 12 so far; last error: ";
        assert_eq!(told.because[0], first);
        let held = verdict(SubscriptionsStatus { waiting: 3, ..bridged });
        assert!(
            held.because[0].contains("the intake is held and 3 events wait, one of them of a load that"),
            "{held}"
        );
        let short = SubscriptionsStatus { away_seconds: Some(1.0), ..SubscriptionsStatus::default() };
        assert_eq!(verdict(short).word, Condition::Healthy);
    }
}
