//! Dead letters that are sent again while the line runs: in their turn, once, and none of them lost on the way.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use stages::models::Delivery;
use state::Clock;
use tokio::{task::JoinHandle, time::sleep};

use super::{
    log::Log,
    site::{Site, ms},
    wire::{End, Wire},
};
use crate::{
    LineFault, LineReport, Replay, Replayed,
    stop::{Level, Stopper, stop},
};

const EVENTS: u64 = 60;

/// A line that runs over a log whose every third event was refused by both brokers, which accept everything from now on.
async fn refused_until_now(
    mut site: Site,
) -> (Arc<Site>, Stopper, JoinHandle<Result<LineReport, LineFault>>) {
    site.follows = true;
    let site = Arc::new(site);
    let (stopper, stopped) = stop();
    let running = tokio::spawn({
        let site = site.clone();
        async move { site.run(stopped).await }
    });
    while site.settled() < EVENTS && !running.is_finished() {
        sleep(ms(5)).await;
    }
    (site, stopper, running)
}

pub(super) fn wire() -> (Wire, Arc<AtomicBool>) {
    let mended = Arc::new(AtomicBool::new(false));
    let seen = mended.clone();
    let wire = Wire::new(move |call| match call.number % 3 {
        0 if !seen.load(Ordering::Relaxed) => (ms(1), End::Refused),
        _ => (ms(1), End::Accept),
    });
    (wire, mended)
}

/// The letters as they are to be sent again, in order of their positions.
pub(super) fn replays(site: &Site) -> Vec<Replay> {
    let (brokers, now) = (site.served.lock().clone(), Clock::System.now());
    let letters = site.running_letters();
    let replay = |letter: state::DeadLetter| {
        let broker = brokers.iter().find(|broker| letter.broker.as_ref() == Some(&broker.id)).unwrap();
        let delivery = Delivery::from_letter(&letter, broker.clone(), now).unwrap();
        Replay { delivery, letter: Some(letter) }
    };
    letters.into_iter().map(replay).collect()
}

#[tokio::test]
async fn letters_that_are_sent_again_are_delivered_once_in_their_order_and_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (wire, mended) = wire();
    let (site, stopper, running) =
        refused_until_now(Site::new(dir.path(), Log::plain(EVENTS, 7), wire, 2)).await;
    let replays = replays(&site);
    assert_eq!(replays.len(), 40);
    mended.store(true, Ordering::Relaxed);
    let first = site.wire.seen().starts.len();
    let watch = site.watch.lock().clone().unwrap();
    assert_eq!(watch.replay(replays).await.unwrap(), vec![Replayed::Placed; 40]);
    assert_eq!(site.running_letters(), [], "they wait on disk now");
    while site.wire.seen().accepted.len() < 120 && !running.is_finished() {
        sleep(ms(5)).await;
    }
    stopper.ask(Level::Drain);
    assert_eq!(running.await.unwrap().unwrap().spilled, 0);
    let seen = site.wire.seen();
    assert!(seen.broken.is_empty(), "{:?}", seen.broken);
    let accepted: BTreeSet<_> = seen.accepted.iter().map(|(broker, _, number)| (*broker, *number)).collect();
    assert_eq!((accepted.len(), seen.accepted.len()), (120, 120));
    for (broker, load) in seen.starts.iter().map(|(broker, load, _)| (broker, load)).collect::<BTreeSet<_>>()
    {
        let again = seen.starts[first..].iter().filter(|(b, l, _)| (b, l) == (broker, load));
        assert!(again.is_sorted_by_key(|(_, _, number)| number), "load {load} of broker {broker}");
    }
}

#[tokio::test]
async fn what_finds_no_room_on_disk_stays_a_letter_until_there_is_some() {
    let dir = tempfile::tempdir().unwrap();
    let (wire, mended) = wire();
    let mut site = Site::new(dir.path(), Log::plain(EVENTS, 7), wire, 2);
    site.limits.spill_broker_max = 2_000;
    let (site, stopper, running) = refused_until_now(site).await;
    mended.store(true, Ordering::Relaxed);
    let (mut full, mut placed) = (0, 0);
    loop {
        let replays = replays(&site);
        let (before, watch) = (replays.len(), site.watch.lock().clone().unwrap());
        if replays.is_empty() {
            break;
        }
        let outcomes = watch.replay(replays.clone()).await.unwrap();
        let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
        (full, placed) = (full + count(Replayed::Full), placed + count(Replayed::Placed));
        assert_eq!(site.running_letters().len(), before - count(Replayed::Placed), "the rest are letters");
        for id in ["b0", "b1"] {
            let of = replays.iter().zip(&outcomes).filter(|(replay, _)| &*replay.delivery.broker.id == id);
            let placed: Vec<bool> = of.map(|(_, outcome)| *outcome == Replayed::Placed).collect();
            assert!(placed.is_sorted_by(|a, b| a >= b), "one that fits does not pass one that does not");
        }
        sleep(ms(5)).await;
    }
    assert!(full > 0 && placed == 40, "{full} found no room, {placed} did");
    while site.wire.seen().accepted.len() < 120 && !running.is_finished() {
        sleep(ms(5)).await;
    }
    stopper.ask(Level::Drain);
    running.await.unwrap().unwrap();
    assert!(site.wire.seen().broken.is_empty(), "{:?}", site.wire.seen().broken);
}

#[tokio::test]
async fn a_line_that_stops_leaves_the_letters_as_they_are_or_on_disk_for_the_next_run() {
    let dir = tempfile::tempdir().unwrap();
    let (wire, mended) = wire();
    let (site, stopper, running) =
        refused_until_now(Site::new(dir.path(), Log::plain(EVENTS, 7), wire, 2)).await;
    mended.store(true, Ordering::Relaxed);
    let (replays, watch) = (replays(&site), site.watch.lock().clone().unwrap());
    let (placing, ()) = tokio::join!(watch.replay(replays.clone()), async { stopper.ask(Level::Drain) });
    let report = running.await.unwrap().unwrap();
    let placed = placing.unwrap().iter().filter(|outcome| **outcome == Replayed::Placed).count();
    assert!(watch.replay(replays).await.unwrap().iter().all(|outcome| *outcome == Replayed::Stopping));
    drop(watch);
    let delivered = site.wire.seen().accepted.len() - 80;
    let letters = site.letters().len();
    assert_eq!((placed, delivered + report.spilled as usize), (40 - letters, 40 - letters));
    let (stopper, stopped) = stop();
    let (site, wanted) = (site.clone(), 120 - letters);
    let running = tokio::spawn({
        let site = site.clone();
        async move { site.run(stopped).await }
    });
    while site.wire.seen().accepted.len() < wanted && !running.is_finished() {
        sleep(ms(5)).await;
    }
    stopper.ask(Level::Drain);
    assert_eq!(running.await.unwrap().unwrap().spilled, 0);
    assert_eq!((site.wire.seen().accepted.len(), site.letters().len()), (wanted, letters));
}
