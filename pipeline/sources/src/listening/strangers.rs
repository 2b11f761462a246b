//! The slots of connections without a token, and which of them is closed when none is free. Uses no clock: the caller
//! passes the time.
//!
//! A connection keeps its slot for at least [`STAY_MIN`], and while its request is being answered. The address that
//! holds the most slots loses one first, so that it cannot keep the others out.

use std::{cmp::Reverse, collections::BTreeMap, net::IpAddr, time::Duration};

use rustc_hash::FxHashMap;
use tokio::time::Instant;

/// How long a connection keeps its slot in any case: enough to read a request that was sent, even on a busy machine.
pub(super) const STAY_MIN: Duration = Duration::from_millis(250);

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin(u128);

impl Origin {
    /// This machine, through a socket in the file system.
    pub const SOCKET: Self = Self(0);

    /// An address; of IPv6 the network of 64 bits, which is what one host is given.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.to_ipv6_mapped().to_bits()),
            IpAddr::V6(address) => Self(address.to_bits() >> 64 << 64),
        }
    }
}

/// Whether another connection can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vacancy {
    /// Now.
    Now,
    /// From this time on: then the oldest may be closed.
    At(Instant),
    /// Only when a connection ends.
    None,
}

/// The slots; `Close` ends the connection that holds one.
#[derive(Debug)]
pub(super) struct Strangers<Close> {
    max: usize,
    next: u64,
    /// By number, in the order of arrival.
    slots: BTreeMap<u64, Slot<Close>>,
}

#[derive(Debug)]
struct Slot<Close> {
    origin: Origin,
    /// Since when it is idle.
    since: Instant,
    /// Whether its request is being answered, so that it keeps its slot.
    busy: bool,
    close: Close,
}

impl<Close> Strangers<Close> {
    /// `max` slots, at least one.
    pub(super) fn new(max: usize) -> Self {
        Self { max: max.max(1), next: 0, slots: BTreeMap::new() }
    }

    /// Whether there is room for one more.
    pub(super) fn vacancy(&self, now: Instant) -> Vacancy {
        if !self.is_full() {
            return Vacancy::Now;
        }
        let free = self.slots.values().filter(|slot| !slot.busy).map(|slot| slot.since + STAY_MIN).min();
        match free {
            Some(at) if at <= now => Vacancy::Now,
            Some(at) => Vacancy::At(at),
            None => Vacancy::None,
        }
    }

    /// Whether every slot is held.
    pub(super) fn is_full(&self) -> bool {
        self.slots.len() >= self.max
    }

    /// Gives a slot to a new connection; returns its number, and what closes the connection that makes room.
    pub(super) fn insert(&mut self, now: Instant, origin: Origin, close: Close) -> (u64, Option<Close>) {
        let evicted = if self.is_full() { self.evict(now) } else { None };
        let id = self.next;
        self.next += 1;
        self.slots.insert(id, Slot { origin, since: now, busy: false, close });
        (id, evicted)
    }

    /// Sets the connection busy, or idle since `now`.
    pub(super) fn set_busy(&mut self, id: u64, busy: bool, now: Instant) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.busy = busy;
            slot.since = now;
        }
    }

    /// Frees the slot, if it is still held.
    pub(super) fn remove(&mut self, id: u64) -> bool {
        self.slots.remove(&id).is_some()
    }

    /// The oldest connection of the address that holds the most slots.
    fn evict(&mut self, now: Instant) -> Option<Close> {
        let mut of: FxHashMap<Origin, usize> = FxHashMap::default();
        for slot in self.slots.values() {
            *of.entry(slot.origin).or_default() += 1;
        }
        let free = self.slots.iter().filter(|(_, slot)| !slot.busy && slot.since + STAY_MIN <= now);
        let rank =
            |slot: &Slot<Close>| (of.get(&slot.origin).copied().unwrap_or_default(), Reverse(slot.since));
        let (&id, _) = free.max_by_key(|(_, slot)| rank(slot))?;
        self.slots.remove(&id).map(|slot| slot.close)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn origin(host: u128) -> Origin {
        Origin(host)
    }

    #[test]
    fn the_oldest_of_whoever_holds_the_most_gives_way_once_it_has_had_its_time() {
        let start = Instant::now();
        let mut all = Strangers::new(3);
        assert_eq!(all.insert(start, origin(9), "honest").1, None);
        assert_eq!(all.insert(start + STAY_MIN / 2, origin(1), "first").1, None);
        assert_eq!(all.vacancy(start), Vacancy::Now);
        assert_eq!(all.insert(start + STAY_MIN, origin(1), "second").1, None);
        assert_eq!(all.vacancy(start), Vacancy::At(start + STAY_MIN));
        let later = start + STAY_MIN * 3;
        assert_eq!(all.vacancy(later), Vacancy::Now);
        assert_eq!(all.insert(later, origin(1), "third").1, Some("first"), "not the oldest of all");
        assert_eq!(all.insert(later + STAY_MIN, origin(2), "other").1, Some("second"));
    }

    #[test]
    fn one_whose_request_is_being_answered_keeps_its_place() {
        let start = Instant::now();
        let mut all = Strangers::new(2);
        let (busy, _) = all.insert(start, origin(1), "busy");
        let (idle, _) = all.insert(start, origin(1), "idle");
        all.set_busy(busy, true, start);
        let later = start + STAY_MIN;
        assert_eq!(all.insert(later, origin(1), "new").1, Some("idle"));
        assert!(!all.remove(idle) && all.remove(busy));
        assert_eq!(all.vacancy(later), Vacancy::Now);
        let (other, _) = all.insert(later, origin(1), "other");
        all.set_busy(other, true, later);
        all.set_busy(2, true, later);
        assert_eq!(all.vacancy(later + STAY_MIN), Vacancy::None);
        all.set_busy(other, false, later + STAY_MIN);
        assert_eq!(all.vacancy(later + STAY_MIN), Vacancy::At(later + STAY_MIN * 2), "it waits from now on");
    }

    #[test]
    fn an_origin_is_an_address_or_a_network_of_ipv6() {
        let of = |text: &str| Origin::of(text.parse().unwrap());
        assert_eq!(of("10.0.0.1"), of("::ffff:10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:3:4:5:6"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }

    proptest! {
        #[test]
        fn there_are_never_more_than_there_are_places_and_nobody_is_cut_short(
            steps in proptest::collection::vec((0_u8..4, 0_u128..3, 0_u64..400), 0..200),
        ) {
            let (mut now, mut all) = (Instant::now(), Strangers::new(4));
            let mut came = BTreeMap::new();
            for (what, from, millis) in steps {
                now += Duration::from_millis(millis);
                match what {
                    0 | 1 if all.vacancy(now) == Vacancy::Now => {
                        let (id, evicted) = all.insert(now, origin(from), now);
                        came.insert(id, now);
                        if let Some(since) = evicted {
                            prop_assert!(now >= since + STAY_MIN);
                        }
                    }
                    2 => drop(came.pop_first().map(|(id, _)| all.remove(id))),
                    _ => {}
                }
                prop_assert!(all.slots.len() <= 4);
            }
        }
    }
}
