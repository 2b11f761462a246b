//! Decides whether a delivery is fresh (its broker has never been given this event), a duplicate, or a conflict: an
//! event id that was seen with another body.
//!
//! Guarantee: while a delivery of (broker, event) is under way, a second one waits here until the first is settled or
//! put back to wait for another attempt; in the latter case the ledger decides between them later.

use state::{Ledger, LedgerKey, Outcome};

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
            // One that waits finds its own entry.
            Some(entry) if entry.outcome == Outcome::Spilled && delivery.waits() => Ok(Fresh::new(delivery)),
            Some(entry) => Err(Exit::Verdict(Verdict::Duplicate { of: entry.outcome })),
        }
    }
}
