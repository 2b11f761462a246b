//! A broker as the line sees it: who it is, what is agreed with it and how it is doing. Who it is and how it is doing
//! stay for the whole run; what is agreed may be replaced at any time.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use arc_swap::ArcSwap;

use super::{Terms, WhenFull};
use crate::{halt::Halt, health::Health, quota::Quota, tally::BrokerTally};

/// One freight broker with its TMS.
#[derive(Debug)]
pub struct Broker {
    /// The broker's name in the config: `[a-z0-9_-]`, at most 64 bytes.
    pub id: Arc<str>,
    /// Its number among all brokers of this run, from zero.
    pub ordinal: usize,
    /// The shard that serves it. All of a broker's deliveries stay on one shard, so order never crosses shards.
    pub shard: usize,
    /// Whether it can take any now.
    pub health: Health,
    /// What has become of its deliveries in this run.
    pub tally: BrokerTally,
    /// Whether no further attempt is to begin, because the line is stopping.
    pub halt: Halt,
    terms: ArcSwap<Terms>,
    /// That of the terms, asked for with each event of a delivery.
    concurrency: AtomicUsize,
    leaving: AtomicBool,
}

impl Broker {
    /// A broker that is served by shard `shard` on these terms.
    #[must_use]
    pub fn new(id: impl Into<Arc<str>>, ordinal: usize, shard: usize, terms: Terms, health: Health) -> Self {
        Self {
            id: id.into(),
            ordinal,
            shard,
            health,
            tally: BrokerTally::default(),
            halt: Halt::default(),
            concurrency: AtomicUsize::new(terms.concurrency),
            terms: ArcSwap::from_pointee(terms),
            leaving: AtomicBool::new(false),
        }
    }

    /// What is agreed now. Whoever does several things that have to fit together reads it once.
    #[must_use]
    pub fn terms(&self) -> Arc<Terms> {
        self.terms.load_full()
    }

    /// How fast it may be served now.
    #[must_use]
    pub fn quota(&self) -> Arc<Quota> {
        Arc::clone(&self.terms.load().quota)
    }

    /// How many attempts may be on the wire to it at once now.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        self.concurrency.load(Ordering::Relaxed)
    }

    /// What becomes of its deliveries when its disk queue is full now.
    #[must_use]
    pub fn when_full(&self) -> WhenFull {
        self.terms.load().when_full
    }

    /// Agrees on other terms: every attempt that begins from now on is made on them. A new quota takes over from the
    /// old one, so that the change itself allows no attempt more.
    pub fn agree(&self, terms: Terms) {
        let old = self.terms();
        self.concurrency.store(terms.concurrency, Ordering::Relaxed);
        if Arc::ptr_eq(&old.quota, &terms.quota) {
            self.terms.store(Arc::new(terms));
            return;
        }
        terms.quota.take_over(&old.quota);
        self.terms.store(Arc::new(terms));
        // Only now: whoever waits for the old one must find the new one.
        old.quota.replace();
    }

    /// Notes whether the config still names it. It is served all the same, as long as there is something for it.
    pub fn set_leaving(&self, leaving: bool) {
        self.leaving.store(leaving, Ordering::Relaxed);
    }

    /// Whether the config does not name it any more.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

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
