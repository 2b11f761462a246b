//! A batch of one broker's deliveries on its way to disk, with what is given up once it is durable.

use state::{Mark, Spill, SpillSeq, SpilledDelivery};

use super::{
    at::At,
    load_queues::{Backing, Item},
    spill_index::SpillIndex,
};
use crate::ticket::Share;

/// Deliveries on their way to disk, and what is given up once they are durable.
#[derive(Debug, Default)]
pub(crate) struct SpillBatch {
    pub(crate) deliveries: Vec<SpilledDelivery>,
    /// One for each delivery: the share that its durability settles; none if it was on disk before.
    pub(crate) shares: Vec<Option<Share>>,
    /// Items that leave memory; their permits are given back when the write is done.
    pub(crate) unloaded: Vec<Item>,
    /// Items whose records are read again by whoever gets their partition: they leave at once.
    pub(crate) abandoned: Vec<Item>,
    /// Places in the attempts journal of deliveries that do not run: what is written here says the same of them.
    pub(crate) marks: Vec<Mark>,
    /// With the write: up to which number what is on disk may be sent from memory.
    pub(crate) sent_below: Option<SpillSeq>,
}

impl SpillBatch {
    /// Adds a delivery; what vouched for it until now goes with it.
    pub(crate) fn push(&mut self, delivery: SpilledDelivery, backing: Backing, index: &mut SpillIndex) {
        index.writing(delivery.seq);
        let share = match backing {
            Backing::Source(share) => {
                index.add(Spill::cost(&delivery));
                Some(share)
            }
            Backing::Disk => None,
        };
        self.deliveries.push(delivery);
        self.shares.push(share);
    }
}

/// The bytes `item` takes on disk.
pub(crate) fn cost(item: &Item) -> u64 {
    Spill::cost_of(item.delivery.event())
}

/// `item` as it stands on disk.
pub(crate) fn spilled(item: &Item, at: At<'_>) -> SpilledDelivery {
    let wait = item.not_before.map_or(0, |until| until.saturating_duration_since(at.now).as_millis());
    let not_before = if wait == 0 { 0 } else { at.lived + u64::try_from(wait).unwrap_or(u64::MAX / 2) };
    SpilledDelivery {
        broker: item.delivery.broker.id.clone(),
        seq: item.delivery.seq,
        event: item.delivery.event().clone(),
        history: item.delivery.history.clone(),
        not_before,
        may_repeat: item.delivery.may_repeat,
        row: item.delivery.row,
    }
}
