//! What is agreed with a broker: which events it gets, where and how they are posted, how fast and how many at once. May
//! be replaced while the line runs; an attempt keeps what it began with.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::{endpoint::Endpoint, quota::Quota};

/// What is agreed with a broker.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Which events it gets.
    pub subscription: Subscription,
    /// Where and how they are posted.
    pub endpoint: Endpoint,
    /// How fast. Terms with the same rate and burst share it, so that what has been spent stays spent.
    pub quota: Arc<Quota>,
    /// How many attempts may be on the wire to it at once.
    pub concurrency: usize,
    /// What becomes of its deliveries when its disk queue is full.
    pub when_full: WhenFull,
}

/// What becomes of a broker's deliveries when its disk queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// They become dead letters; the other brokers never wait for this one.
    DeadLetter,
    /// They wait in memory, and once that is full, so does the source.
    Hold,
}

impl WhenFull {
    /// Its name in the config.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeadLetter => "dead-letter",
            Self::Hold => "hold",
        }
    }
}

/// Which events a broker gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The statuses it wants; none for all.
    pub statuses: Option<FxHashSet<Arc<str>>>,
    /// The loads it wants.
    pub loads: LoadFilter,
}

/// Which loads a broker gets events of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadFilter {
    /// Every load.
    All,
    /// These loads.
    List(FxHashSet<Arc<str>>),
    /// Loads whose id starts with this.
    Prefix(String),
}
