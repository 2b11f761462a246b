//! Whether a broker was sent more than was agreed, and when, by the times of all requests it got.
//!
//! A token bucket is replayed over the arrivals: in any time *t* at most `burst + rate * t` may come (the classic
//! bound, as in RFC 2697). It is widened by the terms: what a sender spaced out may have been bunched on its way. Each
//! kill fills the bucket once more, because a system that starts anew does not know what the last one sent; and each
//! stall of the machine grants what its time does, because what was sent before it may arrive with what is sent after.

use super::{evidence::BrokerEvidence, stalls::Stalls};

use super::Terms;

/// A stretch of time in which too much came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Excess {
    /// When the first request too many came.
    pub at_ms: u64,
    /// How many there were until the sender kept to the quota again.
    pub requests: u64,
}

/// Every stretch in which the broker got more than its quota.
pub(super) fn excesses(
    broker: &BrokerEvidence,
    kills_ms: &[u64],
    stalls: &Stalls,
    terms: &Terms,
) -> Vec<Excess> {
    let mut arrivals: Vec<u64> = broker.received.taken.iter().map(|receipt| receipt.at_ms).collect();
    arrivals.extend(broker.received.refused.iter().map(|refused| refused.at_ms));
    arrivals.sort_unstable();
    let rate_per_ms = broker.rate * (1.0 + terms.quota_slack) / 1_000.0;
    let full = f64::from(broker.burst).max(1.0) + rate_per_ms * terms.bunch_ms as f64;
    let mut kills = kills_ms.iter().peekable();
    let mut stalls = stalls.iter().peekable();
    let (mut tokens, mut last_ms) = (full, 0);
    let mut excesses: Vec<Excess> = Vec::new();
    let mut over = false;
    for at_ms in arrivals {
        let refilled = tokens + rate_per_ms * (at_ms - last_ms) as f64;
        // what a kill or a stall added above a full bucket stays until it is used
        tokens = refilled.min(full.max(tokens));
        while kills.next_if(|kill| **kill <= at_ms).is_some() {
            tokens += full;
        }
        while let Some(stall) = stalls.next_if(|stall| stall.start <= at_ms) {
            tokens += full.min(rate_per_ms * (stall.end - stall.start) as f64);
        }
        last_ms = at_ms;
        if tokens >= 1.0 {
            tokens -= 1.0;
            over = false;
            continue;
        }
        match excesses.last_mut().filter(|_| over) {
            Some(excess) => excess.requests += 1,
            None => excesses.push(Excess { at_ms, requests: 1 }),
        }
        over = true;
    }
    excesses
}

#[cfg(test)]
mod tests {
    use super::super::observation::{Observation, ReceiverLog};
    use super::*;

    /// Rate 100 a second, burst 10, and so many requests at each of these times.
    fn excesses_of(arrivals: &[(u64, usize)], kills_ms: &[u64]) -> Vec<Excess> {
        excesses_on(arrivals, kills_ms, &Stalls::default())
    }

    fn excesses_on(arrivals: &[(u64, usize)], kills_ms: &[u64], stalls: &Stalls) -> Vec<Excess> {
        let receipt = |at_ms| Observation { at_ms, event: None, webhook_id: None, told: None };
        let taken = arrivals.iter().flat_map(|(at_ms, count)| vec![receipt(*at_ms); *count]).collect();
        let received = ReceiverLog { taken, refused: Vec::new() };
        let broker = BrokerEvidence {
            id: "acme".into(),
            rate: 100.0,
            burst: 10,
            timeout_ms: 1_000,
            well: true,
            received,
        };
        excesses(&broker, kills_ms, stalls, &Terms::default())
    }

    #[test]
    fn burst_and_rate_are_granted_and_so_is_what_bunches_on_the_way() {
        let mut steady = vec![(0, 10)];
        steady.extend((1..500).map(|n| (n * 10, 1)));
        assert_eq!(excesses_of(&steady, &[]), []);
        let bunched: Vec<_> = (0..100).map(|n| (n * 50, 5)).collect();
        assert_eq!(excesses_of(&bunched, &[]), []);
    }

    #[test]
    fn what_is_more_is_counted_until_the_quota_is_kept_again() {
        // 10 for the burst, 5.5 for 50 ms at 110 a second
        assert_eq!(excesses_of(&[(0, 16)], &[]), [Excess { at_ms: 0, requests: 1 }]);
        let twice = excesses_of(&[(0, 20), (1_000, 10), (1_010, 30)], &[]);
        assert_eq!(twice.iter().map(|excess| excess.at_ms).collect::<Vec<_>>(), [0, 1_010]);
        assert_eq!(twice[0].requests, 5);
        let double: Vec<_> = (0..1_000).map(|n| (n * 5, 1)).collect();
        assert!(excesses_of(&double, &[]).iter().map(|excess| excess.requests).sum::<u64>() > 400);
    }

    #[test]
    fn a_new_process_has_a_full_bucket() {
        assert_eq!(excesses_of(&[(0, 15), (10, 12)], &[5]), []);
        assert_eq!(excesses_of(&[(0, 15), (10, 20)], &[5]).len(), 1);
        assert_eq!(excesses_of(&[(0, 15), (10, 12)], &[11]).len(), 1);
    }

    #[test]
    fn what_was_sent_before_and_after_a_stall_may_arrive_together() {
        let on = |to_ms, arrivals: &[(u64, usize)]| {
            let mut stalls = Stalls::default();
            stalls.look(1_000, to_ms);
            excesses_on(arrivals, &[], &stalls).len()
        };
        // 11 for 100 ms at 110 a second, and never more than a full bucket
        assert_eq!((on(1_100, &[(1_100, 26)]), on(1_100, &[(1_100, 27)])), (0, 1));
        assert_eq!((on(3_000, &[(3_000, 31)]), on(3_000, &[(3_000, 32)])), (0, 1));
        assert_eq!(on(3_000, &[(999, 16)]), 1, "before it");
    }
}
