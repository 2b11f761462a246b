//! 410 Gone: the broker is out until someone takes it back, and nobody else notices.

use lab::receiver::Behaviour;
use tests::{Events, Fleet, Oracle, PossibleRepeats, Site, Wants};

#[test]
fn a_broker_that_answers_410_is_disabled_until_it_is_enabled_and_its_events_are_kept_as_dead_letters() {
    let log = Events::new(80, 20).take(900);
    let fleet = Fleet::start(3);
    let wants = vec![Wants::all(); 3];
    let oracle = Oracle::new(&log[600..], &wants);
    let others = Oracle::new(&log, &wants);
    let site = Site::new(&fleet, &wants);
    let gone = fleet.tms(1);
    let status = "410".parse().unwrap();
    gone.behave(Behaviour { status, ..Behaviour::default() });

    site.write(&log[..300]);
    let first = site.run().wait().summary();
    assert_eq!((first.records, first.settled), (300, 300));
    assert_eq!((first.delivered, first.dead_letters, first.spilled), (600, 300, 0));
    let asked = gone.counts().requests;
    // Those that were on the wire when the first answer came may have got it too.
    assert!((1..=32).contains(&asked), "{asked} requests to a broker that is gone");
    let letters = site.dead_letters();
    let ids: std::collections::BTreeSet<_> = letters.iter().map(|letter| letter.event_id.clone()).collect();
    assert_eq!((letters.len(), ids.len()), (300, 300));
    for letter in &letters {
        assert_eq!((letter.broker.as_deref(), &*letter.cause), (Some("broker-1"), "broker-disabled"));
    }

    // It would take them again, but nobody has said so.
    gone.behave(Behaviour::default());
    site.append(&log[300..600]);
    let second = site.run().wait().summary();
    assert_eq!((second.delivered, second.dead_letters), (600, 300));
    assert_eq!((gone.counts().requests, gone.taken()), (asked, 0));

    let _enabled = site.loadline(&["broker", "enable", "broker-1", "--config"]).expect(0);
    site.append(&log[600..]);
    let third = site.run().wait().summary();
    assert_eq!((third.delivered, third.dead_letters), (900, 0));
    assert_eq!(oracle.judge(1, &gone.arrivals()).missing, 0);
    assert_eq!(gone.taken(), 300);
    for well in [0, 2] {
        let given = others.judge(well, &fleet.tms(well).arrivals());
        assert_eq!((given.events, given.repeats), (900, 0));
    }
}

#[test]
fn a_broker_that_an_operator_disables_gets_nothing_and_an_unknown_one_is_named() {
    let log = Events::new(81, 5).take(50);
    let fleet = Fleet::start(2);
    let site = Site::new(&fleet, &vec![Wants::all(); 2]);
    site.write(&log);
    let _disabled = site.loadline(&["broker", "disable", "broker-0", "--config"]).expect(0);
    let summary = site.run().wait().summary();
    assert_eq!((summary.delivered, summary.dead_letters), (50, 50));
    assert_eq!(summary.possible_repeats, PossibleRepeats::default());
    assert_eq!((fleet.tms(0).taken(), fleet.tms(1).taken()), (0, 50));
    let unknown = site.loadline(&["broker", "enable", "nobody", "--config"]).expect(64);
    assert!(unknown.stderr.contains("nobody"), "{unknown:?}");
}
