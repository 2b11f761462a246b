//! Which status of a load comes after which, for logs that have neither times nor numbers of events.

use rustc_hash::FxHashMap;
use stages::Statuses;

/// Statuses from the first of a load to its last. Names are compared as Loadline compares them.
#[derive(Clone, Debug, Default)]
pub struct StatusOrder {
    ranks: FxHashMap<String, u64>,
    known: Statuses,
}

impl StatusOrder {
    /// The order in which `statuses` stand.
    #[must_use]
    pub fn new<'s>(statuses: impl IntoIterator<Item = &'s str>) -> Self {
        let mut order = Self::default();
        for (rank, status) in (0..).zip(statuses) {
            let name = order.name(status);
            order.ranks.entry(name).or_insert(rank);
        }
        order
    }

    /// The place of a status; none if it is not in the order.
    #[must_use]
    pub fn rank(&self, status: &str) -> Option<u64> {
        if self.ranks.is_empty() { None } else { self.ranks.get(&self.name(status)).copied() }
    }

    fn name(&self, status: &str) -> String {
        self.known.canonical(status).map_or_else(|| status.trim().to_lowercase(), |known| known.to_string())
    }
}
