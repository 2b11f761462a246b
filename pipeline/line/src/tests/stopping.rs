//! A line that is stopped in the middle of a record: whoever reads on behind what it has settled may be another process, so
//! it leaves no record half sent.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    log::Log,
    site::{Site, ms},
    wire::{End, Wire},
};
use crate::stop::{Level, stop};

/// Broker 0 takes nothing, the others everything.
fn one_dead() -> Wire {
    Wire::new(|call| (ms(2), if call.broker == 0 { End::Transient } else { End::Accept }))
}

/// Runs a line until it has read so many records, and stops it; how many of them broker 1 has then, how many are settled,
/// and how many deliveries are on disk.
async fn stopped_at(records: u64, hand_over: Duration, then: Option<Level>) -> (u64, u64, u64) {
    let dir = tempfile::tempdir().unwrap();
    let mut site = Site::new(dir.path(), Log::plain(400, 400), one_dead(), 3);
    site.limits.in_flight_max = 96;
    // However busy the machine is, only broker 0 is slow.
    site.limits.spill_after = Duration::from_secs(60);
    site.limits.hand_over = hand_over;
    let (stopper, asked) = stop();
    let stops = async {
        while site.watch.lock().as_ref().is_none_or(|line| line.partitions().issued() < records) {
            sleep(ms(1)).await;
        }
        stopper.ask(Level::Drain);
        then.into_iter().for_each(|level| stopper.ask(level));
    };
    let (report, ()) = tokio::join!(site.run(asked), stops);
    let report = report.unwrap();
    let taken = site.wire.seen().accepted.iter().filter(|(broker, ..)| *broker == 1).count() as u64;
    assert!(report.records < 400, "it was stopped too late");
    (report.records - taken, report.records - report.settled, report.spilled)
}

#[tokio::test]
async fn a_line_whose_partitions_go_elsewhere_leaves_on_disk_only_what_waits_for_brokers_that_take_nothing() {
    let (not_taken, unsettled, spilled) = stopped_at(40, Duration::from_secs(10), None).await;
    // The last record that was read may have found no place before it was asked to stop.
    assert!(not_taken <= 1 && unsettled <= 1, "{not_taken} not taken, {unsettled} unsettled");
    assert!(spilled >= 40, "{spilled} on disk");
    let (_, _, at_once) = stopped_at(40, Duration::ZERO, None).await;
    assert!(at_once > 40, "{at_once} on disk: nobody else would read on");
}

#[tokio::test]
async fn a_line_that_is_asked_to_stop_at_once_hands_nothing_over() {
    let (not_taken, _, _) = stopped_at(40, Duration::from_secs(3_600), Some(Level::Now)).await;
    assert!(not_taken > 1, "{not_taken}");
}

#[tokio::test]
async fn a_record_that_was_sent_to_one_broker_is_settled_at_the_others_before_a_stopped_line_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mut site = Site::new(dir.path(), Log::plain(20, 20), Wire::new(|_| (ms(40), End::Accept)), 3);
    // One place for what arrives: the second delivery of a record waits until the first has been taken.
    site.limits.in_flight_max = 2;
    site.limits.spill_after = Duration::from_secs(60);
    let (stopper, asked) = stop();
    let stops = async {
        while site.wire.seen().starts.is_empty() {
            sleep(ms(1)).await;
        }
        stopper.ask(Level::Drain);
    };
    let (report, ()) = tokio::join!(site.run(asked), stops);
    let report = report.unwrap();
    let started = site.wire.seen().starts.iter().map(|(_, _, number)| number + 1).max();
    let settled = site.store().sources().checkpoint("log").unwrap().map(|checkpoint| checkpoint.offset);
    assert_eq!(settled, started, "{report:?}");
    assert!(report.records < 20, "it was stopped too late: {report:?}");
}
