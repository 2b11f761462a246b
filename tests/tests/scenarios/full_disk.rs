//! The disk is full: the run ends with an error instead of delivering what it cannot record, and once there is room
//! again nothing is missing.

use tests::{Events, Fleet, Oracle, Site, Wants};

#[test]
fn a_run_that_cannot_write_ends_with_an_error_and_a_later_one_delivers_the_rest() {
    let log = Events::new(60, 50).take(6_000);
    let fleet = Fleet::start(2);
    let wants = vec![Wants::all(); 2];
    let oracle = Oracle::new(&log, &wants);
    let site = Site::new(&fleet, &wants);
    site.write(&log[..50]);
    // The store exists, so that it is the run that meets the limit and not the store's first steps.
    assert_eq!(site.run().wait().summary().delivered, 100);
    let used = std::fs::metadata(site.database()).unwrap().len();
    site.append(&log[50..]);

    // No file may grow beyond this: a write fails with EFBIG, where a full disk gives ENOSPC. In blocks of 512 bytes.
    let blocks = used / 512 + 256;
    let full = site.run_after(&format!("trap '' XFSZ; ulimit -f {blocks}")).wait().expect(1);
    assert!(full.stderr.contains(&site.path("state").display().to_string()), "{full:?}");
    let before = oracle.judge_all(&fleet);
    assert!(before.iter().any(|given| given.missing > 0), "the limit was never met");

    let rest = site.run().wait().summary();
    let given = oracle.assert_nothing_lost(&fleet);
    let repeats = given.repeats;
    // What was on the wire when the store failed could not be recorded.
    assert!(repeats as u64 <= rest.possible_repeats.crash, "{repeats} repeats, {rest:?}");
    assert!(given.repeats_of_a_load <= 1, "one delivery of a load is under way at a time: {given:?}");
    assert_eq!((rest.dead_letters, rest.spilled), (0, 0));
}
