//! The deliveries of one broker that are being given up: what finds no room on disk, until it is on record. See
//! [`give_up`](super::give_up) for the rule.

use std::{collections::hash_map::Entry, sync::Arc};

use rustc_hash::FxHashMap;
use state::SpillSeq;

use super::{load_queues::Item, spill_batch::cost};

/// What is being given up.
#[derive(Debug, Default)]
pub(crate) struct GivingUp {
    items: FxHashMap<SpillSeq, Item>,
    /// How many of each load.
    loads: FxHashMap<Arc<str>, usize>,
}

impl GivingUp {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// The bytes they would take on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.items.values().map(cost).sum()
    }

    /// Whether one of `load` is being given up.
    pub(crate) fn holds(&self, load: &Arc<str>) -> bool {
        self.loads.contains_key(load)
    }

    pub(super) fn insert(&mut self, item: Item) {
        *self.loads.entry(item.delivery.event().load_id.clone()).or_default() += 1;
        self.items.insert(item.delivery.seq, item);
    }

    pub(super) fn remove(&mut self, seq: SpillSeq) -> Option<Item> {
        let item = self.items.remove(&seq)?;
        if let Entry::Occupied(mut count) = self.loads.entry(item.delivery.event().load_id.clone()) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        Some(item)
    }
}
