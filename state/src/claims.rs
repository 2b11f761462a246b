//! Claims on (broker, event): a second delivery of the same event to the same broker waits until the first is
//! settled.
//!
//! Held in memory only: a claim lost in a crash frees the event, and the ledger has its outcome if there was one.
//! Each delivery in flight holds at most one claim, so their number is bounded.

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

/// Tasks that wait for a claim to be released; rarely any.
type Waiting = Vec<oneshot::Sender<()>>;

/// The claims in force, with the journal and the unresolved deliveries that an attempt under a claim uses.
#[derive(Debug)]
pub(crate) struct Claims {
    held: Mutex<FxHashMap<LedgerKey, Waiting>>,
    journal: Arc<Journal>,
    unresolved: Arc<Unresolved>,
}

/// The right to deliver one event to one broker; released when dropped.
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
                    // Cancelled waiters must not accumulate.
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
    /// The claimed key.
    #[must_use]
    pub fn key(&self) -> &LedgerKey {
        &self.key
    }

    /// Writes the key to the attempts journal. Call before the first attempt is sent.
    ///
    /// # Errors
    /// [`StateFault::Io`] if the journal cannot be written, [`StateFault::Closed`] once the ledger has ended,
    /// [`StateFault::Overrun`] if more are under way than can be.
    pub fn mark(&self) -> Result<Mark, StateFault> {
        self.claims.journal.mark(&self.key)
    }

    /// Whether an earlier run may have sent this without a recorded outcome.
    #[must_use]
    pub fn is_unresolved(&self) -> bool {
        self.claims.unresolved.contains(&self.key)
    }

    /// As [`is_unresolved`](Self::is_unresolved), true once per run: for counting.
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
        let journal = Arc::new(Journal::begin(&store.files, 1).unwrap());
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
