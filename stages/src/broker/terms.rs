//! The settings of a broker that can change while the line runs: which events it gets, where and how they are posted,
//! how fast and how many at once. An attempt keeps the terms it began with.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::{deliver::Endpoint, route::FieldRule, throttle::Quota};

/// The settings of a broker that can change while the line runs.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Which events it gets.
    pub subscription: Subscription,
    /// Where and how its events are posted.
    pub endpoint: Endpoint,
    /// How fast, by all processes together. Terms with the same rate and burst share it, so that spent permits stay spent.
    pub quota: Arc<Quota>,
    /// How many attempts all processes together may have on the wire to it at once.
    pub concurrency: usize,
    /// What happens to its deliveries when its disk queue is full.
    pub when_full: WhenFull,
}

/// What happens to a broker's deliveries when its disk queue is full.
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

/// Which events a broker gets: those that pass all of this. The default is every event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    /// The statuses it wants; none for all.
    pub statuses: Option<FxHashSet<Arc<str>>>,
    /// The loads it wants.
    pub loads: LoadFilter,
    /// What the event's own fields must be.
    pub fields: Vec<FieldRule>,
}

/// Which loads a broker gets events of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LoadFilter {
    /// Every load.
    #[default]
    All,
    /// These loads.
    List(FxHashSet<Arc<str>>),
    /// Loads whose id starts with one of these.
    Prefixes(Vec<String>),
}
