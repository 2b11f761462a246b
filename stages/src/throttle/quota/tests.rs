//! The quota under paused time.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use proptest::prelude::{Strategy, prop_assert, proptest};
use tokio::{runtime::Runtime, task::LocalSet};

use super::*;
use crate::throttle::Portion;

fn quota(rate: f64, burst: u32) -> Quota {
    Quota::new(rate, NonZeroU32::new(burst).unwrap()).unwrap()
}

fn paused() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// The moments, in seconds, at which tasks that arrive after the given pauses get their permits.
fn grants(rate: f64, burst: u32, pauses_ms: &[u64]) -> Vec<f64> {
    let times = Rc::new(RefCell::new(Vec::new()));
    let at = Rc::clone(&times);
    paused().block_on(LocalSet::new().run_until(async move {
        let (start, quota) = (Instant::now(), Rc::new(quota(rate, burst)));
        let mut tasks = Vec::new();
        for pause in pauses_ms {
            tokio::time::sleep(Duration::from_millis(*pause)).await;
            let (quota, at) = (Rc::clone(&quota), Rc::clone(&at));
            tasks.push(tokio::task::spawn_local(async move {
                quota.permit().await.unwrap();
                at.borrow_mut().push(start.elapsed().as_secs_f64());
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    }));
    times.take()
}

fn rates() -> impl Strategy<Value = f64> {
    (-1.0..4.0_f64).prop_map(|exponent| 10_f64.powf(exponent))
}

proptest! {
    #[test]
    fn no_window_sees_more_than_burst_and_rate_allow(
        rate in rates(),
        burst in 1_u32..20,
        pauses in proptest::collection::vec(0_u64..40, 1..120),
    ) {
        let at = grants(rate, burst, &pauses);
        prop_assert!(at.len() == pauses.len());
        for (first, from) in at.iter().enumerate() {
            for (last, to) in at.iter().enumerate().skip(first) {
                let allowed = f64::from(burst) + rate * (to - from) + 1e-6;
                prop_assert!((last - first + 1) as f64 <= allowed, "permits {first} to {last} in {from}..{to}");
            }
        }
    }

    #[test]
    fn a_crowd_is_served_at_the_rate(rate in 0.1..1_000_f64, burst in 1_u32..20, crowd in 20_usize..200) {
        let at = grants(rate, burst, &vec![0; crowd]);
        let due = (crowd - burst as usize) as f64 / rate;
        // A timer may be a millisecond late, each time it is set.
        prop_assert!(at[crowd - 1] >= due && at[crowd - 1] <= due + 0.001 * crowd as f64 + 0.001);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_below_one_a_second_is_kept() {
    let quota = quota(0.2, 1);
    quota.permit().await.unwrap();
    let start = Instant::now();
    quota.permit().await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    assert_eq!(quota.waits(), 1);
}

#[tokio::test(start_paused = true)]
async fn permits_go_out_in_the_order_of_asking_even_to_one_who_comes_when_a_permit_is_due() {
    let quota = Arc::new(quota(1.0, 1));
    quota.permit().await.unwrap();
    let first = tokio::spawn({
        let quota = Arc::clone(&quota);
        async move {
            quota.permit().await.unwrap();
            Instant::now()
        }
    });
    tokio::task::yield_now().await;
    assert_eq!(quota.waiting(), 1);
    // The newcomer's timer ends in the same tick as the waiter's, and this task is polled first.
    let second = {
        tokio::time::sleep_until(Instant::now() + Duration::from_secs(1)).await;
        quota.permit().await.unwrap();
        Instant::now()
    };
    let first = first.await.unwrap();
    assert!(first < second, "the newcomer got its permit at {second:?}, the waiter at {first:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rate_that_is_no_whole_number_of_nanoseconds_is_rounded_down() {
    // 1,666.67 ns between two: with 1,666 there would be 60,024 in a tenth of a second.
    let quota = quota(600_000.0, 120_000);
    let take = || (0..120_000).take_while(|_| quota.limiter.check().is_ok()).count();
    assert_eq!(take(), 120_000);
    tokio::time::advance(Duration::from_millis(100)).await;
    let taken = take();
    assert!((59_900..=60_000).contains(&taken), "{taken}");
}

#[tokio::test(start_paused = true)]
async fn one_who_gives_up_waiting_spends_nothing_and_holds_nobody_up() {
    let quota = quota(1.0, 1);
    quota.permit().await.unwrap();
    let start = Instant::now();
    for _ in 0..10 {
        assert!(tokio::time::timeout(Duration::from_millis(50), quota.permit()).await.is_err());
    }
    assert_eq!(quota.waiting(), 0);
    quota.permit().await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}

#[test]
fn rates_and_bursts_out_of_bounds_are_refused_with_a_way_out() {
    for rate in [0.0, -1.0, 1e-6, 1.1e6, f64::NAN, f64::INFINITY] {
        let error = Quota::new(rate, NonZeroU32::MIN).unwrap_err();
        assert!(matches!(error, QuotaError::Rate { .. }), "{rate}");
        assert!(error.to_string().contains("from 0.0000116 (one a day) to 1000000"), "{error}");
    }
    let error = Quota::new(1.0, NonZeroU32::MAX).unwrap_err();
    assert!(error.to_string().contains("at most 31622400"), "{error}");
    for (rate, burst) in [(RATE_MIN, 366), (RATE_MAX, u32::MAX), (0.2, 1)] {
        assert!(Quota::new(rate, NonZeroU32::new(burst).unwrap()).is_ok(), "{rate} {burst}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_quota_that_is_replaced_is_told_at_once_all_of_them() {
    let slow = Arc::new(quota(RATE_MIN, 1));
    slow.permit().await.unwrap();
    let start = Instant::now();
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let slow = Arc::clone(&slow);
            tokio::spawn(async move { slow.permit().await })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    slow.replace();
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap(), Err(Replaced));
    }
    assert_eq!(slow.permit().await, Err(Replaced), "asked afterwards");
    assert_eq!(start.elapsed(), Duration::from_secs(1), "nobody waited for the day to be over");
}

#[tokio::test(start_paused = true)]
async fn a_change_passes_on_what_was_saved_up_and_not_a_permit_more() {
    let old = quota(10.0, 10);
    for _ in 0..7 {
        old.permit().await.unwrap();
    }
    for (burst, saved) in [(1, 1), (2, 2), (100, 3)] {
        let (old, new) = (quota(10.0, 10), quota(1.0, burst));
        assert_eq!(old.spend(7), 7);
        new.take_over(&old);
        assert_eq!((new.spend(u32::MAX), old.spend(u32::MAX)), (saved, 0), "burst {burst}");
    }
    let new = quota(5.0, 10);
    new.take_over(&old);
    let start = Instant::now();
    for _ in 0..13 {
        new.permit().await.unwrap();
    }
    assert_eq!(start.elapsed(), Duration::from_secs(2), "three at once, ten at the new rate");
}

/// Members that hold the portions of one broker, each with requests that take some time, all as fast as they may.
fn pressed(held: &[Vec<u32>], of: u32, whole: Allowed, took_ms: &[u64]) -> Vec<(f64, f64)> {
    let spans = Rc::new(RefCell::new(Vec::new()));
    let all = Rc::clone(&spans);
    paused().block_on(LocalSet::new().run_until(async move {
        let start = Instant::now();
        for partitions in held {
            let allowed = Portion::held(partitions.iter().copied(), of).of(whole);
            let quota = Rc::new(Quota::of_portion(allowed));
            for worker in 0..allowed.map_or(1, |allowed| allowed.concurrency) {
                let (quota, spans) = (Rc::clone(&quota), Rc::clone(&all));
                let took_ms = took_ms.to_vec();
                tokio::task::spawn_local(async move {
                    for took in took_ms.iter().cycle().skip(worker) {
                        quota.permit().await.unwrap();
                        let begun = start.elapsed();
                        tokio::time::sleep(Duration::from_millis(*took)).await;
                        quota.was_on_wire(start.elapsed() - begun);
                        spans.borrow_mut().push((begun.as_secs_f64(), start.elapsed().as_secs_f64()));
                    }
                });
            }
        }
        tokio::time::sleep(Duration::from_secs(PRESSED)).await;
    }));
    spans.take()
}

/// For how long members press a broker, in seconds.
const PRESSED: u64 = 40;

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn members_together_press_a_broker_no_harder_than_one(
        owners in proptest::collection::vec(0_usize..6, 1..13),
        rate in 1.0_f64..60.0, burst in 1_u32..20, concurrency in 1_usize..20,
        took in proptest::collection::vec(1_u64..900, 1..6),
    ) {
        let of = u32::try_from(owners.len()).unwrap();
        let held: Vec<Vec<u32>> = (0..6).map(|member| {
            owners.iter().zip(0..).filter(|(owner, _)| **owner == member).map(|(_, at)| at).collect()
        }).collect();
        let members = held.iter().filter(|held| !held.is_empty()).count();
        let burst_of = NonZeroU32::new(burst).unwrap();
        let whole = Allowed { rate, burst: burst_of, concurrency, wire_time: None };
        let spans = pressed(&held, of, whole, &took);
        let (bursts, most_at_once) = (burst as usize + members, concurrency + members);
        let permitted = bursts as f64 + rate * PRESSED as f64;
        prop_assert!(spans.len() as f64 <= permitted, "{} attempts, {permitted} permitted", spans.len());
        let on_wire: f64 = spans.iter().map(|(from, to)| to - from).sum();
        // What is on the wire at the end is paid for later.
        let mean = concurrency as f64 * PRESSED as f64 + most_at_once as f64;
        prop_assert!(on_wire <= mean, "{on_wire} s on the wire, {mean} s permitted");
        let at_once = spans.iter().map(|(at, _)| {
            spans.iter().filter(|(from, to)| from <= at && at < to).count()
        });
        let strict = if concurrency >= owners.len() { concurrency } else { most_at_once };
        prop_assert!(at_once.max().unwrap_or(0) <= strict);
    }
}

#[test]
fn one_that_allows_nothing_gives_a_permit_only_to_whoever_asks_its_successor_and_saves_none_up() {
    paused().block_on(async {
        let (nothing, whole) = (Quota::of_portion(None), quota(10.0, 20));
        nothing.take_over(&whole);
        let asked = tokio::time::timeout(Duration::from_secs(3_600), nothing.permit()).await;
        assert!(asked.is_err());
        let part = Portion::held([0, 1], 4).of(Allowed {
            rate: 10.0,
            burst: NonZeroU32::new(20).unwrap(),
            concurrency: 8,
            wire_time: None,
        });
        let next = Quota::of_portion(part);
        next.take_over(&nothing);
        nothing.replace();
        assert_eq!(nothing.permit().await, Err(Replaced));
        let start = Instant::now();
        next.permit().await.unwrap();
        assert!(start.elapsed() >= Duration::from_millis(200), "it begins with nothing saved up");
    });
}
