//! Brokers that refuse some loads for ever, each in its own way, at default settings: they get everything else.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use lab::receiver::RuleAnswer;
use parking_lot::Mutex;
use tests::{Ended, Fleet, Loadline, RuleReceiver, ShipmentEvent, Site, Wants, until};
use toml::Table;

const LOADS: usize = 40;

/// What the brokers answer to bad loads, each one of these.
const ANSWERS: [RuleAnswer; 15] = [
    RuleAnswer::Status(400),
    RuleAnswer::Status(401),
    RuleAnswer::Status(404),
    RuleAnswer::Status(408),
    RuleAnswer::Status(409),
    RuleAnswer::Status(422),
    RuleAnswer::Status(429),
    RuleAnswer::After(429, 1),
    RuleAnswer::Status(302),
    RuleAnswer::Status(500),
    RuleAnswer::Status(503),
    RuleAnswer::After(503, 1),
    RuleAnswer::Nothing,
    RuleAnswer::Cut,
    RuleAnswer::HangingBody,
];

fn event(load: usize, step: usize, bad: bool) -> ShipmentEvent {
    let status = ["posted", "matched"][step];
    let (event_id, load_id) =
        (format!("e-{load}-{step}"), format!("{}-{load}", if bad { "BAD" } else { "GOOD" }));
    let body = format!(
        r#"{{"eventId":"{event_id}","loadId":"{load_id}","status":"{status}","occurredAt":"2025-06-01T12:00:00Z"}}"#
    );
    ShipmentEvent { event_id, load_id, status, body: Bytes::from(body) }
}

/// Two events of each load, the first ones of all loads before the second ones.
fn events(is_bad: fn(usize) -> bool) -> Vec<ShipmentEvent> {
    (0..2).flat_map(|step| (0..LOADS).map(move |load| event(load, step, is_bad(load)))).collect()
}

fn brokers() -> Vec<RuleReceiver> {
    let picky = |answer| {
        RuleReceiver::start(
            move |body| if body.contains("\"BAD-") { answer } else { RuleAnswer::Status(200) },
        )
    };
    ANSWERS.map(picky).to_vec()
}

/// A site with these brokers, which has no other settings but that nobody waits long for an answer that never comes.
fn site(brokers: &[RuleReceiver]) -> Site {
    let fleet = Fleet::start(brokers.len());
    let mut site = Site::new(&fleet, &vec![Wants::all(); brokers.len()]);
    for (index, broker) in brokers.iter().enumerate() {
        site.set_broker(index, "url", broker.url());
        site.set_broker(index, "timeout", "1s");
    }
    site.set("delivery.connect_timeout", "900ms");
    site.set("source.follow", true);
    site
}

/// Stops it in good order; something may wait on disk.
fn stop(run: Loadline) {
    run.terminate();
    drop(run.wait().summary());
}

/// Waits until each has taken everything good, which came in order, and once for each load.
fn assert_served(brokers: &[RuleReceiver], log: &[ShipmentEvent]) {
    let good = log.iter().filter(|event| event.load_id.starts_with("GOOD"));
    let mut by_load: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for event in good {
        by_load.entry(&event.load_id).or_default().push(std::str::from_utf8(&event.body).unwrap());
    }
    let wanted: usize = by_load.values().map(Vec::len).sum();
    for (broker, answer) in brokers.iter().zip(ANSWERS) {
        assert!(broker.wait_for(wanted), "{answer:?}: {} of {wanted} were taken", broker.taken().len());
        let taken = broker.taken();
        for (load, bodies) in &by_load {
            let of_load: Vec<_> = taken.iter().filter(|body| body.contains(&format!("\"{load}\""))).collect();
            assert_eq!(&of_load, bodies, "{answer:?}: {load}");
        }
    }
}

#[test]
fn brokers_that_refuse_every_tenth_load_get_everything_else() {
    let (brokers, log) = (brokers(), events(|load| load % 10 == 3));
    let site = site(&brokers);
    site.write(&log);
    let run = site.run();
    assert_served(&brokers, &log);
    stop(run);
    let letters = site.dead_letters();
    assert!(letters.iter().all(|letter| letter.event_id.as_deref().is_some_and(|id| {
        log.iter().any(|event| event.event_id == id && event.load_id.starts_with("BAD"))
    })));
}

#[test]
fn brokers_that_refuse_half_of_the_loads_get_the_other_half() {
    let (brokers, log) = (brokers(), events(|load| load % 2 == 0));
    let site = site(&brokers);
    site.write(&log);
    let run = site.run();
    assert_served(&brokers, &log);
    stop(run);
}

#[test]
fn brokers_whose_backlog_on_disk_begins_with_the_loads_they_refuse_get_everything_behind_it() {
    let (brokers, log) = (brokers(), events(|load| load < LOADS / 4));
    let mut site = site(&brokers);
    site.set("source.follow", false);
    site.set("limits.drain", "1s");
    site.write(&log);
    for index in 0..brokers.len() {
        drop(site.loadline(&["broker", "pause", &format!("broker-{index}"), "--config"]).expect(0));
    }
    assert_eq!(site.run().wait().summary().spilled, (log.len() * brokers.len()) as u64);
    for index in 0..brokers.len() {
        drop(site.loadline(&["broker", "resume", &format!("broker-{index}"), "--config"]).expect(0));
    }
    site.set("source.follow", true);
    let run = site.run();
    assert_served(&brokers, &log);
    stop(run);
}

#[test]
fn loads_that_are_told_to_come_back_later_for_ever_are_not_all_that_is_tried_after_each_pause() {
    let broker = RuleReceiver::start(|body| {
        if body.contains("\"BAD-") { RuleAnswer::After(429, 1) } else { RuleAnswer::Status(200) }
    });
    let log: Vec<_> = (0..LOADS).map(|load| event(load, 0, load % 8 == 0)).collect();
    let mut site = site(std::slice::from_ref(&broker));
    // Each pause is long enough to send what is in memory to disk.
    site.set("retry.in_place_max", "100ms");
    drop(site.loadline(&["broker", "pause", "broker-0", "--config"]).expect(0));
    site.write(&log);
    let run = site.run();
    drop(site.loadline(&["broker", "resume", "broker-0", "--config"]).expect(0));
    let good = log.iter().filter(|event| event.load_id.starts_with("GOOD")).count();
    assert!(broker.wait_for(good), "{} of {good} were taken", broker.taken().len());
    stop(run);
}

#[test]
fn a_load_that_pauses_before_its_next_attempt_takes_no_place_that_others_could_be_sent_from() {
    let broker = RuleReceiver::start(|body| {
        if body.contains("\"BAD-") { RuleAnswer::Status(500) } else { RuleAnswer::Status(200) }
    });
    let mut site = site(std::slice::from_ref(&broker));
    site.set("delivery.concurrency", 1);
    site.set("retry.base", "1m");
    site.set("retry.in_place_max", "1m");
    site.write(&[event(0, 0, true), event(1, 0, false)]);
    let run = site.run();
    assert!(broker.wait_for(1));
    let posts = broker.bodies();
    assert!(posts[1].contains("GOOD"), "{posts:?}");
    stop(run);
}

#[test]
fn one_event_that_is_always_refused_is_posted_as_often_as_is_allowed_and_is_a_dead_letter_then() {
    let broker = RuleReceiver::start(|_| RuleAnswer::Status(500));
    let mut site = site(std::slice::from_ref(&broker));
    site.set("retry.base", "20ms");
    site.set("retry.cap", "200ms");
    site.set("retry.in_place_max", "200ms");
    site.write(&[event(1, 0, true)]);
    let run = site.run();
    // Until the state is there nobody can be asked.
    let letters = || site.loadline(&["--json", "dead", "list"]);
    until(
        "it is a dead letter",
        || matches!(letters(), Ended { code: Some(0), stdout, .. } if !stdout.is_empty()),
    );
    stop(run);
    assert_eq!((broker.posts().len(), site.dead_letters()[0].attempts), (12, 12));
}

#[test]
fn a_deploy_that_answers_404_and_a_token_that_has_expired_burn_nothing() {
    let deployed = Arc::new(AtomicBool::new(false));
    let seen = deployed.clone();
    let broker = RuleReceiver::start(move |_| {
        let up = seen.load(Ordering::SeqCst);
        if up { RuleAnswer::Status(200) } else { RuleAnswer::Status(404) }
    });
    let mut site = site(std::slice::from_ref(&broker));
    let log = events(|_| false);
    site.write(&log);
    site.set_broker(0, "headers", Table::from_iter([("x-token".to_owned(), "old".into())]));
    let run = site.run();
    until("the broker is held", || broker.posts().len() >= 5);
    deployed.store(true, Ordering::SeqCst);
    // With another key it is tried at once.
    site.set_broker(0, "headers", Table::from_iter([("x-token".to_owned(), "new".into())]));
    site.save();
    drop(site.loadline(&["reload"]).expect(0));
    assert!(broker.wait_for(log.len()), "{} of {} were taken", broker.taken().len(), log.len());
    stop(run);
    assert_eq!(site.dead_letters(), []);
    let ids: BTreeSet<_> = broker.taken().into_iter().collect();
    assert_eq!(ids.len(), log.len());
}

#[test]
fn a_409_after_an_answer_that_came_too_late_is_a_delivery() {
    let first = Mutex::new(BTreeSet::new());
    let broker = RuleReceiver::start(move |body| {
        if first.lock().insert(body.to_owned()) { RuleAnswer::Nothing } else { RuleAnswer::Status(409) }
    });
    let mut site = site(std::slice::from_ref(&broker));
    site.set("source.follow", false);
    site.write(&events(|_| false)[..3]);
    let summary = site.run().wait().summary();
    assert_eq!((summary.delivered, summary.dead_letters), (3, 0));
}

#[test]
fn a_409_after_a_kill_is_a_delivery_if_the_event_was_on_the_wire_then() {
    let killed = Arc::new(AtomicBool::new(false));
    let knows = killed.clone();
    let broker = RuleReceiver::start(move |_| match knows.load(Ordering::Relaxed) {
        true => RuleAnswer::Status(409),
        false => RuleAnswer::Nothing,
    });
    let mut site = site(std::slice::from_ref(&broker));
    site.write(&events(|_| false)[..3]);
    let run = site.run();
    until("all are on the wire", || broker.posts().len() >= 3);
    let _killed = run.kill();
    killed.store(true, Ordering::Relaxed);
    site.set("source.follow", false);
    let summary = site.run().wait().summary();
    assert_eq!((summary.delivered, summary.dead_letters), (3, 0));
}
