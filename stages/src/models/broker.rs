//! A broker as the line sees it: what it wants, where it lives, how fast it may be served and how it is doing.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::{endpoint::Endpoint, health::Health, quota::Quota, tally::BrokerTally};

/// One freight broker with its TMS.
#[derive(Debug)]
pub struct Broker {
    /// The broker's name in the config: `[a-z0-9_-]`, at most 64 bytes.
    pub id: Arc<str>,
    /// Its place in the config, from zero.
    pub ordinal: usize,
    /// The shard that serves it. All of a broker's deliveries stay on one shard, so order never crosses shards.
    pub shard: usize,
    /// Which events it gets.
    pub subscription: Subscription,
    /// Where and how they are posted.
    pub endpoint: Endpoint,
    /// How fast.
    pub quota: Quota,
    /// Whether it can take any now.
    pub health: Health,
    /// How many attempts may be on the wire to it at once.
    pub concurrency: usize,
    /// What has become of its deliveries in this run.
    pub tally: BrokerTally,
}

impl Broker {
    /// Disables the broker, which is on record or is put there by whoever calls this.
    pub fn disabled_before(&self, reason: String) {
        self.health.disable(reason);
        self.tally.note_disabled();
    }

    /// Takes a disabled broker back; whoever calls this puts it on record.
    pub fn enable(&self) {
        self.health.enable();
        self.tally.note_enabled();
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
