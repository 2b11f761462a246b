//! Events that producers post: what was answered 202 arrives, whatever happens afterwards, and a line that cannot take
//! more says so.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use lab::receiver::Behaviour;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use tests::{Events, Fleet, Oracle, Producer, ShipmentEvent, Site, Wants, beside, lines, pause, until};

/// The events as a JSON array.
fn array(events: &[ShipmentEvent]) -> Vec<u8> {
    let bodies: Vec<&[u8]> = events.iter().map(|event| &event.body[..]).collect();
    [&b"[\n"[..], &bodies.join(&b" ,\n"[..]), b"\n]"].concat()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// Receivers that take a moment, so that much is accepted and not delivered.
fn steady(fleet: &Fleet) {
    let behaviour = Behaviour { jitter: Duration::from_millis(8), ..Behaviour::default() };
    fleet.iter().for_each(|tms| tms.behave(behaviour.clone()));
}

#[test]
fn posted_events_arrive_byte_for_byte_however_they_are_posted_and_again_they_are_duplicates() {
    let log = Events::new(200, 40).take(1_000);
    let fleet = Fleet::start(2);
    let wants = [Wants::all(), Wants::loads("DAL-")];
    let oracle = Oracle::new(&log, &wants);
    let site = Site::with_posts(&fleet, &wants);
    let mut run = site.run();
    let producer = Producer::new(run.listening());

    let mut next = 0;
    for (number, events) in log.chunks(20).enumerate() {
        let told = match number % 4 {
            0 => producer.post(lines(events)),
            1 => producer.post_with(&[("content-type", "application/json")], array(events)),
            2 => producer.post_with(&[("content-encoding", "gzip")], gzip(&array(events))),
            _ => events.iter().map(|event| producer.post(event.body.clone())).last().unwrap(),
        };
        assert_eq!((told.status, told.last), (202, next + 19), "{told:?}");
        assert_eq!(told.first, told.last + 1 - told.accepted);
        next = told.last + 1;
    }
    until("all have arrived", || fleet.taken() >= oracle.deliveries());
    oracle.assert_exactly_once(&fleet);
    assert_eq!(producer.post(lines(&log[..100])).accepted, 100);
    pause(Duration::from_millis(200));
    run.terminate();
    let summary = run.wait().summary();
    assert_eq!((summary.records, summary.settled, summary.dead_letters), (1_100, 1_100, 0));
    oracle.assert_exactly_once(&fleet);
}

#[test]
fn a_line_that_is_not_json_is_accepted_and_becomes_a_dead_letter_and_a_body_that_is_not_is_refused() {
    let log = Events::new(201, 5).take(2);
    let fleet = Fleet::start(1);
    let site = Site::with_posts(&fleet, &[Wants::all()]);
    let mut run = site.run();
    let producer = Producer::new(run.listening());
    let refused = producer.post("{\"eventId\": \"e-1\",\n \"loadId\": }\n");
    assert!(refused.status == 400 && refused.error.contains("line 2"), "{refused:?}");
    let body = [&log[0].body[..], b"{\"eventId\": \"cut", &log[1].body].join(&b"\n"[..]);
    let told = producer.post_with(&[("content-type", "application/x-ndjson")], body);
    assert_eq!((told.status, told.accepted), (202, 3));
    fleet.tms(0).wait_for(2);
    run.terminate();
    let summary = run.wait().summary();
    assert_eq!((summary.records, summary.delivered, summary.dead_letters), (3, 2, 1));
    let letters = site.dead_letters();
    assert_eq!((letters[0].offset, letters[0].body()), (1, b"{\"eventId\": \"cut".to_vec()));
    Oracle::new(&log, &[Wants::all()]).assert_exactly_once(&fleet);
}

/// Posts `batches` from `start` on until all are accepted or the run is gone; gives the first that may not have been.
async fn post_from(
    producer: Producer,
    batches: Arc<Vec<Vec<u8>>>,
    start: usize,
    accepted: Arc<AtomicUsize>,
) -> usize {
    for (number, batch) in batches.iter().enumerate().skip(start) {
        match producer.try_post(batch.clone()).await {
            Some(told) if told.status == 202 => accepted.store(number + 1, SeqCst),
            Some(told) if told.status == 503 => return number,
            Some(told) => panic!("{told:?}"),
            None => return number,
        }
    }
    batches.len()
}

#[test]
fn fifty_kills_between_the_answer_and_the_delivery_lose_nothing_that_was_accepted() {
    let log = Events::new(202, 60).take(5_000);
    let wants = vec![Wants::all(); 3];
    let fleet = Fleet::start(3);
    let oracle = Oracle::new(&log, &wants);
    let mut site = Site::with_posts(&fleet, &wants);
    site.set("delivery.concurrency", 4);
    steady(&fleet);
    let batches: Arc<Vec<Vec<u8>>> = Arc::new(log.chunks(5).map(lines).collect());
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(202);

    let (mut start, mut interrupted, kills) = (0, 0, 50);
    for kill in 1..=kills {
        let mut run = site.run();
        let accepted = Arc::new(AtomicUsize::new(start));
        let producer = Producer::new(run.listening());
        let posting = beside(post_from(producer, batches.clone(), start, accepted.clone()));
        until("more is accepted", || accepted.load(SeqCst) >= batches.len() * kill / (kills + 1));
        pause(Duration::from_micros(dice.random_range(0..4_000)));
        let ended = run.kill();
        assert_eq!(ended.code, None, "{ended:?}");
        let stopped = posting();
        let accepted = accepted.load(SeqCst);
        assert!(stopped >= accepted);
        let arrived: usize = oracle.judge_all(&fleet).iter().map(|given| given.events).sum();
        interrupted += usize::from(arrived < accepted * 5 * wants.len());
        // What was not answered is posted again, as a producer does.
        start = stopped;
    }
    assert!(interrupted > kills / 5, "only {interrupted} kills found something accepted and not delivered");
    let mut run = site.run();
    let producer = Producer::new(run.listening());
    let all = beside(post_from(producer, batches.clone(), start, Arc::default()))();
    assert_eq!(all, batches.len());
    until("all has arrived", || oracle.judge_all(&fleet).iter().all(|given| given.missing == 0));
    run.terminate();
    let last = run.wait().summary();
    let given = oracle.assert_nothing_lost(&fleet);
    assert!(given.repeats_of_a_load <= kills, "{given:?}");
    assert_eq!((last.dead_letters, last.spilled), (0, 0));
}

#[test]
fn the_run_after_a_kill_counts_at_least_the_repeats_it_makes_of_posted_events() {
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(203);
    let mut repeats_of_all = 0;
    for round in 0..10 {
        let log = Events::new(300 + round, 40).take(400);
        let fleet = Fleet::start(2);
        let wants = vec![Wants::all(); 2];
        let oracle = Oracle::new(&log, &wants);
        let site = Site::with_posts(&fleet, &wants);
        steady(&fleet);
        let mut run = site.run();
        assert_eq!(Producer::new(run.listening()).post(lines(&log)).accepted, 400);
        let enough = dice.random_range(0..600);
        until("enough has arrived", || fleet.taken() >= enough);
        run.kill();

        let run = site.run();
        until("all has arrived", || oracle.judge_all(&fleet).iter().all(|given| given.missing == 0));
        run.terminate();
        let counted = run.wait().summary().possible_repeats.crash;
        let given = oracle.assert_nothing_lost(&fleet);
        assert!(given.repeats as u64 <= counted, "round {round}: {given:?}, {counted} counted");
        assert!(given.repeats_of_a_load <= 1, "round {round}: {given:?}");
        repeats_of_all += given.repeats;
    }
    assert!(repeats_of_all > 0, "no kill found anything on the wire: the scenario shows nothing");
}

#[test]
fn fifty_posters_at_once_share_commits_and_all_they_were_answered_for_arrives() {
    let log = Events::new(204, 100).take(3_000);
    let fleet = Fleet::start(1);
    let oracle = Oracle::new(&log, &[Wants::all()]);
    let site = Site::with_posts(&fleet, &[Wants::all()]);
    let mut run = site.run();
    let producer = Producer::new(run.listening());
    // All events of a load come from one poster, each once the one before is accepted: so they keep their order.
    let poster = |number: usize| {
        let of_poster =
            |event: &&ShipmentEvent| event.load_id.bytes().map(usize::from).sum::<usize>() % 50 == number;
        let batches = log.iter().filter(of_poster).map(|event| event.body.to_vec()).collect();
        let batches: Arc<Vec<Vec<u8>>> = Arc::new(batches);
        let posting = post_from(producer.clone(), batches.clone(), 0, Arc::default());
        beside(async move { (posting.await, batches.len()) })
    };
    let posters: Vec<_> = (0..50).map(poster).collect();
    for poster in posters {
        let (accepted, all) = poster();
        assert_eq!(accepted, all, "there is room for all");
    }
    until("all have arrived", || fleet.taken() >= 3_000);
    run.terminate();
    let summary = run.wait().summary();
    oracle.assert_exactly_once(&fleet);
    assert!(summary.commits < 1_500, "{} commits for 3000 posts and as many deliveries", summary.commits);
}

#[test]
fn a_full_backlog_is_answered_503_with_retry_after_and_goes_on_when_the_broker_is_back() {
    let log = Events::new(205, 30).take(1_000);
    let fleet = Fleet::start(1);
    let oracle = Oracle::new(&log, &[Wants::all()]);
    let mut site = Site::with_posts(&fleet, &[Wants::all()]);
    site.set("source.backlog_max", 50);
    site.set("source.records_max", 10);
    site.set("source.record_max", "16KiB");
    for (key, value) in [("in_flight_max", 16), ("per_broker_max", 16), ("unsettled_max", 32)] {
        site.set(&format!("limits.{key}"), value);
    }
    site.set("limits.spill_broker_max", "64KiB");
    site.set("limits.spill_total_max", "64KiB");
    site.set("limits.when_full", "hold");
    site.set("limits.spill_after", "50ms");
    site.set("delivery.concurrency", 16);
    site.impatient();
    fleet.tms(0).refuse();

    let mut run = site.run();
    let producer = Producer::new(run.listening());
    let mut batches = log.chunks(10);
    let mut accepted = 0;
    let (refused, mut waiting) = loop {
        let batch = batches.next().expect("the backlog has a bound");
        let told = producer.post(lines(batch));
        if told.status == 503 {
            break (told, batch);
        }
        assert_eq!((told.status, told.accepted), (202, 10), "{told:?}");
        accepted += told.accepted;
    };
    assert_eq!((refused.retry_after, refused.accepted), (Some(1), 0), "{refused:?}");
    assert!((50..=50 + 32 + 200).contains(&accepted), "{accepted} events were accepted");
    assert_eq!(fleet.taken(), 0);

    fleet.tms(0).behave(Behaviour::default());
    loop {
        let told = producer.post(lines(waiting));
        match told.status {
            503 => pause(Duration::from_millis(20)),
            202 => match batches.next() {
                Some(batch) => waiting = batch,
                None => break,
            },
            _ => panic!("{told:?}"),
        }
    }
    until("all have arrived", || fleet.taken() >= 1_000);
    run.terminate();
    let summary = run.wait().summary();
    oracle.assert_exactly_once(&fleet);
    assert_eq!((summary.records, summary.delivered, summary.dead_letters), (1_000, 1_000, 0));
}

#[test]
fn a_body_that_is_cut_off_leaves_nothing_half_accepted() {
    let log = Events::new(206, 10).take(60);
    let fleet = Fleet::start(1);
    let site = Site::with_posts(&fleet, &[Wants::all()]);
    let mut run = site.run();
    let addr = run.listening();
    let body = lines(&log[..50]);
    for sent in [1, body.len() / 2, body.len() - 1] {
        let mut stream = TcpStream::connect(addr).unwrap();
        write!(stream, "POST /events HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len()).unwrap();
        stream.write_all(&body[..sent]).unwrap();
    }
    let mut chunked = TcpStream::connect(addr).unwrap();
    write!(chunked, "POST /events HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    write!(chunked, "{:x}\r\n", body.len()).unwrap();
    chunked.write_all(&body).unwrap();
    chunked.shutdown(std::net::Shutdown::Write).unwrap();
    let _answered_or_not = chunked.read_to_end(&mut Vec::new()).is_ok();
    let told = Producer::new(addr).post(lines(&log[50..]));
    assert_eq!((told.first, told.last), (0, 9), "something of a cut body was accepted");
    fleet.tms(0).wait_for(10);
    run.terminate();
    assert_eq!(run.wait().summary().records, 10);
    Oracle::new(&log[50..], &[Wants::all()]).assert_exactly_once(&fleet);
}

#[test]
fn only_who_has_the_token_posts_and_an_address_for_everyone_needs_one() {
    let log = Events::new(207, 5).take(10);
    let fleet = Fleet::start(1);
    let mut site = Site::with_posts(&fleet, &[Wants::all()]);
    site.set("source.listen", "0.0.0.0:0");
    let refused = site.loadline(&["check"]).expect(64);
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(said.contains("source.listen") && said.contains("token = \"env:NAME\""), "{said}");

    let token = "a-token-nobody-would-guess";
    fs::write(site.path("token"), format!("{token}\n")).unwrap();
    site.set("source.token", "file:token");
    assert!(site.loadline(&["check"]).expect(0).stdout.contains("http 0.0.0.0:0, with a token"));
    let mut run = site.run();
    let addr = ([127, 0, 0, 1], run.listening().port()).into();
    let (nobody, someone) = (Producer::new(addr), Producer::new(addr).with_token("a-token-somebody-guesses"));
    assert_eq!((nobody.post(lines(&log)).status, someone.post(lines(&log)).status), (401, 401));
    assert_eq!(nobody.with_token(token).post(lines(&log)).accepted, 10);
    fleet.tms(0).wait_for(10);
    run.terminate();
    let ended = run.wait();
    assert!(!format!("{}{}", ended.stdout, ended.stderr).contains(token), "{ended:?}");
    assert_eq!(ended.summary().records, 10);
}

#[test]
fn a_run_that_is_asked_to_stop_refuses_posts_and_the_next_one_delivers_what_was_accepted() {
    let log = Events::new(208, 40).take(2_000);
    let fleet = Fleet::start(2);
    let wants = vec![Wants::all(); 2];
    let oracle = Oracle::new(&log, &wants);
    let site = Site::with_posts(&fleet, &wants);
    steady(&fleet);
    let batches: Arc<Vec<Vec<u8>>> = Arc::new(log.chunks(5).map(lines).collect());
    let mut start = 0;
    for share in 1..=4 {
        let mut run = site.run();
        let accepted = Arc::new(AtomicUsize::new(start));
        let producer = Producer::new(run.listening());
        let posting = beside(post_from(producer, batches.clone(), start, accepted.clone()));
        until("more is accepted", || accepted.load(SeqCst) >= batches.len() * share / 5);
        run.terminate();
        start = posting();
        let summary = run.wait().summary();
        assert_eq!((summary.abandoned, summary.dead_letters, summary.possible_repeats.crash), (0, 0, 0));
    }
    let mut run = site.run();
    let producer = Producer::new(run.listening());
    assert_eq!(beside(post_from(producer, batches.clone(), start, Arc::default()))(), batches.len());
    until("all have arrived", || fleet.taken() >= oracle.deliveries());
    run.terminate();
    assert_eq!(run.wait().summary().possible_repeats.crash, 0);
    oracle.assert_exactly_once(&fleet);
}
