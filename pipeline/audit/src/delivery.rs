//! One delivery, as a log tells of it, and the order in which deliveries are judged: by broker, by load, in time. Two of
//! the same millisecond stay in the order in which they were read.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use state::UnixMillis;

use crate::sort::Sorted;

/// A request that took an event to a broker, or may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// To whom.
    pub broker: String,
    /// The load; empty if the log does not say.
    pub load: String,
    /// The event's id.
    pub event: String,
    /// The status that the event gives the load; empty if the log does not say.
    pub status: String,
    /// The digest of the body, as the log has it or as it was made from the body; empty if neither.
    pub digest: String,
    /// When it was logged.
    pub at: UnixMillis,
    /// Its place among all lines that were read.
    pub place: u64,
    /// When the event occurred, if the log says.
    pub occurred_at: Option<UnixMillis>,
    /// The producer's count of the load's events, if the log says.
    pub sequence: Option<u64>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The broker has taken the event.
    Taken,
    /// No answer came, so the broker may have taken it or not.
    Unclear,
}

impl Delivery {
    /// What is judged together: the deliveries of one load to one broker. Without a load, those of one event.
    fn group(&self) -> (&str, &str, &str) {
        (&self.broker, &self.load, if self.load.is_empty() { &self.event } else { "" })
    }

    /// Whether both are judged together.
    #[must_use]
    pub fn is_with(&self, other: &Self) -> bool {
        self.group() == other.group()
    }
}

impl Sorted for Delivery {
    fn order(&self, other: &Self) -> Ordering {
        self.group().cmp(&other.group()).then_with(|| (self.at, self.place).cmp(&(other.at, other.place)))
    }

    fn heap_bytes(&self) -> usize {
        let texts = [&self.broker, &self.load, &self.event, &self.status, &self.digest];
        // What the allocator adds to each is no more than 16 bytes for texts as short as these.
        texts.iter().map(|text| text.capacity() + 16).sum()
    }
}
