//! Kill -9: nothing is lost, order holds, and what comes twice carries its id, is bounded, and is counted.
//!
//! The count stands in a run's summary, and a killed run prints none: over a chain of kills only the last run's part
//! can be seen. So the chain shows loss, order and the bound, and the count is checked in pairs of one kill and one
//! whole run, where every repeat is the second run's and must be in its summary.

use std::time::Duration;

use lab::receiver::Behaviour;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use tests::{Ended, Events, Fleet, Oracle, ShipmentEvent, Site, Wants, pause, until};

/// Requests on the wire to one broker.
const CONCURRENCY: i64 = 4;

fn brokers() -> Vec<Wants> {
    vec![
        Wants::all(),
        Wants::loads("CHI-"),
        Wants::all().only(&["posted", "matched", "in-transit"]),
        Wants::all(),
    ]
}

/// Brokers that take a moment, so that a kill finds something on the wire.
fn site(fleet: &Fleet, log: &[ShipmentEvent], durability: &str) -> Site {
    let mut site = Site::new(fleet, &brokers());
    site.set("delivery.concurrency", CONCURRENCY);
    site.set("state.durability", durability);
    site.write(log);
    for tms in fleet.iter() {
        tms.behave(Behaviour { jitter: Duration::from_millis(4), ..Behaviour::default() });
    }
    site
}

/// Runs, and kills the run at a random moment: after so many arrivals, or sometimes while it still starts.
fn run_and_kill(site: &Site, fleet: &Fleet, arrivals_max: usize, dice: &mut Xoshiro256PlusPlus) -> Ended {
    let mut run = site.run();
    if dice.random_bool(0.2) {
        pause(Duration::from_micros(dice.random_range(0..150_000)));
    } else {
        let enough = fleet.taken() + dice.random_range(0..=arrivals_max.max(1));
        until("enough has arrived", || fleet.taken() >= enough || !run.runs());
        pause(Duration::from_micros(dice.random_range(0..3_000)));
    }
    let ended = run.kill();
    assert!(matches!(ended.code, None | Some(0)), "a run that was to be killed failed by itself: {ended:?}");
    ended
}

#[test]
fn fifty_kills_over_one_input_lose_nothing_and_never_break_the_order() {
    let log = Events::new(10, 60).take(3_000);
    let fleet = Fleet::start(4);
    let oracle = Oracle::new(&log, &brokers());
    let site = site(&fleet, &log, "power");
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(10);

    let kills = 50;
    for kill in 0..kills {
        // Half an even share on average, so that the last kills still find something to interrupt.
        let left = oracle.deliveries().saturating_sub(fleet.taken());
        run_and_kill(&site, &fleet, left / (kills - kill), &mut dice);
    }
    assert!(fleet.taken() < oracle.deliveries(), "the kills came too late to interrupt anything");
    let last = site.run().wait().summary();

    let given = oracle.assert_nothing_lost(&fleet);
    assert!(given.repeats_of_a_load <= kills, "{given:?} after {kills} kills");
    assert_eq!((last.dead_letters, last.spilled), (0, 0));
    assert_eq!(site.run().wait().summary().delivered, 0);
}

#[test]
fn the_run_after_a_kill_counts_at_least_the_repeats_it_makes() {
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(11);
    let mut repeats_of_all = 0;
    for round in 0..15 {
        let log = Events::new(100 + round, 25).take(400);
        let fleet = Fleet::start(4);
        let oracle = Oracle::new(&log, &brokers());
        let site = site(&fleet, &log, if round % 2 == 0 { "process" } else { "power" });

        run_and_kill(&site, &fleet, oracle.deliveries(), &mut dice);
        let sent_before = fleet.taken();
        let whole = site.run().wait().summary();

        // All repeats are this run's: the one before was the first, and its brokers answer every request.
        let given = oracle.assert_nothing_lost(&fleet);
        let repeats = given.repeats;
        let counted = whole.possible_repeats.crash;
        assert_eq!(whole.possible_repeats.no_answer, 0, "round {round}: {repeats} repeats");
        assert!(counted >= repeats as u64, "round {round}: {repeats} repeats, {counted} counted");
        // Besides what was taken, only what was on the wire and had not arrived yet.
        let on_wire = CONCURRENCY as u64 * fleet.len() as u64;
        assert!(counted <= repeats as u64 + on_wire, "round {round}: {repeats} repeats, {counted} counted");
        // Of each load one delivery is under way to a broker at a time: on the wire, or being recorded.
        assert!(given.repeats_of_a_load <= 1, "round {round}: {given:?}");
        assert!(counted == 0 || sent_before > 0 || repeats == 0);
        // It ended in good order, so the next one has nothing to doubt.
        let next = site.run().wait().summary();
        assert_eq!((next.delivered, next.possible_repeats.crash), (0, 0));
        repeats_of_all += repeats;
    }
    assert!(repeats_of_all > 0, "no kill found anything on the wire: the scenario shows nothing");
}

#[test]
fn a_kill_while_a_broker_is_spilled_loses_nothing_of_it_and_keeps_its_order() {
    let log = Events::new(12, 30).take(1_500);
    let fleet = Fleet::start(4);
    let oracle = Oracle::new(&log, &brokers());
    let mut site = site(&fleet, &log, "process");
    site.set("breaker.open_min", "50ms");
    site.set("breaker.open_max", "100ms");
    site.set("retry.base", "10ms");
    site.set("retry.cap", "200ms");
    site.set("retry.in_place_max", "20ms");
    site.set("retry.attempts_max", 1_000);
    site.set("limits.drain", "1h");
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(12);
    let healthy: usize = (1..4).map(|index| oracle.expected(index)).sum();
    let taken_by_healthy = || (1..4).map(|index| fleet.tms(index).taken()).sum::<usize>();

    fleet.tms(0).refuse();
    for _ in 0..6 {
        run_and_kill(&site, &fleet, healthy / 8, &mut dice);
    }
    let run = site.run();
    until("the others have all", || taken_by_healthy() >= healthy);
    run.kill();
    assert_eq!(fleet.tms(0).taken(), 0);
    fleet.tms(0).behave(Behaviour { jitter: Duration::from_millis(4), ..Behaviour::default() });
    for _ in 0..6 {
        run_and_kill(&site, &fleet, oracle.expected(0) / 8, &mut dice);
    }
    let last = site.run().wait().summary();

    let given = oracle.assert_nothing_lost(&fleet);
    assert!(given.repeats_of_a_load <= 13, "{given:?} after 13 kills");
    assert_eq!((last.dead_letters, last.spilled), (0, 0));
}
