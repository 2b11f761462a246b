//! A broker as the line sees it: its identity, its health, and its terms. Identity and health stay for the whole run;
//! the terms can be replaced at any time.

mod halt;
mod terms;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

pub use self::{
    halt::Halt,
    terms::{LoadFilter, Subscription, Terms, WhenFull},
};
use crate::{
    retry::Health,
    tally::BrokerTally,
    throttle::{Allowed, Portion, Quota},
};

/// One freight broker with its TMS.
#[derive(Debug)]
pub struct Broker {
    /// The broker's name in the config: `[a-z0-9_-]`, at most 64 bytes.
    pub id: Arc<str>,
    /// Its number among all brokers of this run, from zero.
    pub ordinal: usize,
    /// The shard that serves it. All of a broker's deliveries stay on one shard, so order never crosses shards.
    pub shard: usize,
    /// Whether it can be sent anything now.
    pub health: Health,
    /// Counts of its deliveries in this run.
    pub tally: BrokerTally,
    /// Whether no further attempt is to begin, because the line is stopping.
    pub halt: Halt,
    terms: ArcSwap<Terms>,
    /// This process's part of what the terms allow. Held while either changes.
    portion: Mutex<Portion>,
    /// What is in force: that part.
    quota: ArcSwap<Quota>,
    /// The same, read with each event of a delivery.
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
            portion: Mutex::default(),
            quota: ArcSwap::new(Arc::clone(&terms.quota)),
            concurrency: AtomicUsize::new(terms.concurrency),
            terms: ArcSwap::from_pointee(terms),
            leaving: AtomicBool::new(false),
        }
    }

    /// The current terms. Read them once where several values must be consistent.
    #[must_use]
    pub fn terms(&self) -> Arc<Terms> {
        self.terms.load_full()
    }

    /// The current quota: this process's portion of the one in the terms.
    #[must_use]
    pub fn quota(&self) -> Arc<Quota> {
        self.quota.load_full()
    }

    /// How many attempts this process may have on the wire to it at once.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        self.concurrency.load(Ordering::Relaxed)
    }

    /// What happens to its deliveries when its disk queue is full.
    #[must_use]
    pub fn when_full(&self) -> WhenFull {
        self.terms.load().when_full
    }

    /// Replaces the terms for every attempt that begins from now on. A new quota takes over from the old one, so that
    /// the change itself allows no further attempt.
    pub fn agree(&self, terms: Terms) {
        let portion = self.portion.lock();
        self.terms.store(Arc::new(terms));
        self.divide(&portion);
    }

    /// Sets which part of the terms' limits is this process's, for every attempt that begins from now on. As with new
    /// terms, the change itself allows no further attempt.
    pub fn set_portion(&self, portion: Portion) {
        let mut current = self.portion.lock();
        if *current != portion {
            *current = portion;
            self.divide(&current);
        }
    }

    /// Puts this process's portion of the terms in force.
    fn divide(&self, portion: &Portion) {
        let (terms, old) = (self.terms(), self.quota());
        let whole = Allowed {
            rate: terms.quota.rate(),
            burst: terms.quota.burst(),
            concurrency: terms.concurrency,
            wire_time: None,
        };
        let allowed = portion.of(whole);
        self.concurrency.store(allowed.map_or(0, |allowed| allowed.concurrency), Ordering::Relaxed);
        let quota = match portion {
            Portion::Whole => Arc::clone(&terms.quota),
            Portion::Held { .. } if old.is_of_portion(allowed.as_ref()) => return,
            Portion::Held { .. } => Arc::new(Quota::of_portion(allowed)),
        };
        if Arc::ptr_eq(&old, &quota) {
            return;
        }
        quota.take_over(&old);
        self.quota.store(quota);
        // Only now, so that whoever waits for the old one finds the new one.
        old.replace();
    }

    /// Sets whether the broker was removed from the config. It is served until its deliveries are done.
    pub fn set_leaving(&self, leaving: bool) {
        self.leaving.store(leaving, Ordering::Relaxed);
    }

    /// Whether it was removed from the config.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Disables the broker. The caller records this, or it is recorded already.
    pub fn mark_disabled(&self, reason: String) {
        self.health.disable(reason);
        self.tally.note_disabled();
    }

    /// Enables a disabled broker. The caller records this.
    pub fn enable(&self) {
        self.health.enable();
        self.tally.note_enabled();
    }
}
