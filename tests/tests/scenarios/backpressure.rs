//! A surge meets a broker that is stopped: intake stops where the bounds say, and nothing is lost.

use std::{fs, time::Duration};

use lab::receiver::Behaviour;
use tests::{Events, Fleet, Oracle, PossibleRepeats, Site, Wants, pause, until};

const IN_FLIGHT: u64 = 64;
const SPILL: u64 = 256 << 10;

/// What a run has read of all its files, in bytes.
fn read_so_far(run: u32) -> u64 {
    let counts = fs::read_to_string(format!("/proc/{run}/io")).unwrap_or_default();
    counts.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok()).unwrap_or(0)
}

/// Waits until a run has read next to nothing for a while. It needs no certainty: the bounds hold for an intake that
/// is still at work, too.
fn wait_for_standstill(run: u32) {
    let (mut before, mut quiet) = (0, 0);
    until("the intake stands still", || {
        pause(Duration::from_millis(100));
        let read = read_so_far(run);
        // Less than a tenth of what the source takes in one read.
        quiet = if read - before < 25_000 { quiet + 1 } else { 0 };
        before = read;
        read > 0 && quiet >= 20
    });
}

#[test]
fn a_hundred_thousand_events_for_a_stopped_broker_are_read_no_further_than_the_bounds_and_none_is_lost() {
    let log = Events::new(30, 500).take(100_000);
    let fleet = Fleet::start(1);
    let oracle = Oracle::new(&log, &[Wants::all()]);
    let mut site = Site::new(&fleet, &[Wants::all()]);
    site.set("source.record_max", "16KiB");
    site.set("limits.in_flight_max", IN_FLIGHT as i64);
    site.set("limits.per_broker_max", IN_FLIGHT as i64);
    site.set("limits.unsettled_max", 2 * IN_FLIGHT as i64);
    site.set("limits.spill_broker_max", SPILL as i64);
    site.set("limits.spill_total_max", SPILL as i64);
    site.set("limits.spill_after", "50ms");
    site.set("limits.when_full", "hold");
    site.impatient();
    site.write(&log);
    fleet.tms(0).refuse();

    let run = site.run();
    wait_for_standstill(run.id());
    run.terminate();
    let stopped = run.wait().summary();

    // A delivery on disk takes at least its body.
    let shortest = log.iter().map(|event| event.body.len() as u64).min().unwrap();
    let bound = SPILL / shortest + 2 * IN_FLIGHT;
    assert!(stopped.records <= bound, "{} records were read, {bound} is the bound", stopped.records);
    assert!(stopped.records > IN_FLIGHT, "nothing was spilled");
    assert_eq!((stopped.delivered, stopped.dead_letters), (0, 0));
    assert!(stopped.spilled > 0);
    assert_eq!(fleet.tms(0).taken(), 0);

    site.set("limits.in_flight_max", 4096);
    site.set("limits.per_broker_max", 1024);
    site.set("limits.unsettled_max", 65_536);
    fleet.tms(0).behave(Behaviour::default());
    let resumed = site.run().wait().summary();
    assert_eq!(resumed.possible_repeats, PossibleRepeats::default());
    oracle.assert_exactly_once(&fleet);
    assert_eq!((resumed.delivered, resumed.spilled, resumed.dead_letters), (100_000, 0, 0));
}
