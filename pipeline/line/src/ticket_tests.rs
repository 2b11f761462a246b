//! Tickets: closed by proofs alone, once, and never quietly lost.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures::FutureExt;
use proptest::prelude::{prop, prop_assert_eq, proptest};
use state::{Clock, CommitOptions, Durability, Ledger, Record, Store, StoreOptions};

use super::*;
use crate::testing::after;

/// Proofs from a ledger of its own: nothing else makes one.
struct Proofs {
    ledger: Ledger,
    _dir: tempfile::TempDir,
}

impl Proofs {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::System;
        let options =
            StoreOptions { durability: Durability::Process, dedupe_window: 1_000, cache: 1 << 20, clock };
        let store = Store::open(dir.path(), options).unwrap();
        let commits = CommitOptions { commit_max: 1, linger: std::time::Duration::ZERO, inbox_max: 1 };
        Self { ledger: Ledger::start(store, commits).unwrap().0, _dir: dir }
    }

    fn one(&self) -> Recorded {
        self.ledger.record(Record::Noop { spilled: None }).now_or_never().unwrap().unwrap()
    }
}

fn issue(tickets: &Tickets, at: u64) -> Ticket {
    tickets.issue(Position::new("test".into(), 0, at), after(at), false).unwrap()
}

fn reached(tickets: &Tickets) -> Option<u64> {
    tickets.watermark().map(|cursor| cursor.offset)
}

fn shares(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap()
}

#[tokio::test]
async fn a_record_closes_with_its_last_share_and_not_before() {
    let (tickets, proofs) = (Tickets::new(10), Proofs::new());
    let mut split = issue(&tickets, 0).split(shares(3));
    assert_eq!(split.len(), 3);
    for share in split.drain(1..) {
        share.settle(proofs.one());
        assert_eq!((reached(&tickets), tickets.settled(), tickets.span()), (None, 0, 1));
    }
    split.remove(0).settle(proofs.one());
    assert_eq!((reached(&tickets), tickets.settled(), tickets.span()), (Some(1), 1, 0));
}

#[tokio::test]
async fn a_later_record_that_closes_first_waits_for_the_earlier_one() {
    let (tickets, proofs) = (Tickets::new(10), Proofs::new());
    let (first, second) = (issue(&tickets, 0), issue(&tickets, 1));
    second.settle(proofs.one());
    assert_eq!((reached(&tickets), tickets.settled(), tickets.span()), (None, 1, 2));
    first.settle(proofs.one());
    assert_eq!((reached(&tickets), tickets.issued(), tickets.span()), (Some(2), 2, 0));
}

#[tokio::test]
async fn a_dropped_share_is_told_of_and_the_watermark_stays_below_it_for_ever() {
    let (tickets, proofs) = (Tickets::new(10), Proofs::new());
    assert!(tickets.nacked().now_or_never().is_none());
    let mut split = issue(&tickets, 0).split(shares(2));
    drop(split.pop());
    split.remove(0).settle(proofs.one());
    issue(&tickets, 1).settle(proofs.one());
    assert!(tickets.nacked().now_or_never().is_some());
    assert_eq!((tickets.nack_count(), reached(&tickets), tickets.settled()), (1, None, 1));
}

#[tokio::test]
async fn a_ticket_dropped_while_the_line_stops_is_quiet_and_stays_open() {
    let tickets = Tickets::new(10);
    let (before, after) = (issue(&tickets, 0), issue(&tickets, 1));
    tickets.stopping();
    drop((before, after));
    assert!(tickets.nacked().now_or_never().is_none());
    assert_eq!((tickets.nack_count(), reached(&tickets), tickets.span()), (0, None, 2));
}

#[tokio::test]
async fn what_was_dropped_before_the_line_stopped_is_still_told_of() {
    let tickets = Tickets::new(10);
    drop(issue(&tickets, 0));
    tickets.stopping();
    assert_eq!(tickets.nack_count(), 1);
    assert!(tickets.nacked().now_or_never().is_some());
}

#[tokio::test]
async fn there_is_room_for_so_many_records_and_no_more_until_the_oldest_closes() {
    let (tickets, proofs) = (Tickets::new(2), Proofs::new());
    tickets.room().await;
    let first = issue(&tickets, 0);
    tickets.room().await;
    let second = issue(&tickets, 1);
    assert!(tickets.is_full());
    let mut room = Box::pin(tickets.room());
    assert!(futures::poll!(&mut room).is_pending());
    second.settle(proofs.one());
    assert!(futures::poll!(&mut room).is_pending(), "the oldest is still open");
    first.settle(proofs.one());
    room.await;
    assert!(!tickets.is_full());
}

#[test]
fn a_ticket_and_its_deliveries_know_whether_they_may_repeat() {
    let tickets = Tickets::new(10);
    tickets.stopping();
    for may_repeat in [false, true] {
        assert_eq!(
            tickets.issue(Position::new("t".into(), 0, 0), after(0), may_repeat).unwrap().may_repeat(),
            may_repeat
        );
    }
}

proptest! {
    #[test]
    fn whichever_share_is_settled_on_whichever_thread_the_last_one_closes(
        counts in prop::collection::vec(1..5u32, 1..20), threads in 1..4usize,
    ) {
        let (tickets, proofs) = (Tickets::new(100), Proofs::new());
        let all: Vec<_> = (0..).zip(&counts).flat_map(|(at, count)| issue(&tickets, at).split(shares(*count))).collect();
        let (total, taken) = (all.len(), AtomicUsize::new(0));
        let shares: Vec<_> = all.into_iter().map(|share| Mutex::new(Some((share, proofs.one())))).collect();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| while let Some(share) = shares.get(taken.fetch_add(1, Ordering::Relaxed)) {
                    let (share, proof) = share.lock().take().unwrap();
                    share.settle(proof);
                });
            }
        });
        prop_assert_eq!(tickets.settled(), counts.len() as u64, "of {} shares", total);
        prop_assert_eq!(reached(&tickets), Some(counts.len() as u64));
    }
}
