//! Events on standard input.

use tests::{Events, Fleet, Oracle, Site, Wants};

#[test]
fn events_on_standard_input_are_delivered_and_the_same_ones_again_are_not() {
    let log = Events::new(99, 40).take(1_000);
    let fleet = Fleet::start(2);
    let wants = [Wants::all(), Wants::loads("DAL-")];
    let oracle = Oracle::new(&log, &wants);
    let mut site = Site::without_source(&fleet, &wants);
    site.set("source.kind", "stdin");
    site.write(&log);

    let first = site.run_with_input(&site.events()).wait().summary();
    oracle.assert_exactly_once(&fleet);
    assert_eq!((first.records, first.settled), (1_000, 1_000));
    assert_eq!(first.delivered, oracle.deliveries() as u64);

    let second = site.run_with_input(&site.events()).wait().summary();
    assert_eq!((second.records, second.delivered), (1_000, 0));
    assert_eq!(second.duplicates, oracle.deliveries() as u64);
    oracle.assert_exactly_once(&fleet);
}

#[test]
fn nothing_on_standard_input_is_a_run_with_nothing_to_do() {
    let fleet = Fleet::start(1);
    let mut site = Site::without_source(&fleet, &[Wants::all()]);
    site.set("source.kind", "stdin");
    let summary = site.run().wait().summary();
    assert_eq!((summary.records, summary.delivered), (0, 0));
}
