//! Two hundred producers at once, while the broker they write for is down: each is told 202 or an honest 503, memory
//! stays within bounds, and everything accepted arrives.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use lab::receiver::Behaviour;
use tests::{Events, Fleet, Oracle, Producer, ShipmentEvent, Site, Wants, beside, lines, until};

const POSTERS: usize = 200;

/// What all posters were answered.
#[derive(Debug, Default)]
struct Answers {
    accepted: AtomicUsize,
    /// Posters that were told to come back later.
    put_off: AtomicUsize,
    /// Posters that have posted everything and never were.
    never_put_off: AtomicUsize,
}

/// Posts `batches` one after the other, each until it is accepted.
async fn post_all(producer: Producer, batches: Vec<Vec<u8>>, answers: Arc<Answers>) {
    let mut put_off = false;
    for batch in batches {
        loop {
            let answer = producer.try_post(batch.clone()).await.expect("an answer");
            match answer.status {
                202 => break,
                503 => assert!(answer.retry_after.is_some() && answer.accepted == 0, "{answer:?}"),
                _ => panic!("{answer:?}"),
            }
            if !std::mem::replace(&mut put_off, true) {
                answers.put_off.fetch_add(1, SeqCst);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        answers.accepted.fetch_add(1, SeqCst);
    }
    answers.never_put_off.fetch_add(usize::from(!put_off), SeqCst);
}

/// The most memory a process has had, in MiB.
fn peak_memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() / 1_024
}

#[test]
fn two_hundred_posters_are_told_202_or_503_while_the_broker_is_down_and_all_that_was_accepted_arrives() {
    let log = Events::new(600, 1_000).take(20_000);
    let fleet = Fleet::start(1);
    let oracle = Oracle::new(&log, &[Wants::all()]);
    let mut site = Site::with_posts(&fleet, &[Wants::all()]);
    site.set("source.backlog_max", 2_000);
    site.set("source.records_max", 100);
    for (key, value) in [("in_flight_max", 256), ("per_broker_max", 64), ("unsettled_max", 512)] {
        site.set(&format!("limits.{key}"), value);
    }
    site.set("limits.spill_broker_max", "1MiB");
    site.set("limits.spill_total_max", "1MiB");
    site.set("limits.when_full", "hold");
    site.impatient();
    fleet.tms(0).refuse();
    let mut run = site.run();
    let (producer, answers) = (Producer::new(run.listening()), Arc::new(Answers::default()));
    // All events of a load come from one poster, each once the one before is accepted: so they keep their order.
    let of = |event: &ShipmentEvent| event.load_id.bytes().fold(7, |sum, byte| sum * 31 + usize::from(byte));
    let posters: Vec<_> = (0..POSTERS)
        .map(|number| {
            let events: Vec<_> = log.iter().filter(|event| of(event) % POSTERS == number).cloned().collect();
            let batches = events.chunks(20).map(lines).collect();
            beside(post_all(producer.clone(), batches, answers.clone()))
        })
        .collect();
    // On a busy machine some have posted everything before the others are connected.
    until("everyone is put off or has posted everything", || {
        answers.put_off.load(SeqCst) + answers.never_put_off.load(SeqCst) >= POSTERS
    });
    assert!(answers.put_off.load(SeqCst) > POSTERS / 2, "{answers:?}");
    assert_eq!(fleet.taken(), 0);
    fleet.tms(0).behave(Behaviour::default());
    posters.into_iter().for_each(|poster| poster());
    until("all have arrived", || fleet.taken() >= log.len());
    let peak = peak_memory(run.id());
    run.terminate();
    let summary = run.wait().summary();
    oracle.assert_exactly_once(&fleet);
    assert_eq!((summary.records, summary.dead_letters), (20_000, 0));
    // The bodies of all posters, the line's own bounds, sled's cache and the process itself come to less than half.
    assert!(peak < 256, "{peak} MiB at most, {answers:?}");
}
