//! Who holds a place without having shown a token: connections enter and leave, and where no place is left, which one
//! gives way. Asks no clock; the caller says what the time is.
//!
//! Guarantees: no more places are held than there are, but for those that may not be taken away; a connection keeps its
//! place for [`STAY_MIN`] at least; whoever holds the most places gives way first, so that one address cannot keep the
//! others out.

use std::{cmp::Reverse, collections::BTreeMap, net::IpAddr, time::Duration};

use rustc_hash::FxHashMap;
use tokio::time::Instant;

/// How long a connection keeps its place whoever else comes: a request that has been sent is read within it, also on a
/// machine that is busy.
pub(super) const STAY_MIN: Duration = Duration::from_millis(250);

/// From where a connection comes, as far as it counts here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin(u128);

impl Origin {
    /// This machine, through a socket in the file system.
    pub(crate) const SOCKET: Self = Self(0);

    /// An address; of IPv6 the network of 64 bits, which is what one host is given.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.to_ipv6_mapped().to_bits()),
            IpAddr::V6(address) => Self(address.to_bits() >> 64 << 64),
        }
    }
}

/// Whether another connection can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// Now.
    Now,
    /// From this moment on, because one gives way then.
    At(Instant),
    /// Once one leaves.
    None,
}

/// The places; `Cut` ends a connection that has to give way.
#[derive(Debug)]
pub(super) struct Strangers<Cut> {
    max: usize,
    next: u64,
    /// By number: the first has come first.
    held: BTreeMap<u64, Held<Cut>>,
}

#[derive(Debug)]
struct Held<Cut> {
    origin: Origin,
    /// Since when it waits.
    since: Instant,
    /// Whether it may not be taken away: its request is being answered.
    kept: bool,
    cut: Cut,
}

impl<Cut> Strangers<Cut> {
    /// `max` places, at least one.
    pub(super) fn new(max: usize) -> Self {
        Self { max: max.max(1), next: 0, held: BTreeMap::new() }
    }

    /// Whether there is room for one more.
    pub(super) fn room(&self, now: Instant) -> Room {
        if !self.is_full() {
            return Room::Now;
        }
        let free = self.held.values().filter(|held| !held.kept).map(|held| held.since + STAY_MIN).min();
        match free {
            Some(at) if at <= now => Room::Now,
            Some(at) => Room::At(at),
            None => Room::None,
        }
    }

    /// Whether every place is held.
    pub(super) fn is_full(&self) -> bool {
        self.held.len() >= self.max
    }

    /// Gives a place to one that comes; its number, and what ends the one that had to give way.
    pub(super) fn arrive(&mut self, now: Instant, origin: Origin, cut: Cut) -> (u64, Option<Cut>) {
        let gone = if self.is_full() { self.give_way(now) } else { None };
        let id = self.next;
        self.next += 1;
        self.held.insert(id, Held { origin, since: now, kept: false, cut });
        (id, gone)
    }

    /// The place may not be taken away any more, or may again, after `now`.
    pub(super) fn keep(&mut self, id: u64, kept: bool, now: Instant) {
        if let Some(held) = self.held.get_mut(&id) {
            held.kept = kept;
            held.since = now;
        }
    }

    /// Gives the place back, if it is held still.
    pub(super) fn leave(&mut self, id: u64) -> bool {
        self.held.remove(&id).is_some()
    }

    /// The oldest of whoever holds the most.
    fn give_way(&mut self, now: Instant) -> Option<Cut> {
        let mut of: FxHashMap<Origin, usize> = FxHashMap::default();
        for held in self.held.values() {
            *of.entry(held.origin).or_default() += 1;
        }
        let free = self.held.iter().filter(|(_, held)| !held.kept && held.since + STAY_MIN <= now);
        let rank =
            |held: &Held<Cut>| (of.get(&held.origin).copied().unwrap_or_default(), Reverse(held.since));
        let (&id, _) = free.max_by_key(|(_, held)| rank(held))?;
        self.held.remove(&id).map(|held| held.cut)
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
        assert_eq!(all.arrive(start, origin(9), "honest").1, None);
        assert_eq!(all.arrive(start + STAY_MIN / 2, origin(1), "first").1, None);
        assert_eq!(all.room(start), Room::Now);
        assert_eq!(all.arrive(start + STAY_MIN, origin(1), "second").1, None);
        assert_eq!(all.room(start), Room::At(start + STAY_MIN));
        let later = start + STAY_MIN * 3;
        assert_eq!(all.room(later), Room::Now);
        assert_eq!(all.arrive(later, origin(1), "third").1, Some("first"), "not the oldest of all");
        assert_eq!(all.arrive(later + STAY_MIN, origin(2), "other").1, Some("second"));
    }

    #[test]
    fn one_whose_request_is_being_answered_keeps_its_place() {
        let start = Instant::now();
        let mut all = Strangers::new(2);
        let (busy, _) = all.arrive(start, origin(1), "busy");
        let (idle, _) = all.arrive(start, origin(1), "idle");
        all.keep(busy, true, start);
        let later = start + STAY_MIN;
        assert_eq!(all.arrive(later, origin(1), "new").1, Some("idle"));
        assert!(!all.leave(idle) && all.leave(busy));
        assert_eq!(all.room(later), Room::Now);
        let (other, _) = all.arrive(later, origin(1), "other");
        all.keep(other, true, later);
        all.keep(2, true, later);
        assert_eq!(all.room(later + STAY_MIN), Room::None);
        all.keep(other, false, later + STAY_MIN);
        assert_eq!(all.room(later + STAY_MIN), Room::At(later + STAY_MIN * 2), "it waits from now on");
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
                    0 | 1 if all.room(now) == Room::Now => {
                        let (id, gone) = all.arrive(now, origin(from), now);
                        came.insert(id, now);
                        if let Some(since) = gone {
                            prop_assert!(now >= since + STAY_MIN);
                        }
                    }
                    2 => drop(came.pop_first().map(|(id, _)| all.leave(id))),
                    _ => {}
                }
                prop_assert!(all.held.len() <= 4);
            }
        }
    }
}
