//! Everything is well: each broker gets each of its events once, in order, as it was written.

use tests::{Events, Fleet, Oracle, PossibleRepeats, Site, Wants};

/// Twelve brokers, three for each region's loads; each event is for three of them.
fn three_for_each_region() -> Vec<Wants> {
    ["CHI-", "DAL-", "ATL-", "LAX-"].into_iter().flat_map(|region| vec![Wants::loads(region); 3]).collect()
}

#[test]
fn ten_thousand_events_reach_three_of_twelve_brokers_each_exactly_once_and_a_second_run_delivers_nothing() {
    let log = Events::new(1, 400).take(10_000);
    let (fleet, wants) = (Fleet::start(12), three_for_each_region());
    let oracle = Oracle::new(&log, &wants);
    assert_eq!(oracle.deliveries(), 30_000);
    let site = Site::new(&fleet, &wants);
    site.write(&log);

    let summary = site.run().wait().summary();

    assert_eq!(summary.possible_repeats, PossibleRepeats::default());
    oracle.assert_exactly_once(&fleet);
    assert_eq!((summary.records, summary.settled, summary.delivered), (10_000, 10_000, 30_000));
    assert_eq!((summary.duplicates, summary.dead_letters, summary.spilled), (0, 0, 0));

    let again = site.run().wait().summary();
    assert_eq!((again.records, again.delivered), (0, 0));
    assert_eq!(fleet.taken(), 30_000);
}

#[test]
fn a_log_that_is_read_again_from_its_beginning_is_delivered_to_nobody_twice() {
    let log = Events::new(2, 20).take(500);
    let (fleet, wants) = (Fleet::start(2), [Wants::all(), Wants::all().only(&["matched", "delivered"])]);
    let oracle = Oracle::new(&log, &wants);
    let mut site = Site::new(&fleet, &wants);
    site.write(&log);
    assert_eq!(site.run().wait().summary().records, 500);

    // Another file is another source: nothing is known of how far it was read.
    std::fs::copy(site.events(), site.path("replay.ndjson")).unwrap();
    site.set("source.path", "replay.ndjson");
    let replay = site.run().wait().summary();

    let deliveries = oracle.deliveries() as u64;
    assert_eq!((replay.records, replay.delivered, replay.duplicates), (500, 0, deliveries));
    oracle.assert_exactly_once(&fleet);
}
