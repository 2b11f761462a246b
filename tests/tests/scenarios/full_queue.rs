//! One broker is dead and its disk queue is full: the others get everything, and what found no room can be had later.

use lab::receiver::Behaviour;
use tests::{Events, Fleet, Oracle, Site, Wants, until};

#[test]
fn eleven_brokers_get_everything_while_the_disk_queue_of_a_dead_one_is_full_and_it_gets_the_rest_by_a_replay()
{
    let log = Events::new(750, 100).take(600);
    let (fleet, wants) = (Fleet::start(12), vec![Wants::all(); 12]);
    let oracle = Oracle::new(&log, &wants);
    let mut site = Site::new(&fleet, &wants);
    site.set("source.follow", true);
    site.set("source.record_max", "16KiB");
    site.set("limits.in_flight_max", 1_200);
    site.set("limits.per_broker_max", 100);
    site.set("limits.spill_broker_max", "64KiB");
    site.set("limits.spill_after", "100ms");
    site.impatient();
    site.write(&[]);
    let dead = fleet.tms(3);
    dead.refuse();

    let run = site.run();
    // No surge: what comes at once is less than any queue.
    for (batch, events) in (1..).zip(log.chunks(50)) {
        site.append(events);
        (0..12).filter(|index| *index != 3).for_each(|index| fleet.tms(index).wait_for(batch * 50));
    }
    assert_eq!(dead.taken(), 0, "the dead broker was not dead");
    until("what waits for the dead one is on disk or a letter", || {
        let told = site.loadline(&["status", "--json"]).stdout;
        let told: serde_json::Value = serde_json::from_str(&told).unwrap_or_default();
        told["settled"] == 600
    });
    let letters = site.dead_letters();
    assert!(letters.iter().all(|letter| letter.cause == "queue-full" && letter.attempts == 0));
    assert!(letters.iter().all(|letter| letter.broker.as_deref() == Some("broker-3")));
    assert!((300..600).contains(&letters.len()), "{} letters", letters.len());

    dead.behave(Behaviour::default());
    dead.wait_for(600 - letters.len());
    let replayed = site.loadline_with(&["dead", "replay"], &["--broker", "broker-3"]).expect(0);
    assert!(replayed.stdout.contains("sent again"), "{replayed:?}");
    dead.wait_for(600);
    run.terminate();
    let summary = run.wait().summary();
    assert_eq!(oracle.assert_nothing_lost(&fleet).repeats, 0);
    assert_eq!((summary.records, summary.settled, summary.delivered), (600, 600, 7_200));
    assert_eq!((summary.spilled, site.dead_letters().len()), (0, 0));
}
