//! This process's portion of a broker's limits: the broker's rate, burst and concurrency are divided over the partitions of the
//! topic, and a process may use the part of those that it holds. Pure.
//!
//! Guarantees, whoever holds which partitions, if no partition is held twice: the rates of all processes together are the
//! broker's rate, at most. A burst or concurrency of at least the number of partitions is divided without a rest. One that
//! is smaller cannot be: then each process that holds any partition has at least one, so together they have less than one
//! more for each process; and the time that requests are on the wire is bounded, so that in the mean no more are there at
//! once than the broker's concurrency. A process without partitions has nothing.

use std::{num::NonZeroU32, sync::Arc};

/// The part of a broker's limits that is this process's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Portion {
    /// All of it: no other process delivers to the broker.
    #[default]
    Whole,
    /// That of these partitions.
    Held {
        /// Their numbers, each once.
        partitions: Arc<[u32]>,
        /// How many partitions the topic has.
        of: u32,
    },
}

/// What is allowed at a broker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Allowed {
    /// Attempts a second.
    pub rate: f64,
    /// How many of them may be saved up.
    pub burst: NonZeroU32,
    /// Attempts on the wire at once.
    pub concurrency: usize,
    /// Seconds on the wire in each second, in the mean; none if concurrency bounds that.
    pub wire_time: Option<f64>,
}

impl Portion {
    /// The portion of `partitions`, of so many. Partitions that are not known to exist yet count as if they did.
    #[must_use]
    pub fn held(partitions: impl IntoIterator<Item = u32>, of: u32) -> Self {
        let partitions: Arc<[u32]> = partitions.into_iter().collect();
        let known = partitions.iter().map(|partition| partition.saturating_add(1)).max();
        Self::Held { of: of.max(known.unwrap_or(0)).max(1), partitions }
    }

    /// What this portion of `whole` is; none if it is nothing.
    #[must_use]
    pub fn of(&self, whole: Allowed) -> Option<Allowed> {
        let Self::Held { partitions, of } = self else { return Some(whole) };
        let fraction = partitions.len() as f64 / f64::from(*of);
        if partitions.is_empty() {
            return None;
        }
        let burst = self.slots(whole.burst.get() as usize).unwrap_or_else(|| {
            // Rounded down, but one is needed to send anything.
            ((f64::from(whole.burst.get()) * fraction) as usize).max(1)
        });
        let (concurrency, wire_time) = match self.slots(whole.concurrency) {
            Some(slots) => (slots, None),
            None => {
                let part = whole.concurrency as f64 * fraction;
                (part.ceil() as usize, Some(part))
            }
        };
        let burst = u32::try_from(burst).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
        Some(Allowed { rate: whole.rate * fraction, burst, concurrency: concurrency.max(1), wire_time })
    }

    /// How many of `whole`, which is divided over all partitions without a rest, belong to those that are held; none if
    /// there are too few for that.
    fn slots(&self, whole: usize) -> Option<usize> {
        let Self::Held { partitions, of } = self else { return Some(whole) };
        let (whole, of) = (whole as u64, u64::from(*of));
        // Partition `p` has those from `below(p)` to `below(p + 1)`.
        let below = |partition: u64| whole * partition / of;
        let of_each = partitions.iter().map(|&partition| {
            let partition = u64::from(partition);
            below(partition + 1) - below(partition)
        });
        (whole >= of).then(|| usize::try_from(of_each.sum::<u64>()).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allowed(rate: f64, burst: u32, concurrency: usize) -> Allowed {
        Allowed { rate, burst: NonZeroU32::new(burst).unwrap(), concurrency, wire_time: None }
    }

    proptest! {
        /// Each partition is at one process or, in a rebalance, at none.
        #[test]
        fn whoever_holds_which_partitions_together_they_have_no_more_than_the_broker_allows(
            owners in proptest::collection::vec(proptest::option::of(0_usize..12), 1..40),
            rate in 0.001_f64..10_000.0, burst in 1_u32..200, concurrency in 1_usize..200,
        ) {
            let of = u32::try_from(owners.len()).unwrap();
            let whole = allowed(rate, burst, concurrency);
            let portions: Vec<Allowed> = (0..12).filter_map(|process| {
                let mine = owners.iter().zip(0..).filter(|(owner, _)| **owner == Some(process));
                let held: Vec<u32> = mine.map(|(_, partition)| partition).collect();
                let portion = Portion::held(held.iter().copied(), of).of(whole);
                assert_eq!(portion.is_none(), held.is_empty(), "without partitions there is nothing");
                portion
            }).collect();
            let everyone = owners.iter().all(Option::is_some);
            let rates: f64 = portions.iter().map(|portion| portion.rate).sum();
            prop_assert!(rates <= rate * (1.0 + 1e-9));
            prop_assert!(!everyone || rates >= rate * (1.0 - 1e-9));
            let (bursts, at_once) = (
                portions.iter().map(|portion| portion.burst.get() as usize).sum::<usize>(),
                portions.iter().map(|portion| portion.concurrency).sum::<usize>(),
            );
            for (together, whole) in [(bursts, burst as usize), (at_once, concurrency)] {
                if whole >= owners.len() {
                    prop_assert!(together <= whole && (!everyone || together == whole));
                } else {
                    prop_assert!(together < whole + portions.len() || portions.is_empty());
                }
            }
            let on_wire = portions.iter().map(|portion| portion.wire_time.unwrap_or(portion.concurrency as f64));
            prop_assert!(on_wire.sum::<f64>() <= concurrency as f64 * (1.0 + 1e-9));
            prop_assert!(portions.iter().all(|portion| portion.concurrency >= 1));
        }
    }

    #[test]
    fn twelve_processes_divide_what_one_had() {
        let whole = allowed(60.0, 60, 1);
        let one = Portion::held([3], 12).of(whole).unwrap();
        assert_eq!((one.rate, one.burst.get(), one.concurrency), (5.0, 5, 1));
        assert_eq!(one.wire_time, Some(1.0 / 12.0), "one request at a time, a twelfth of the time");
        assert_eq!(Portion::held(0..12, 12).of(whole).unwrap().wire_time, Some(1.0));
        let eight = Portion::held(0..4, 12).of(allowed(60.0, 60, 16)).unwrap();
        assert_eq!((eight.concurrency, eight.wire_time), (5, None));
        assert_eq!(Portion::held([], 12).of(whole), None);
        assert_eq!(Portion::Whole.of(whole), Some(whole));
        // One that was added, and is not counted yet.
        let thirteen = Portion::held([12], 12).of(allowed(65.0, 60, 1)).unwrap();
        assert_eq!(thirteen.rate, 5.0);
    }
}
