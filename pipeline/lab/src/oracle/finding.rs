//! A violation with its names and the whole history of its event, ready to be told.

use std::fmt::{self, Display};

use super::evidence::Evidence;

use super::{
    history::{self, Moment},
    violation::Violation,
};

/// A violation, told.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What.
    pub violation: Violation,
    /// The broker it concerns.
    pub broker: Option<String>,
    /// The event it concerns.
    pub event: Option<EventName>,
    /// The newer event or the other event the violation speaks of, if it does.
    pub other: Option<EventName>,
    /// All that is known of the event at that broker (at any, if the violation concerns no single one), in the order
    /// of time.
    pub history: Vec<Moment>,
}

/// What an event is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventName {
    /// The producer's id.
    pub id: String,
    /// Its load.
    pub load: String,
}

impl Finding {
    pub(super) fn of(violation: Violation, evidence: &Evidence) -> Self {
        let name = |place: u32| {
            let event = evidence.traffic.events.get(place as usize)?;
            Some(EventName { id: event.id.clone(), load: event.load_id.to_string() })
        };
        let other = match violation {
            Violation::OutOfOrder { newer, .. } => name(newer),
            Violation::SharedId { other, .. } => name(other),
            _ => None,
        };
        let broker = violation.broker().map(|place| {
            let broker = evidence.brokers.get(usize::from(place));
            broker.map_or_else(|| format!("broker number {place}"), |broker| broker.id.clone())
        });
        let history = history::of(&violation, evidence);
        Self { broker, event: violation.event().and_then(name), other, history, violation }
    }
}

impl Display for EventName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "event {} of load {}", self.id, self.load)
    }
}

impl Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(broker) = &self.broker {
            write!(out, "{broker}: ")?;
        }
        if let Some(event) = &self.event {
            write!(out, "{event}: ")?;
        }
        write!(out, "{}", self.violation)?;
        if let Some(other) = &self.other {
            write!(out, " ({other})")?;
        }
        for moment in &self.history {
            write!(out, "\n  {moment}")?;
        }
        Ok(())
    }
}
