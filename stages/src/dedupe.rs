//! Decides whether a delivery is fresh (its broker has never been given this event), a duplicate, or a conflict: an
//! event id that was seen with another body.
//!
//! Guarantee: while a delivery of (broker, event) is under way, a second one waits here until the first is settled or
//! put back to wait for another attempt; in the latter case the ledger decides between them later.
//!
//! A copy that waits on disk, too, is no more than a duplicate of one that waits with attempts behind it, such as a dead
//! letter that is sent again behind it: only that one knows that it may be a repeat.

use state::{Ledger, LedgerEntry, LedgerKey, Outcome};

use crate::{
    Stage,
    models::{Delivery, Exit, Fault, Fresh, Step, Undeliverable, Verdict},
};

/// Looks each delivery up in the ledger.
#[derive(Clone, Debug)]
pub struct Dedupe {
    ledger: Ledger,
}

impl Dedupe {
    /// Dedupe against `ledger`.
    #[must_use]
    pub fn new(ledger: &Ledger) -> Self {
        Self { ledger: ledger.clone() }
    }
}

impl Stage for Dedupe {
    type In = Delivery;
    type Out = Fresh;

    async fn run(&self, delivery: Delivery) -> Step<Fresh> {
        let event = delivery.event();
        let key = LedgerKey::new(&delivery.broker.id, &event.event_id);
        delivery.run.keep(self.ledger.claim(key.clone()).await);
        let entry = self.ledger.look_up(&key).map_err(|fault| Exit::Fault(Fault::State(fault)))?;
        match entry {
            None => Ok(Fresh::new(delivery)),
            Some(entry) if entry.digest != event.digest => Err(Exit::Verdict(Verdict::Undeliverable {
                why: Undeliverable::Conflict { recorded: entry.digest },
                history: delivery.history,
            })),
            Some(entry) if is_own(&entry, &delivery) => Ok(Fresh::new(delivery)),
            Some(entry) => Err(Exit::Verdict(Verdict::Duplicate { of: entry.outcome })),
        }
    }
}

/// Whether a delivery that waits has found its own entry, which was written when it had no more attempts behind it. One that
/// came with its partition has: the log vouches for one of each event, and an earlier owner that lives on may have put it
/// back there with fewer attempts.
fn is_own(entry: &LedgerEntry, delivery: &Delivery) -> bool {
    let tried = delivery.history.attempts;
    entry.outcome == Outcome::Spilled
        && (delivery.restored || (delivery.on_disk && tried >= entry.failed_attempts))
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use state::{
        Clock, CommitOptions, Durability, FailedAttempt, Record, SimulatedDisk, Store, StoreOptions,
    };

    use super::*;
    use crate::testing::{broker_with, fresh};

    #[tokio::test(start_paused = true)]
    async fn a_copy_does_not_go_in_the_place_of_a_dead_letter_that_is_sent_again_behind_it() {
        let (durability, clock) = (Durability::Process, Clock::simulated(1_000_000));
        let options = StoreOptions { durability, dedupe_window: 3_600_000, cache: 1 << 20, clock };
        let store = Store::open_simulated(&SimulatedDisk::new(), options).unwrap();
        let commits = CommitOptions { commit_max: 8, linger: Duration::ZERO, inbox_max: 8 };
        let (ledger, work) = Ledger::start_inline(store, commits).unwrap();
        drop(tokio::spawn(work));
        let broker = Arc::new(broker_with("acme", 1.0, 1));
        let waits = |seq| fresh(&broker).into_delivery().into_spilled(seq);
        let (copy, mut letter) = (waits(0), waits(1));
        let (status, cause) = (Some(500), String::new());
        letter
            .history
            .push(FailedAttempt { at: 1, status, cause, may_have_arrived: true, answer: None }, true);
        let replayed = Record::Replayed { delivery: Box::new(letter.clone()), letter: None };
        let _proof = ledger.record(replayed).await.unwrap();
        let dedupe = Dedupe::new(&ledger);
        let restored = Delivery::restored(copy.clone(), broker.clone(), true);
        assert!(dedupe.run(restored).await.is_ok(), "the log has this one alone");
        let copy = dedupe.run(Delivery::from_spill(copy, broker.clone(), false)).await;
        assert!(matches!(copy, Err(Exit::Verdict(Verdict::Duplicate { of: Outcome::Spilled }))));
        assert!(dedupe.run(Delivery::from_spill(letter, broker, false)).await.is_ok());
    }
}
