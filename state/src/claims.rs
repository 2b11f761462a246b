//! Who is delivering what right now: a second delivery of the same (broker, event) waits until the first is settled.
//!
//! Held in memory only: a claim lost in a crash frees the event, and the ledger tells what had become of it. Bounded by
//! the deliveries in flight, since each holds at most one claim.

use std::{collections::hash_map::Entry, sync::Arc};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::oneshot;

use crate::{
    fault::StateFault,
    journal::{Journal, Mark},
    outcome::LedgerKey,
    unresolved::Unresolved,
};

/// Those that wait for a claim to be given up; hardly ever any.
type Waiting = Vec<oneshot::Sender<()>>;

/// The claims in force, and what an attempt under one has to ask and to write.
#[derive(Debug)]
pub(crate) struct Claims {
    held: Mutex<FxHashMap<LedgerKey, Waiting>>,
    journal: Arc<Journal>,
    unresolved: Arc<Unresolved>,
}

/// The right to deliver one event to one broker; given up when dropped.
#[derive(Debug)]
pub struct Claim {
    claims: Arc<Claims>,
    key: LedgerKey,
}

impl Claims {
    pub(crate) fn new(journal: Arc<Journal>, unresolved: Arc<Unresolved>) -> Self {
        Self { held: Mutex::default(), journal, unresolved }
    }

    /// Claims `key`, waiting for as long as someone else holds it.
    pub(crate) async fn claim(self: &Arc<Self>, key: LedgerKey) -> Claim {
        loop {
            let given_up = match self.held.lock().entry(key.clone()) {
                Entry::Vacant(vacant) => {
                    vacant.insert(Vec::new());
                    return Claim { claims: self.clone(), key };
                }
                Entry::Occupied(mut held) => {
                    let (waiting, given_up) = oneshot::channel();
                    // Those that have gone away since must not add up.
                    held.get_mut().retain(|other| !other.is_closed());
                    held.get_mut().push(waiting);
                    given_up
                }
            };
            // Nothing is ever sent: the wait ends when the senders are dropped with the holder's entry.
            let _gone = given_up.await;
        }
    }
}

impl Claim {
    /// What is claimed.
    #[must_use]
    pub fn key(&self) -> &LedgerKey {
        &self.key
    }

    /// Notes in the attempts journal that a first attempt goes out; call before it does.
    ///
    /// # Errors
    /// [`StateFault::Io`] if the journal cannot be written, [`StateFault::Closed`] once the ledger has ended,
    /// [`StateFault::Overrun`] if more are under way than can be.
    pub fn mark(&self) -> Result<Mark, StateFault> {
        self.claims.journal.mark(&self.key)
    }

    /// Whether an earlier run may have sent this, whose outcome is not on record.
    #[must_use]
    pub fn is_unresolved(&self) -> bool {
        self.claims.unresolved.contains(&self.key)
    }

    /// Whether it may, and nobody has asked this of it in this run.
    #[must_use]
    pub fn count_once(&self) -> bool {
        self.claims.unresolved.count_once(&self.key)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let waiting = self.claims.held.lock().remove(&self.key);
        // Woken when the lock is free again.
        drop(waiting);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Clock, Durability, Store, StoreOptions};

    #[tokio::test(start_paused = true)]
    async fn a_second_claim_waits_for_the_first_and_other_keys_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            durability: Durability::Process,
            dedupe_window: 1_000,
            cache: 1 << 20,
            clock: Clock::System,
        };
        let store = Store::open(dir.path(), options).unwrap();
        let journal = Arc::new(Journal::begin(&store.path, 1).unwrap());
        let claims = Arc::new(Claims::new(journal, store.unresolved));
        let first = claims.claim(LedgerKey::new("acme", "e1")).await;
        let other = claims.claim(LedgerKey::new("bolt", "e1")).await;
        let second = claims.claim(LedgerKey::new("acme", "e1"));
        tokio::pin!(second);
        assert!(tokio::time::timeout(Duration::from_secs(60), &mut second).await.is_err(), "claimed twice");
        drop(first);
        drop(second.await);
        drop(other);
        assert!(claims.held.lock().is_empty(), "a claim that is over leaves nothing behind");
    }
}
