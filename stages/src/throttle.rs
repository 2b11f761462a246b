//! The throttle: lets a fresh delivery be attempted once, at the broker's pace.
//!
//! Guarantees: nothing passes while its broker is held, except a probe, or once the line is stopping; then nothing
//! waits. Nothing passes whose attempt may outlast this process's [`Lease`]. No more deliveries pass than the broker's [`Quota`](crate::Quota) gave permits, in the order in which they
//! came. The quota counts how often one had to wait: [`Quota::waits`](crate::Quota::waits).

mod lease;
mod portion;
mod quota;
mod wire_time;

use std::sync::Arc;

use tokio::time::Instant;

pub use self::{
    lease::Lease,
    portion::{Allowed, Portion},
    quota::{Quota, QuotaError, RATE_MAX, RATE_MIN, REFILL_MAX, Replaced},
};
use crate::{
    broker::Broker,
    models::{Fresh, Permitted, Step},
    retry::{spilled, through_gate},
    stage::Stage,
};

/// Waits for the broker's quota, and for the lease if there is one. Has no state of its own.
#[derive(Clone, Debug, Default)]
pub struct Throttle {
    lease: Option<Arc<Lease>>,
}

impl Throttle {
    /// A throttle for all brokers of a process that nobody replaces.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A throttle for all brokers of a process that has this lease; none if nobody replaces it.
    #[must_use]
    pub fn under(lease: Option<Arc<Lease>>) -> Self {
        Self { lease }
    }

    /// Waits until an attempt at this broker may begin; false if that has to be asked again. Another quota may have come
    /// into force meanwhile, or the permit too late for the lease: it is lost then, which only slows the pace.
    async fn permitted(&self, broker: &Broker) -> bool {
        let quota = broker.quota();
        let Some(lease) = &self.lease else { return quota.permit().await.is_ok() };
        let longest = broker.terms().endpoint.longest();
        lease.covering(longest).await;
        quota.permit().await.is_ok() && lease.covers(longest)
    }
}

impl Stage for Throttle {
    type In = Fresh;
    type Out = Permitted;

    async fn run(&self, fresh: Fresh) -> Step<Permitted> {
        let delivery = fresh.delivery();
        loop {
            tokio::select! {
                biased;
                permitted = self.permitted(&delivery.broker) => if permitted { break },
                () = delivery.broker.halt.asked(&delivery.run) => return Err(spilled(fresh, None)),
            }
        }
        if delivery.broker.halt.is_asked(&delivery.run) {
            return Err(spilled(fresh, None));
        }
        // Meanwhile the broker's gate may have closed. The permit is lost then, which only slows the pace.
        if delivery.probe {
            return Ok(fresh.permit());
        }
        let gate = delivery.broker.health.gate(Instant::now());
        Ok(through_gate(fresh, gate)?.permit())
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::broker::Terms;
    use crate::models::{Exit, Verdict};
    use crate::testing::{broker_with, fresh};

    #[tokio::test(start_paused = true)]
    async fn each_broker_waits_for_its_own_quota_only() {
        let (slow, fast) =
            (Arc::new(broker_with("slow", 1.0, 1)), Arc::new(broker_with("fast", 1_000.0, 10)));
        let (throttle, start) = (Throttle::new(), Instant::now());
        for _ in 0..3 {
            throttle.run(fresh(&slow)).await.unwrap();
        }
        assert_eq!(start.elapsed(), Duration::from_secs(2));
        throttle.run(fresh(&fast)).await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_secs(2));
        assert_eq!((slow.quota().waits(), fast.quota().waits()), (2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_waited_while_its_broker_was_held_goes_back_and_a_probe_goes_on() {
        let broker = Arc::new(broker_with("acme", 1.0, 1));
        let (first, second, mut probe) = (fresh(&broker), fresh(&broker), fresh(&broker));
        drop(Throttle::new().run(first).await.unwrap());
        broker.health.pause_until(Instant::now() + Duration::from_secs(60));
        let exit = Throttle::new().run(second).await.unwrap_err();
        assert!(matches!(exit, Exit::Verdict(Verdict::Spilled { not_before: None, .. })), "{exit:?}");
        probe.delivery_mut().probe = true;
        drop(Throttle::new().run(probe).await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_the_quota_when_the_line_stops_comes_back_at_once() {
        let broker = Arc::new(broker_with("acme", 0.001, 1));
        drop(Throttle::new().run(fresh(&broker)).await.unwrap());
        let waits = |fresh| tokio::spawn(async move { Throttle::new().run(fresh).await });
        let (one, other) = (waits(fresh(&broker)), waits(fresh(&broker)));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let start = Instant::now();
        broker.halt.ask();
        let spilled = |exit: Step<Permitted>| {
            matches!(exit, Err(Exit::Verdict(Verdict::Spilled { not_before: None, .. })))
        };
        assert!(spilled(one.await.unwrap()) && spilled(other.await.unwrap()));
        let full = Arc::new(broker_with("blue", 1_000.0, 10));
        full.halt.ask();
        assert!(spilled(Throttle::new().run(fresh(&full)).await), "although there is a permit");
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_halted_alone_comes_back_and_the_others_wait_on() {
        let broker = Arc::new(broker_with("acme", 0.001, 1));
        drop(Throttle::new().run(fresh(&broker)).await.unwrap());
        let (one, other, late) = (fresh(&broker), fresh(&broker), fresh(&broker));
        let runs = [&one, &late].map(|fresh| fresh.delivery().run.clone());
        let waits = |fresh| tokio::spawn(async move { Throttle::new().run(fresh).await });
        let (one, other) = (waits(one), waits(other));
        tokio::time::sleep(Duration::from_secs(1)).await;
        broker.halt.ask_each(runs.iter().map(|run| &**run));
        assert!(one.await.unwrap().is_err());
        assert!(Throttle::new().run(late).await.is_err(), "before it waits");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!other.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_when_the_rate_changes_goes_on_at_the_new_one() {
        let broker = Arc::new(broker_with("acme", 0.01, 1));
        drop(Throttle::new().run(fresh(&broker)).await.unwrap());
        let start = Instant::now();
        let waits = |fresh| tokio::spawn(async move { Throttle::new().run(fresh).await.is_ok() });
        let waiters = [waits(fresh(&broker)), waits(fresh(&broker))];
        tokio::time::sleep(Duration::from_secs(1)).await;
        let quota = broker_with("acme", 2.0, 1).quota();
        broker.agree(Terms { quota, ..(*broker.terms()).clone() });
        for waiter in waiters {
            assert!(waiter.await.unwrap());
        }
        assert_eq!(start.elapsed(), Duration::from_secs(2), "half a second for each of the two");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_passes_without_a_lease_and_a_stop_waits_for_none() {
        let broker = Arc::new(broker_with("acme", 1_000.0, 10));
        let lease = Arc::new(Lease::new(state::Clock::simulated(5_000)));
        let throttle = Throttle::under(Some(lease.clone()));
        let waits = |fresh| {
            let throttle = throttle.clone();
            tokio::spawn(async move { throttle.run(fresh).await.is_ok() })
        };
        let first = waits(fresh(&broker));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!first.is_finished());
        lease.renew(lease.now(), Duration::from_secs(60));
        assert!(first.await.unwrap());
        // The process has stood still for a minute: its permit has come long ago.
        tokio::time::advance(Duration::from_secs(61)).await;
        let (late, mut probe) = (waits(fresh(&broker)), fresh(&broker));
        probe.delivery_mut().probe = true;
        let probe = waits(probe);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!late.is_finished() && !probe.is_finished());
        broker.halt.ask();
        assert!(!late.await.unwrap() && !probe.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn other_terms_at_the_same_rate_keep_what_has_been_spent() {
        let broker = Arc::new(broker_with("acme", 1.0, 1));
        drop(Throttle::new().run(fresh(&broker)).await.unwrap());
        broker.agree(Terms { concurrency: 1, ..(*broker.terms()).clone() });
        let start = Instant::now();
        drop(Throttle::new().run(fresh(&broker)).await.unwrap());
        assert_eq!((start.elapsed(), broker.concurrency()), (Duration::from_secs(1), 1));
    }
}
