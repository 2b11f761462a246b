//! A write to disk: items of memory enter, with who has vouched for them; what is to be written leaves, with what is given
//! up once it is durable.

use state::{Clock, Mark, Spill, SpillSeq, SpilledDelivery};
use tokio::time::Instant;

use super::{
    account::Account,
    queue::{Item, Origin},
    ticket::Share,
};

/// Deliveries on their way to disk, and what is given up once they are durable.
#[derive(Debug, Default)]
pub(super) struct Write {
    pub(super) deliveries: Vec<SpilledDelivery>,
    /// One for each delivery: the share that its durability settles; none if it was on disk before.
    pub(super) shares: Vec<Option<Share>>,
    /// Items that leave memory; their permits are given back when the write is done.
    pub(super) unloaded: Vec<Item>,
    /// Places in the attempts journal of deliveries that do not run: what is written here says the same of them.
    pub(super) marks: Vec<Mark>,
    /// With the write: up to which number what is on disk may be sent from memory.
    pub(super) sent_below: Option<SpillSeq>,
}

impl Write {
    /// Adds a delivery; what vouched for it until now goes with it.
    pub(super) fn push(&mut self, delivery: SpilledDelivery, origin: Origin, account: &mut Account) {
        account.writing(delivery.seq);
        let share = match origin {
            Origin::Live(share) => {
                account.add(Spill::cost(&delivery));
                Some(share)
            }
            Origin::Disk => None,
        };
        self.deliveries.push(delivery);
        self.shares.push(share);
    }
}

/// The bytes `item` takes on disk.
pub(super) fn cost(item: &Item) -> u64 {
    Spill::cost_of(item.delivery.event())
}

/// `item` as it stands on disk.
pub(super) fn spilled(item: &Item, clock: &Clock) -> SpilledDelivery {
    let now = Instant::now();
    let wait = item.not_before.map_or(0, |until| until.saturating_duration_since(now).as_millis());
    let not_before = if wait == 0 { 0 } else { clock.lived() + u64::try_from(wait).unwrap_or(u64::MAX / 2) };
    SpilledDelivery {
        broker: item.delivery.broker.id.clone(),
        seq: item.delivery.seq,
        event: item.delivery.event().clone(),
        history: item.delivery.history.clone(),
        not_before,
        may_repeat: item.delivery.may_repeat,
    }
}
