//! Who is delivering what right now: a second delivery of the same (broker, event) waits until the first is settled.
//!
//! Held in memory only: a claim lost in a crash frees the event, and the ledger tells what had become of it. Bounded by
//! the deliveries in flight, since each holds at most one claim.

use std::{collections::hash_map::Entry, sync::Arc};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::oneshot;

use crate::outcome::LedgerKey;

/// Those that wait for a claim to be given up; hardly ever any.
type Waiting = Vec<oneshot::Sender<()>>;

/// The claims in force.
#[derive(Debug, Default)]
pub(crate) struct Claims(Mutex<FxHashMap<LedgerKey, Waiting>>);

/// The right to deliver one event to one broker; given up when dropped.
#[derive(Debug)]
pub struct Claim {
    claims: Arc<Claims>,
    key: LedgerKey,
}

impl Claims {
    /// Claims `key`, waiting for as long as someone else holds it.
    pub(crate) async fn claim(self: &Arc<Self>, key: LedgerKey) -> Claim {
        loop {
            let given_up = match self.0.lock().entry(key.clone()) {
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
}

impl Drop for Claim {
    fn drop(&mut self) {
        let waiting = self.claims.0.lock().remove(&self.key);
        // Woken when the lock is free again.
        drop(waiting);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_second_claim_waits_for_the_first_and_other_keys_do_not() {
        let claims = Arc::new(Claims::default());
        let first = claims.claim(LedgerKey::new("acme", "e1")).await;
        let other = claims.claim(LedgerKey::new("bolt", "e1")).await;
        let second = claims.claim(LedgerKey::new("acme", "e1"));
        tokio::pin!(second);
        assert!(tokio::time::timeout(Duration::from_secs(60), &mut second).await.is_err(), "claimed twice");
        drop(first);
        drop(second.await);
        drop(other);
        assert!(claims.0.lock().is_empty(), "a claim that is over leaves nothing behind");
    }
}
