//! What Loadline does, in the same model: claim, ask, send, record durably, release, and only then settle. The key is
//! the broker and the event, the window longer than any replay, and a retry is for the broker that failed.

use std::{cell::RefCell, collections::HashSet};

use crate::{
    drive::{Scheme, Trouble, drive, steps},
    log::{Log, Record},
    verdict::Verdict,
    world::{Fault, World},
};

/// For how long a record counts, in milliseconds: seven days, the default of `state.dedupe_window`.
const WINDOW_MS: u64 = 7 * 24 * 3_600 * 1_000;
/// The pause before a claim that somebody else holds is asked for again, in milliseconds.
const CLAIM_PAUSE_MS: u64 = 5;

/// One process: no second one may open its store.
#[derive(Default)]
struct Loadline {
    /// What is on its way now. It need not outlive the process, because what is on its way does not either.
    claims: RefCell<HashSet<String>>,
}

impl Scheme for Loadline {
    async fn consume(&self, world: &World, record: Record) {
        for delivery in record.deliveries() {
            let key = format!("{}/{}", delivery.broker, delivery.event);
            while !self.claims.borrow_mut().insert(key.clone()) {
                world.sleep(CLAIM_PAUSE_MS).await;
            }
            if !world.marked_within(&key, WINDOW_MS).await {
                world.post_until_taken(delivery).await;
                world.mark(&key).await;
            }
            self.claims.borrow_mut().remove(&key);
        }
    }
}

/// A log with a producer's retry, brokers that refuse and lose answers, and everything read again six days later.
fn everything() -> (Log, Trouble) {
    let faults = vec![
        (1, 1, Fault::Refuses),
        (1, 1, Fault::LosesTheAnswer),
        (1, 3, Fault::LosesTheAnswer),
        (0, 4, Fault::Refuses),
    ];
    let log = Log::of(6, 2).with_producer_retry();
    (log, Trouble { faults, rewind_at_ms: Some(WINDOW_MS - 24 * 3_600 * 1_000), ..Trouble::default() })
}

#[test]
fn loadline_repeats_nothing_while_nothing_happens() {
    let log = Log::of(6, 2).with_producer_retry();
    Verdict::on(&drive::<Loadline>(&log, &Trouble::default())).looks_right();
}

#[test]
fn loadline_repeats_only_what_was_never_answered_through_failures_and_replays() {
    let (log, trouble) = everything();
    assert_eq!(Verdict::on(&drive::<Loadline>(&log, &trouble)).accepted(), 2);
}

#[test]
fn loadline_bears_a_kill_and_a_new_consumer_after_any_step() {
    let (log, trouble) = everything();
    let all = steps::<Loadline>(&log, &trouble);
    assert!(all > 50, "{all}");
    let every = || (1..=all).map(Some).chain([None]);
    let mut unlucky = 0;
    for (kill_after, rebalance_after) in every().flat_map(|kill| every().map(move |other| (kill, other))) {
        let trouble = Trouble { kill_after, rebalance_after, ..trouble.clone() };
        let repeats = Verdict::on(&drive::<Loadline>(&log, &trouble)).accepted();
        assert!((2..=3).contains(&repeats), "{trouble:?}: {repeats} repeats");
        unlucky += usize::from(repeats == 3);
    }
    assert!(unlucky > 0, "no kill ever fell between an answer and its record");
}
