//! A run may have sent what nobody knows the outcome of: the repeat is counted however many runs, pauses and queues lie in
//! between, and not many more than were on the wire.

use std::time::Duration;

use lab::receiver::{Behaviour, LostAnswer};
use tests::{Events, Fleet, Oracle, ShipmentEvent, Site, Wants, until};

/// Requests on the wire at once.
const CONCURRENCY: u64 = 8;

/// Takes everything and never answers.
fn silent() -> Behaviour {
    Behaviour { lost_answer_rate: 1.0, lost_answer: LostAnswer::Hang, ..Behaviour::default() }
}

fn site(fleet: &Fleet, log: &[ShipmentEvent]) -> Site {
    let mut site = Site::new(fleet, &[Wants::all()]);
    site.set("delivery.concurrency", CONCURRENCY as i64);
    site.set("source.follow", true);
    site.set("state.durability", "process");
    site.impatient();
    site.write(log);
    site
}

/// A run that is stopped in good order once it answers; it has delivered nothing.
fn stopped_at_once(site: &Site) {
    let mut run = site.run();
    until("it answers", || run.log().contains("endpoint listening") || !run.runs());
    run.terminate();
    assert_eq!(run.wait().summary().delivered, 0);
}

/// Runs to the end; every repeat is counted, and no more than `on_wire` beside those.
fn counts(site: &mut Site, fleet: &Fleet, log: &[ShipmentEvent], on_wire: u64) {
    fleet.tms(0).behave(Behaviour::default());
    site.set("source.follow", false);
    let last = site.run().wait().summary();
    let repeats = Oracle::new(log, &[Wants::all()]).assert_nothing_lost(fleet).repeats as u64;
    let counted = last.possible_repeats.crash;
    assert!(repeats > 0, "nothing was repeated: the scenario shows nothing");
    assert!((repeats..=repeats + on_wire).contains(&counted), "{repeats} repeats, {last:?}");
    assert_eq!((last.spilled, last.dead_letters), (0, 0));
    // It ended in good order, so the next one has nothing to doubt.
    assert_eq!(site.run().wait().summary().possible_repeats.crash, 0);
}

#[test]
fn what_was_on_the_wire_at_a_kill_is_counted_although_later_runs_were_stopped_before_they_came_to_it() {
    let log = Events::new(120, 40).take(200);
    let fleet = Fleet::start(1);
    fleet.tms(0).behave(silent());
    let mut site = site(&fleet, &log);
    let run = site.run();
    until("it holds requests", || fleet.tms(0).counts().lost_answers >= CONCURRENCY);
    run.kill();
    fleet.tms(0).refuse();
    for _ in 0..2 {
        stopped_at_once(&site);
    }
    counts(&mut site, &fleet, &log, CONCURRENCY);
}

#[test]
fn what_was_being_drained_at_a_kill_is_counted_although_its_broker_was_paused_for_a_run() {
    let log = Events::new(121, 40).take(120);
    let fleet = Fleet::start(1);
    fleet.tms(0).refuse();
    let mut site = site(&fleet, &log);
    let run = site.run();
    until("it reads", || run.log().contains("endpoint listening"));
    tests::pause(Duration::from_millis(500));
    run.terminate();
    assert!(run.wait().summary().spilled > 0);
    fleet.tms(0).behave(silent());
    let run = site.run();
    until("it holds requests", || fleet.tms(0).counts().lost_answers >= CONCURRENCY);
    run.kill();
    assert_eq!(site.loadline(&["broker", "pause", "broker-0", "--config"]).code, Some(0));
    fleet.tms(0).behave(Behaviour::default());
    stopped_at_once(&site);
    assert_eq!(site.loadline(&["broker", "resume", "broker-0", "--config"]).code, Some(0));
    counts(&mut site, &fleet, &log, CONCURRENCY);
}

#[test]
fn what_waited_for_its_own_next_attempt_or_behind_one_that_did_is_counted() {
    // All of one load: the first one is parked, those behind it are on disk and sent from memory.
    let log = Events::new(122, 1).take(6);
    for ahead in 0..2 {
        let fleet = Fleet::start(1);
        fleet.tms(0).behave(Behaviour { fail_rate: 1.0, ..Behaviour::default() });
        let mut site = site(&fleet, &log);
        site.set("retry.in_place_max", "0s");
        site.set("retry.base", "300ms");
        let run = site.run();
        until("the first one has failed", || fleet.tms(0).counts().requests >= 1);
        if ahead > 0 {
            fleet.tms(0).behave(Behaviour { latency: Duration::from_millis(300), ..Behaviour::default() });
            fleet.tms(0).wait_for(ahead);
        }
        fleet.tms(0).behave(silent());
        until("it holds a request", || fleet.tms(0).counts().lost_answers >= 1);
        run.kill();
        counts(&mut site, &fleet, &log, 1);
    }
}

#[test]
fn what_found_no_room_on_disk_and_was_taken_without_an_answer_is_counted_after_a_stop() {
    let log = Events::new(123, 300).take(400);
    let fleet = Fleet::start(1);
    let lost = Behaviour { lost_answer_rate: 1.0, ..Behaviour::default() };
    fleet.tms(0).behave(lost);
    let mut site = site(&fleet, &log);
    site.set("source.record_max", "16KiB");
    site.set("limits.spill_broker_max", "64KiB");
    site.set("limits.spill_total_max", "64KiB");
    site.set("limits.when_full", "hold");
    site.set("limits.in_flight_max", 64);
    site.set("limits.per_broker_max", 64);
    let run = site.run();
    until("its breaker is open", || fleet.tms(0).counts().lost_answers >= 5);
    tests::pause(Duration::from_millis(300));
    run.terminate();
    let stopped = run.wait().summary();
    let before = Oracle::new(&log, &[Wants::all()]).judge(0, &fleet.tms(0).arrivals()).repeats as u64;
    let counted = stopped.possible_repeats;
    assert!(counted.no_answer + counted.crash >= before, "{before} repeats, {stopped:?}");

    fleet.tms(0).behave(Behaviour::default());
    site.set("source.follow", false);
    let last = site.run().wait().summary();
    let repeats = Oracle::new(&log, &[Wants::all()]).assert_nothing_lost(&fleet).repeats as u64 - before;
    let counted = last.possible_repeats.crash + last.possible_repeats.no_answer;
    assert!(repeats > 0 && counted >= repeats, "{repeats} repeats, {last:?}");
}
