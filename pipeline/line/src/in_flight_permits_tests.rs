//! Places and bytes in memory are given out in turn, and never more than there are.

use futures::FutureExt;

use super::*;

/// More bytes than any of these tests takes.
const PLENTY: u64 = 1 << 30;

#[tokio::test]
async fn arrivals_leave_places_for_reads_and_reads_take_what_is_free() {
    let memory = InFlightPermits::new(16, PLENTY);
    let mut arrivals = Vec::new();
    while let Some(place) = memory.arrival().now_or_never() {
        arrivals.push(place.unwrap());
    }
    assert_eq!((arrivals.len(), memory.taken()), (14, 14));
    let reads = memory.reads(8).await.unwrap();
    assert_eq!((reads.len(), memory.taken()), (2, 16));
    assert!(memory.reads(8).now_or_never().is_none(), "more in memory than there are places");
    arrivals.truncate(11);
    assert_eq!(memory.reads(8).await.unwrap().len(), 3);
    assert_eq!(memory.taken(), 13);
    drop((arrivals, reads));
    assert_eq!(memory.reads(99).await.unwrap().len(), 16);
}

#[tokio::test]
async fn a_read_that_waits_holds_nothing() {
    let memory = InFlightPermits::new(3, PLENTY);
    let (first, second) = (memory.arrival().await.unwrap(), memory.arrival().await.unwrap());
    let read = memory.reads(3).await.unwrap();
    let mut waits = Box::pin(memory.reads(3));
    assert!(futures::poll!(&mut waits).is_pending());
    drop((first, second));
    assert_eq!(waits.await.unwrap().len(), 1);
    assert_eq!((memory.taken(), read.len()), (1, 1));
}

#[test]
fn the_smallest_memory_has_a_place_of_each_kind() {
    for places in [0, 1, 2] {
        let memory = InFlightPermits::new(places, 0);
        for pool in [&memory.places, &memory.bytes] {
            assert_eq!((pool.for_all.available_permits(), pool.for_reads.available_permits()), (1, 1));
        }
    }
}

#[tokio::test]
async fn bodies_fill_memory_by_their_bytes_and_those_who_share_one_count_it_once() {
    let memory = InFlightPermits::new(64, 64 << 10);
    let body = memory.body(40 << 10).await.unwrap();
    let shared: Vec<_> =
        (0..3).map(|_| memory.arrival().now_or_never().unwrap().unwrap().holding(&body)).collect();
    drop(body);
    assert_eq!((memory.taken(), memory.bytes()), (3, 41 << 10));
    assert!(memory.body(20 << 10).now_or_never().is_none(), "56 KiB are for arrivals");
    let small = memory.body(100).await.unwrap();
    let mut shared = shared.into_iter();
    shared.next();
    shared.next();
    assert_eq!(memory.bytes(), 42 << 10, "one of three still has the body");
    shared.next();
    assert_eq!(memory.bytes(), 1 << 10);
    drop((small, shared));
}

#[tokio::test]
async fn a_body_larger_than_the_share_goes_alone() {
    let memory = InFlightPermits::new(64, 64 << 10);
    let small = memory.body(1).await.unwrap();
    let mut large = Box::pin(memory.body(1 << 30));
    assert!(futures::poll!(&mut large).is_pending());
    drop(small);
    let large = large.await.unwrap();
    assert!(memory.body(1).now_or_never().is_none());
    // What is kept for reads is not touched, and is enough for one of any size.
    let mut room = memory.room(1 << 30).await.unwrap();
    let read = room.take(1 << 30).unwrap();
    assert_eq!((room.bytes(), memory.bytes()), (0, 64 << 10));
    assert!(room.take(1).is_none());
    drop((large, read, room));
    assert_eq!(memory.bytes(), 0);
}

#[tokio::test]
async fn a_full_memory_keeps_bytes_for_reads_and_what_a_read_does_not_need_is_given_back() {
    let memory = InFlightPermits::new(64, 1 << 20);
    let full = memory.body(1 << 30).await.unwrap();
    let mut room = memory.room(1_000).await.unwrap();
    assert_eq!(room.bytes(), 32 << 10, "a quarter of an eighth");
    let taken = room.take(5_000).unwrap();
    drop(room);
    assert_eq!(memory.bytes(), (896 << 10) + (5 << 10));
    let others: Vec<_> = (0..3).map(|_| memory.room(30_000).now_or_never().unwrap().unwrap()).collect();
    let mut waits = Box::pin(memory.room(30_000));
    assert!(futures::poll!(&mut waits).is_pending(), "27 KiB are left");
    drop(taken);
    assert_eq!(waits.await.unwrap().bytes(), 30 << 10);
    drop((full, others));
}
