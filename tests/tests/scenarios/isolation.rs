//! One broker is gone and one is slow: the others feel nothing, and both catch up in order once they are well.

use std::time::Duration;

use lab::receiver::Behaviour;
use tests::{Events, Fleet, Oracle, Site, Wants};

#[test]
fn ten_brokers_get_everything_while_one_is_dead_and_one_answers_in_three_seconds_and_both_catch_up() {
    let log = Events::new(20, 100).take(2_000);
    let (fleet, wants) = (Fleet::start(12), vec![Wants::all(); 12]);
    let oracle = Oracle::new(&log, &wants);
    let mut site = Site::new(&fleet, &wants);
    site.set("source.follow", true);
    site.set("limits.in_flight_max", 1_200);
    site.set("limits.per_broker_max", 100);
    site.impatient();
    site.write(&log);
    let (dead, slow) = (fleet.tms(10), fleet.tms(11));
    dead.refuse();
    slow.behave(Behaviour { latency: Duration::from_secs(3), ..Behaviour::default() });

    let run = site.run();
    for well in 0..10 {
        fleet.tms(well).wait_for(2_000);
    }

    // 32 at a time in 3 s: all of them would take minutes.
    assert!(slow.taken() < 2_000, "the slow broker was not slow");
    assert_eq!(dead.taken(), 0, "the dead broker was not dead");
    dead.behave(Behaviour::default());
    slow.behave(Behaviour::default());
    dead.wait_for(2_000);
    slow.wait_for(2_000);
    run.terminate();
    let summary = run.wait().summary();

    oracle.assert_exactly_once(&fleet);
    assert_eq!((summary.records, summary.settled, summary.delivered), (2_000, 2_000, 24_000));
    assert_eq!((summary.spilled, summary.dead_letters), (0, 0));
}
