//! Events of a followed partition that are read again after their outcome is known: they are settled before they reach a
//! broker's queue.
//!
//! Guarantee: no copy of an event waits beside it. The log knows what waits by its broker and position, and would have the
//! copy, without attempts, for both.

use futures::future::BoxFuture;
use stages::{
    Ack, Settled,
    models::{Delivery, Fault, Verdict},
};
use state::{Ledger, LedgerKey, Outcome, Recorded, StateFault};

use super::{fault::LineFault, in_flight_permits::Permit, settling::Settling, ticket::Share};

/// What has become of the event, if its partition is followed and that is known.
pub(super) fn outcome(ledger: &Ledger, delivery: &Delivery) -> Result<Option<Outcome>, LineFault> {
    let event = delivery.event();
    if !ledger.holds(&event.position.source) {
        return Ok(None);
    }
    let entry = ledger.look_up(&LedgerKey::new(&delivery.broker.id, &event.event_id))?;
    // One with another body is a conflict.
    Ok(entry.filter(|entry| entry.digest == event.digest).map(|entry| entry.outcome))
}

/// Records that these are duplicates, one after the other, because the place of one is all that they hold; none if there
/// are none.
pub(super) fn settle(
    ack: Ack,
    mut known: Vec<(Delivery, Outcome, Share)>,
    permit: Permit,
) -> Option<BoxFuture<'static, Settling>> {
    let (delivery, of, last) = known.pop()?;
    Some(Box::pin(async move {
        for (delivery, of, share) in known {
            match duplicate(&ack, &delivery, of).await {
                Ok(proof) => share.settle(proof),
                fault => return (share, permit, fault),
            }
        }
        (last, permit, duplicate(&ack, &delivery, of).await)
    }))
}

async fn duplicate(ack: &Ack, delivery: &Delivery, of: Outcome) -> Result<Recorded, Fault> {
    match ack.settle(delivery, Err(Verdict::Duplicate { of })).await? {
        Settled::Recorded(proof) => Ok(proof),
        // Only what is to be tried again is.
        Settled::Spilled { .. } => Err(Fault::State(StateFault::Closed)),
    }
}
