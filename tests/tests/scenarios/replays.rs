//! Dead letters are sent again: once each, in order, at the broker's pace, and none is lost whatever interrupts it.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    process::{self, Stdio},
    thread,
    time::Duration,
};

use lab::receiver::Behaviour;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use tests::{Events, Fleet, Oracle, Site, Wants, pause, until};

use crate::dead_letters::{answer, dead, finish, following, json, letters, list, start, status};

#[test]
fn a_broker_that_is_fixed_gets_its_letters_once_in_order_at_its_pace_and_no_letter_is_left() {
    let log = Events::new(501, 12).take(300);
    let fleet = Fleet::start(2);
    let oracle = Oracle::new(&log, &vec![Wants::all(); 2]);
    let mut site = following(&fleet);
    site.set_broker(1, "rate", 150);
    site.set_broker(1, "burst", 10);
    site.write(&log);
    fleet.tms(1).behave(answer(422));
    let run = start(&site);
    until("all are letters", || letters(&site) == 300);
    let before = list(&site, &[]);
    let unfiltered = site.loadline(&["dead", "replay"]).expect(64);
    assert!(unfiltered.stderr.contains("--all"), "{unfiltered:?}");
    let dry = dead(&site, "replay", &["--all", "--dry-run"]);
    assert_eq!(
        (&dry["counts"]["replayed"], &dry["counts"]["deliveries"]["broker-1"]),
        (&300.into(), &300.into())
    );
    assert_eq!(list(&site, &[]), before, "a dry run has changed something");
    assert_eq!((fleet.tms(1).counts().requests, fleet.tms(1).taken()), (300, 0));

    fleet.tms(1).behave(Behaviour::default());
    let replayed = dead(&site, "replay", &["--broker", "broker-1"]);
    assert_eq!(replayed["answeredBy"], "process");
    assert_eq!(replayed["counts"], dry["counts"]);
    fleet.tms(1).wait_for(300);
    until("nothing waits", || status(&site)["brokers"][1]["spilled"] == 0);
    assert_eq!(list(&site, &[]).len(), 0);
    until("the status follows", || letters(&site) == 0);
    let again = dead(&site, "replay", &["--all"]);
    assert_eq!(again["counts"]["letters"], 0);
    finish(run);
    oracle.assert_exactly_once(&fleet);
    assert_eq!(fleet.tms(1).counts().requests, 600);
    let arrivals = fleet.tms(1).arrivals();
    let time = arrivals[299].at.duration_since(arrivals[0].at).as_secs_f64();
    assert!(time >= 290.0 / 150.0 - 0.25, "{time} s for 300 at 150 a second");
}

#[test]
fn a_letter_that_fails_again_keeps_its_history_and_at_last_goes_under_its_first_id() {
    let log = Events::new(502, 8).take(40);
    let fleet = Fleet::start(1);
    let oracle = Oracle::new(&log, &[Wants::all()]);
    let mut site = following(&fleet);
    site.set("retry.attempts_max", 2);
    site.set("retry.budget_ratio", 10.0);
    site.set("breaker.failures", 1_000);
    site.write(&log);
    // Taken, and the caller is not told so: the ids of all attempts are seen.
    fleet.tms(0).behave(Behaviour { lost_answer_rate: 1.0, ..Behaviour::default() });
    let run = start(&site);
    for round in 1..=3 {
        until("all have failed once more", || {
            let letters = list(&site, &["--cause", "attempts-exhausted"]);
            let again = letters.iter().filter(|letter| letter["attempts"].as_u64().unwrap() >= 2 * round);
            again.count() == 40
        });
        let of_one = &list(&site, &["--max", "1"])[0];
        let kept = of_one["lastAttempts"].as_array().unwrap().len() as u64;
        assert_eq!(of_one["attempts"].as_u64().unwrap().min(16), kept);
        if round == 3 {
            fleet.tms(0).behave(Behaviour::default());
        }
        assert_eq!(dead(&site, "replay", &["--stage", "deliver"])["counts"]["replayed"], 40);
    }
    until("nothing waits", || {
        let told = status(&site);
        told["brokers"][0]["spilled"] == 0 && told["deadLetters"]["total"] == 0
    });
    run.terminate();
    let summary = run.wait().summary();
    // The oracle sees to it that an event has one id; every repeat has been counted.
    // A replay comes after what came meanwhile, so loads go back here.
    let given = &oracle.judge_all(&fleet)[0];
    assert_eq!(given.missing, 0);
    assert!(given.repeats >= 200, "{given:?}");
    assert!(summary.possible_repeats.no_answer >= given.repeats as u64, "{summary:?}, {given:?}");
}

/// An event whose status the default config does not know, for the load `LAX-…`.
fn detained(number: usize) -> String {
    format!(
        r#"{{"eventId":"held-{number}","loadId":"LAX-9","status":"detained","occurredAt":"2025-06-01T00:00:00Z"}}"#
    ) + "\n"
}

/// Makes the config know the status.
fn extend(site: &mut Site) {
    let none: Vec<&str> = Vec::new();
    let names = ["posted", "matched", "accepted", "in-transit", "delivered", "detained"];
    let statuses = names.into_iter().map(|name| (name.to_owned(), toml::Value::from(none.clone())));
    site.set("schema.statuses", toml::Table::from_iter(statuses));
}

#[test]
fn records_that_the_config_refused_are_delivered_after_a_fix_from_the_directory_and_live() {
    let fleet = Fleet::start(2);
    let mut site = following(&fleet);
    let lines: String = (0..6).map(detained).collect();
    site.write_bytes(format!("{lines}not json\n").as_bytes());
    let run = start(&site);
    until("all are letters", || letters(&site) == 7);
    // The process still has the config it began with.
    let refused = json(&site.loadline_with(&["--json", "dead", "replay"], &["--all"]).expect(1));
    assert_eq!((&refused["counts"]["rejectedAgain"], &refused["counts"]["replayed"]), (&7.into(), &0.into()));
    finish(run);

    extend(&mut site);
    site.set_broker(1, "statuses", vec!["posted"]);
    let three = "--event=held-";
    let told = dead(&site, "replay", &["--stage=validate", "--dry-run"]);
    assert_eq!((&told["answeredBy"], &told["counts"]["replayed"]), (&"directory".into(), &6.into()));
    for number in 0..3 {
        let told = dead(&site, "replay", &[&format!("{three}{number}")]);
        assert_eq!((&told["answeredBy"], &told["counts"]["replayed"]), (&"directory".into(), &1.into()));
    }
    assert_eq!((list(&site, &[]).len(), fleet.taken()), (4, 0));
    assert_eq!(status(&site)["brokers"][0]["spilled"], 3);
    let run = start(&site);
    fleet.tms(0).wait_for(3);

    // One comes again by itself: it is delivered, so its letter is over.
    site.append_bytes(detained(3).as_bytes());
    fleet.tms(0).wait_for(4);
    until("it is on record", || status(&site)["brokers"][0]["delivered"] == 4);
    // Another one waits: its letter is left to the line.
    let _paused = site.loadline(&["broker", "pause", "broker-0", "--config"]).expect(0);
    site.append_bytes(detained(4).as_bytes());
    until("it waits on disk", || status(&site)["brokers"][0]["spilled"] == 1);
    // The one that came again is behind another letter of its load.
    let told = dead(&site, "replay", &["--all", "--force"]);
    let counts = &told["counts"];
    assert_eq!((&told["answeredBy"], &counts["letters"]), (&"process".into(), &4.into()));
    for (fate, count) in [("replayed", 1), ("deliveredSince", 1), ("waiting", 1), ("rejectedAgain", 1)] {
        assert_eq!(counts[fate], count, "{fate}: {counts}");
    }
    let _resumed = site.loadline(&["broker", "resume", "broker-0", "--config"]).expect(0);
    fleet.tms(0).wait_for(6);
    until("all are on record", || status(&site)["brokers"][0]["delivered"] == 6);
    assert_eq!(dead(&site, "replay", &["--stage", "validate"])["counts"]["deliveredSince"], 1);
    let left = list(&site, &[]);
    assert_eq!((left.len(), &left[0]["cause"]), (1, &"not-json".into()));
    finish(run);
    let taken: Vec<_> = fleet.tms(0).arrivals().into_iter().map(|arrival| arrival.body).collect();
    let expected: Vec<_> = [0, 1, 2, 3, 4, 5].map(|number| detained(number).trim_end().to_owned()).into();
    assert_eq!((taken, fleet.tms(1).taken()), (expected.into_iter().map(Into::into).collect(), 0));
}

#[test]
fn kills_in_the_middle_of_live_replays_lose_no_letter_and_repeat_no_more_than_is_counted() {
    let log = Events::new(503, 40).take(1_500);
    let fleet = Fleet::start(1);
    let oracle = Oracle::new(&log, &[Wants::all()]);
    let mut site = following(&fleet);
    site.set("delivery.concurrency", 4);
    site.write(&log);
    fleet.tms(0).behave(answer(422));
    let run = start(&site);
    until("all are letters", || letters(&site) == 1_500);
    // In good order, so that the next run reads none of them again: one read again waits on disk as a duplicate, and
    // if its letter is replayed meanwhile it is the one that goes, in its own turn.
    finish(run);
    fleet.tms(0).behave(Behaviour { jitter: Duration::from_millis(3), ..Behaviour::default() });
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(503);
    let (mut cut, kills) = (0, 6);
    for kill in 0..kills {
        let victim = start(&site);
        thread::scope(|scope| {
            let replaying = scope.spawn(|| site.loadline_with(&["--json", "dead", "replay"], &["--all"]));
            if kill > 0 {
                pause(Duration::from_millis(dice.random_range(5..120)));
            } else {
                let enough = fleet.taken() + dice.random_range(1..60);
                until("some have arrived", || fleet.taken() >= enough);
            }
            let _killed = victim.kill();
            cut += usize::from(replaying.join().unwrap().code != Some(0));
        });
        let left: BTreeSet<String> =
            list(&site, &[]).iter().map(|letter| letter["eventId"].as_str().unwrap().to_owned()).collect();
        let arrived: BTreeSet<_> = fleet.tms(0).arrivals().into_iter().map(|arrival| arrival.body).collect();
        let neither = log
            .iter()
            .filter(|event| !left.contains(&event.event_id) && !arrived.contains(&event.body))
            .count();
        let waiting = status(&site)["brokers"][0]["spilled"].as_u64().unwrap();
        assert!(neither as u64 <= waiting, "kill {kill}: {neither} are nowhere, {waiting} wait");
    }
    assert!(cut > 0, "every replay was over before its kill: the scenario shows nothing");
    let repeats_before = oracle.judge_all(&fleet)[0].repeats;
    let run = start(&site);
    until("all letters are gone", || dead(&site, "replay", &["--all"])["counts"]["letters"] == 0);
    until("nothing waits", || status(&site)["brokers"][0]["spilled"] == 0);
    run.terminate();
    let counted = run.wait().summary().possible_repeats.crash;
    let given = oracle.assert_nothing_lost(&fleet);
    // Of each load one delivery is on the wire, or being recorded, when a kill comes.
    assert!(given.repeats_of_a_load <= kills, "{given:?} after {kills} kills");
    let repeats = given.repeats - repeats_before;
    assert!(counted >= repeats as u64, "{repeats} repeats in the last run, {counted} counted");
}

/// Starts a replay that has to wait, and interrupts it: it says how far it came. It needs no broker's secret.
fn interrupt_a_replay(site: &Site) {
    let mut replaying = process::Command::new(tests::loadline());
    replaying
        .args(["dead", "replay"])
        .arg(site.config())
        .arg("--all")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut replaying = replaying.spawn().unwrap();
    // It has said that it waits, so it listens to signals.
    let mut said = BufReader::new(replaying.stderr.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains("waiting for room")));
    let pid = rustix::process::Pid::from_child(&replaying);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let told = replaying.wait_with_output().unwrap();
    let stdout = String::from_utf8(told.stdout).unwrap();
    assert!(told.status.code() == Some(1) && stdout.contains("it was interrupted"), "{stdout}");
}

#[test]
fn where_there_is_no_room_on_disk_a_live_replay_waits_and_one_in_the_directory_stops() {
    let log = Events::new(505, 10).take(400);
    let fleet = Fleet::start(2);
    let oracle = Oracle::new(&log, &vec![Wants::all(); 2]);
    let mut site = following(&fleet);
    site.set("source.record_max", "16KiB");
    site.set("limits.spill_broker_max", "64KiB");
    site.write(&log);
    fleet.tms(0).behave(answer(422));
    let run = start(&site);
    until("all are letters", || letters(&site) == 400);
    finish(run);
    fleet.tms(0).behave(Behaviour::default());
    let stopped = site.loadline_with(&["--json", "dead", "replay"], &["--all"]).expect(1);
    let told = json(&stopped);
    let (placed, left) = (told["counts"]["replayed"].as_u64().unwrap(), told["left"].as_u64().unwrap());
    assert!(placed > 20 && placed + left == 400, "{told}");
    assert!(told["ended"].as_str().unwrap().contains("broker-0"), "{told}");
    assert_eq!((letters(&site), status(&site)["brokers"][0]["spilled"].as_u64()), (left, Some(placed)));

    let _paused = site.loadline(&["broker", "pause", "broker-0", "--config"]).expect(0);
    let run = start(&site);
    interrupt_a_replay(&site);
    thread::scope(|scope| {
        let replaying = scope.spawn(|| site.loadline_with(&["dead", "replay"], &["--all"]));
        pause(Duration::from_millis(1_500));
        assert!(!replaying.is_finished(), "there was room after all");
        assert!(letters(&site) > 0);
        let _resumed = site.loadline(&["broker", "resume", "broker-0", "--config"]).expect(0);
        let told = replaying.join().unwrap().expect(0);
        assert!(told.stderr.contains("waiting for room on disk for broker broker-0"), "{told:?}");
        assert!(told.stdout.contains("in the running process"), "{told:?}");
    });
    fleet.tms(0).wait_for(400);
    until("no letter is left", || letters(&site) == 0);
    finish(run);
    oracle.assert_exactly_once(&fleet);
}
