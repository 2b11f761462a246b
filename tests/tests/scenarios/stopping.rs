//! SIGTERM: the first one ends in good order, the second one at once; neither loses anything.

use std::time::Duration;

use lab::receiver::{Availability, Behaviour, LostAnswer};
use tests::{Events, Fleet, Oracle, PossibleRepeats, Site, Wants, until};

fn steady() -> Behaviour {
    Behaviour { latency: Duration::from_millis(10), ..Behaviour::default() }
}

#[test]
fn a_run_that_is_asked_to_stop_finishes_what_is_on_the_wire_and_the_next_ones_go_on_without_a_repeat() {
    let log = Events::new(70, 50).take(3_000);
    let fleet = Fleet::start(3);
    let wants = vec![Wants::all(); 3];
    let oracle = Oracle::new(&log, &wants);
    let mut site = Site::new(&fleet, &wants);
    site.set("delivery.concurrency", 8);
    site.set("limits.grace", "1m");
    site.write(&log);
    fleet.iter().for_each(|tms| tms.behave(steady()));

    for share in 1..=4 {
        let run = site.run();
        until("a good part is delivered", || fleet.taken() >= share * 1_000);
        run.terminate();
        let summary = run.wait().summary();
        assert_eq!((summary.abandoned, summary.dead_letters), (0, 0));
        assert_eq!(summary.possible_repeats.crash, 0);
        assert!(fleet.taken() < 9_000, "it came too late to stop anything");
    }
    let last = site.run().wait().summary();
    assert_eq!((last.spilled, last.possible_repeats.crash), (0, 0));
    oracle.assert_exactly_once(&fleet);
}

#[test]
fn a_run_whose_log_nobody_reads_any_more_delivers_on_and_stops_when_asked() {
    let log = Events::new(73, 20).take(200);
    let fleet = Fleet::start(1);
    let oracle = Oracle::new(&log, &[Wants::all()]);
    let mut site = Site::new(&fleet, &[Wants::all()]);
    site.set("source.follow", true);
    site.write(&log[..100]);
    let mut run = site.run();
    fleet.tms(0).wait_for(100);
    run.stop_reading_its_log();
    // A warning for the log, and something to deliver behind it.
    site.append_bytes(b"not an event\n");
    site.append(&log[100..]);
    fleet.tms(0).wait_for(200);
    run.terminate();
    let summary = run.wait().summary();
    oracle.assert_exactly_once(&fleet);
    assert_eq!((summary.delivered, summary.dead_letters, summary.abandoned), (200, 1, 0));
}

#[test]
fn a_run_that_is_asked_to_stop_waits_for_no_quota_and_abandons_nothing() {
    let log = Events::new(74, 100).take(100);
    let fleet = Fleet::start(2);
    let oracle = Oracle::new(&log, &vec![Wants::all(); 2]);
    let mut site = Site::new(&fleet, &vec![Wants::all(); 2]);
    // One a second: what is on its way when it is asked would take half a minute.
    site.set_broker(0, "rate", 1);
    site.set("limits.grace", "10m");
    site.set("limits.spill_after", "10m");
    site.set("source.follow", true);
    site.write(&log);
    let run = site.run();
    fleet.tms(1).wait_for(100);
    fleet.tms(0).wait_for(1);
    run.terminate();
    let stopped = run.wait().summary();
    assert_eq!((stopped.abandoned, stopped.dead_letters), (0, 0));
    assert_eq!(stopped.possible_repeats, PossibleRepeats::default());
    assert!(fleet.tms(0).taken() < 30, "it waited for the quota");
    assert_eq!(stopped.spilled, 100 - fleet.tms(0).taken() as u64);

    site.set_broker(0, "rate", 1_000);
    site.set("source.follow", false);
    let last = site.run().wait().summary();
    assert_eq!((last.spilled, last.possible_repeats), (0, PossibleRepeats::default()));
    oracle.assert_exactly_once(&fleet);
}

#[test]
fn a_second_request_to_stop_abandons_nothing_that_only_waits_for_its_quota() {
    let log = Events::new(75, 100).take(100);
    let fleet = Fleet::start(1);
    let oracle = Oracle::new(&log, &[Wants::all()]);
    let mut site = Site::new(&fleet, &[Wants::all()]);
    site.set_broker(0, "rate", 1);
    site.set("limits.grace", "0s");
    site.set("limits.spill_after", "10m");
    site.set("source.follow", true);
    site.write(&log);
    let run = site.run();
    fleet.tms(0).wait_for(1);
    run.terminate();
    let stopped = run.wait().summary();
    // One may be on the wire just then.
    assert!(stopped.abandoned <= 1, "{stopped:?}");

    site.set_broker(0, "rate", 1_000);
    site.set("source.follow", false);
    let last = site.run().wait().summary();
    assert_eq!(last.spilled, 0);
    assert!(oracle.assert_nothing_lost(&fleet).repeats <= 1);
}

#[test]
fn a_run_that_is_asked_twice_ends_at_once_and_loses_nothing() {
    let log = Events::new(71, 50).take(1_000);
    let fleet = Fleet::start(2);
    let wants = vec![Wants::all(); 2];
    let oracle = Oracle::new(&log, &wants);
    let mut site = Site::new(&fleet, &wants);
    site.set("delivery.concurrency", 8);
    site.set("delivery.timeout", "5m");
    site.set("limits.grace", "10m");
    site.set("source.follow", true);
    site.write(&log[..150]);

    let mut run = site.run();
    until("something is delivered", || fleet.taken() == 300);
    // From here on nobody answers: the first request to stop can't be done with within the harness's patience.
    let silent = Behaviour { availability: Availability::Down, ..Behaviour::default() };
    fleet.iter().for_each(|tms| tms.behave(silent.clone()));
    site.append(&log[150..]);
    until("both brokers hold requests", || fleet.iter().all(|tms| tms.counts().unanswered >= 8));
    run.terminate();
    tests::pause(Duration::from_millis(300));
    assert!(run.runs(), "it did not wait for what is on the wire");
    run.terminate();
    let ended = run.wait();
    assert_ne!(ended.code, Some(0), "{ended:?}");

    fleet.iter().for_each(|tms| tms.behave(Behaviour::default()));
    site.set("source.follow", false);
    let last = site.run().wait().summary();
    let repeats = oracle.assert_nothing_lost(&fleet).repeats;
    assert!(repeats as u64 <= last.possible_repeats.crash, "{repeats} repeats, {last:?}");
    assert_eq!((last.spilled, last.dead_letters), (0, 0));
}

#[test]
fn what_the_grace_period_cuts_off_is_sent_again_under_the_same_id_and_counted() {
    let log = Events::new(72, 50).take(400);
    let fleet = Fleet::start(1);
    let oracle = Oracle::new(&log, &[Wants::all()]);
    let mut site = Site::new(&fleet, &[Wants::all()]);
    site.set("delivery.concurrency", 8);
    site.set("delivery.timeout", "5m");
    site.set("limits.grace", "100ms");
    site.set("source.follow", true);
    site.write(&log[..100]);

    let run = site.run();
    fleet.tms(0).wait_for(100);
    // Taken, and never answered.
    let lost = Behaviour { lost_answer_rate: 1.0, lost_answer: LostAnswer::Hang, ..Behaviour::default() };
    fleet.tms(0).behave(lost);
    site.append(&log[100..]);
    until("it holds a request", || fleet.tms(0).counts().lost_answers >= 1);
    run.terminate();
    let cut = run.wait().summary();
    assert!(cut.abandoned >= 1, "{cut:?}");

    fleet.tms(0).behave(Behaviour::default());
    site.set("source.follow", false);
    let last = site.run().wait().summary();
    let repeats = oracle.assert_nothing_lost(&fleet).repeats;
    assert!((1..=cut.abandoned).contains(&(repeats as u64)), "{repeats} repeats, {cut:?}");
    assert!(repeats as u64 <= last.possible_repeats.crash, "{repeats} repeats, {last:?}");
}
