//! A ledger whose partitions' state goes to a log, too: what is proven is there, what is restored is as it was, and what
//! is somebody else's stays that.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{task::yield_now, time::Instant};

use crate::{tests::event, *};

const P: &str = "t/0";

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A process with a disk of its own over the log.
struct Process {
    ledger: Ledger,
    log: LogMember,
}

fn options() -> StoreOptions {
    let clock = Clock::simulated(1_700_000_000_000);
    StoreOptions { durability: Durability::Process, dedupe_window: 3_600_000, cache: 1 << 20, clock }
}

impl Process {
    fn start(disk: &SimulatedDisk, log: &SimulatedLog) -> Self {
        let member = log.member();
        let ledger = start(disk, Some(Arc::new(member.clone())));
        Self { ledger, log: member }
    }

    /// Takes the partition up; gives what waits, and what the one before has left.
    async fn take(&self, source: &str) -> (Vec<SpilledDelivery>, Option<Horizon>) {
        let source = Arc::from(source);
        self.ledger.hold(&source);
        let (mut waiting, mut left) = (Vec::new(), None);
        for restored in self.log.claim(&source) {
            match restored {
                Restored::Outcome { broker, event_id, entry } => {
                    let key = LedgerKey::new(&broker, &event_id);
                    self.ledger.restore(vec![(key, entry)]).await.unwrap();
                }
                Restored::Left(horizon) => left = horizon,
                Restored::Waiting(delivery) => waiting.push(*delivery),
            }
        }
        (waiting, left)
    }

    fn outcome(&self, id: &str) -> Option<Outcome> {
        self.ledger.look_up(&LedgerKey::new("acme", id)).unwrap().map(|entry| entry.outcome)
    }

    fn delivered(&self, source: &str, id: &str, spilled: Option<SpillSeq>) -> Record {
        let acme: Arc<str> = "acme".into();
        let spilled = spilled.map(|seq| (acme.clone(), seq));
        let (key, digest, waits) = (LedgerKey::new("acme", id), BodyDigest::of(b"{}"), spilled.is_some());
        let record = Record::Delivered { key, digest, failed_attempts: 0, spilled };
        self.ledger.of_partition(record, (&acme, &id.into(), &position(source, id)), waits)
    }

    /// The event is a duplicate of what is on record here.
    fn duplicate(&self, source: &str, id: &str) -> Record {
        let (acme, noop) = (Arc::from("acme"), Record::Noop { spilled: None });
        self.ledger.of_partition(noop, (&acme, &id.into(), &position(source, id)), false)
    }
}

fn start(disk: &SimulatedDisk, log: Option<Arc<dyn PartitionLog>>) -> Ledger {
    let store = Store::open_simulated(disk, options()).unwrap();
    let commits = CommitOptions { commit_max: 64, linger: Duration::ZERO, inbox_max: 64 };
    match log {
        None => {
            let (ledger, work) = Ledger::start_inline(store, commits).unwrap();
            drop(tokio::spawn(work));
            ledger
        }
        Some(log) => {
            let (ledger, work) = Ledger::start_inline_following(store, commits, log).unwrap();
            drop(tokio::spawn(work));
            ledger
        }
    }
}

fn position(source: &str, id: &str) -> Position {
    Position::new(source.into(), 0, id[1..].parse().unwrap())
}

fn waits(source: &str, id: &str, seq: SpillSeq) -> SpilledDelivery {
    let event = Event { position: position(source, id), ..event(id, "{}") };
    let history = History::default();
    SpilledDelivery { history, ..SpilledDelivery::untried("acme".into(), seq, event) }
}

fn spilled(source: &str, id: &str, seq: SpillSeq) -> Record {
    Record::Spilled(Box::new(waits(source, id, seq)))
}

#[tokio::test(start_paused = true)]
async fn a_proof_comes_after_the_acknowledgement_and_several_commits_are_on_their_way_at_once() {
    let (disk, log) = (SimulatedDisk::new(), SimulatedLog::default());
    log.set_latency(ms(100));
    let process = Process::start(&disk, &log);
    let _left = process.take(P).await;
    let began = Instant::now();
    let proofs = (0..4).map(|number| {
        let proof = process.ledger.record(process.delivered(P, &format!("e{number}"), None));
        async move {
            let _proof = proof.await.unwrap();
            began.elapsed()
        }
    });
    let mut waiting = Vec::new();
    for proof in proofs {
        waiting.push(tokio::spawn(proof));
        for _ in 0..8 {
            yield_now().await;
        }
    }
    for waits in waiting {
        assert!((ms(100)..ms(150)).contains(&waits.await.unwrap()));
    }
    assert!(process.ledger.stats().commits() >= 4, "not one commit");
    // What is of no partition that is held waits for no log.
    let began = Instant::now();
    let _proof = process.ledger.record(process.delivered("t/9", "e9", None)).await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_a_partition_up_knows_what_was_delivered_and_what_waits() {
    let log = SimulatedLog::default();
    let one = Process::start(&SimulatedDisk::new(), &log);
    assert_eq!(one.take(P).await, (vec![], None));
    let horizon = Horizon { epoch: 0, offset: 64 };
    let records = vec![
        Record::Horizon(P.into(), Some(horizon)),
        one.delivered(P, "e1", None),
        spilled(P, "e2", 0),
        spilled(P, "e3", 1),
        one.delivered(P, "e2", Some(0)),
        spilled("t/1", "e4", 2),
    ];
    let _proofs = one.ledger.record_all(records).await.unwrap();

    let two = Process::start(&SimulatedDisk::new(), &log);
    let (waiting, left) = two.take(P).await;
    let ids: Vec<_> = waiting.iter().map(|delivery| &*delivery.event.event_id).collect();
    assert_eq!((ids, left), (vec!["e3"], Some(horizon)), "it has not ended");
    let known = ["e1", "e2", "e3", "e4"].map(|id| two.outcome(id));
    assert_eq!(known, [Some(Outcome::Delivered), Some(Outcome::Delivered), Some(Outcome::Spilled), None]);

    // What the first one still does of it: what it has delivered is true, what it has put aside is nobody's.
    let late = vec![one.delivered(P, "e5", None), spilled(P, "e6", 4)];
    let _proofs = one.ledger.record_all(late).await.unwrap();
    let end = vec![two.delivered(P, "e3", Some(0)), Record::Horizon(P.into(), None)];
    let _proofs = two.ledger.record_all(end).await.unwrap();
    two.log.release(P, Some(Horizon { epoch: 0, offset: 64 }));
    let three = Process::start(&SimulatedDisk::new(), &log);
    assert_eq!(three.take(P).await, (vec![], None));
    assert_eq!((three.outcome("e5"), three.outcome("e6")), (Some(Outcome::Delivered), None));
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_somebody_elses_is_lost_before_anything_of_it_is_answered() {
    let log = SimulatedLog::default();
    let one = Process::start(&SimulatedDisk::new(), &log);
    let (_zero, _one) = (one.take(P).await, one.take("t/1").await);
    let lost: Arc<Mutex<Vec<String>>> = Arc::default();
    let note = lost.clone();
    one.ledger.on_superseded(move |source| note.lock().push(source.to_owned()));
    let two = Process::start(&SimulatedDisk::new(), &log);
    let _left = two.take(P).await;
    let records = vec![spilled(P, "e1", 0), spilled("t/1", "e2", 1)];
    let _proofs = one.ledger.record_all(records).await.unwrap();
    assert_eq!(*lost.lock(), [P]);
    assert!(!one.ledger.holds(P) && one.ledger.holds("t/1"));
    let _proof = one.ledger.record(spilled(P, "e3", 2)).await.unwrap();
    assert_eq!((lost.lock().len(), log.waiting(P).len(), log.waiting("t/1").len()), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_an_acknowledgement_was_missing_for_is_lost_with_its_process_and_nothing_else() {
    let log = SimulatedLog::default();
    log.set_latency(ms(10));
    let one = Process::start(&SimulatedDisk::new(), &log);
    let _left = one.take(P).await;
    let _proof = one.ledger.record(one.delivered(P, "e1", None)).await.unwrap();
    let on_its_way = one.ledger.record_all(vec![one.delivered(P, "e2", None), one.delivered(P, "e3", None)]);
    let on_its_way = tokio::spawn(on_its_way);
    tokio::time::sleep(ms(5)).await;
    one.log.crash(|entries| entries - 1);
    tokio::time::sleep(ms(50)).await;
    assert!(on_its_way.await.unwrap().is_err(), "a process that is gone proves nothing");
    let two = Process::start(&SimulatedDisk::new(), &log);
    let _left = two.take(P).await;
    let known = ["e1", "e2", "e3"].map(|id| two.outcome(id));
    assert_eq!(known, [Some(Outcome::Delivered), Some(Outcome::Delivered), None]);
}

/// A log that fails.
#[derive(Debug)]
struct Broken;

impl PartitionLog for Broken {
    fn append(&self, _: &Arc<str>, _: Vec<PartitionChange>) -> Appended {
        let detail = "topic t-ledger is gone: create it".into();
        Box::pin(std::future::ready(Err(PartitionLogFault::Failed { detail })))
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_fails_for_good_ends_the_run_and_proves_nothing() {
    let ledger = start(&SimulatedDisk::new(), Some(Arc::new(Broken)));
    ledger.hold(&P.into());
    let fault = ledger.record(spilled(P, "e1", 0)).await.unwrap_err();
    assert!(fault.to_string().contains("t-ledger"), "{fault}");
    assert!(matches!(ledger.status().failed().await, StateFault::PartitionLog { .. }));
    assert!(ledger.record(spilled(P, "e2", 1)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_waits_since_before_is_told_to_the_log_once_and_what_is_sent_meanwhile_is_not() {
    let (disk, log) = (SimulatedDisk::new(), SimulatedLog::default());
    let store = Store::open_simulated(&disk, options()).unwrap();
    store.put_all(&[spilled(P, "e1", 0), spilled(P, "e2", 1), spilled("t/1", "e3", 2)]).unwrap();
    drop(store);
    let process = Process::start(&disk, &log);
    let _left = process.take(P).await;
    let found = process.ledger.store().waiting_of(P, None, 1).unwrap();
    let more = process.ledger.store().waiting_of(P, Some(&("acme".into(), found[0].seq)), 8).unwrap();
    assert_eq!((&*found[0].event_id, &*more[0].event_id, more.len()), ("e1", "e2", 1));
    let sent = Record::Noop { spilled: Some(("acme".into(), 0)) };
    let _proof = process.ledger.record(sent).await.unwrap();
    assert!(!process.ledger.is_followed(P).unwrap());
    process.ledger.adopt(found.into_iter().chain(more).collect()).await.unwrap();
    let _proof = process.ledger.record(Record::Followed(P.into())).await.unwrap();
    let waiting = log.waiting(P);
    assert_eq!((waiting.len(), &*waiting[0].event.event_id), (1, "e2"));

    // The next run finds a copy, unless it follows no log.
    drop(process);
    for _ in 0..20 {
        yield_now().await;
    }
    let left = |ledger: &Ledger| ledger.store().spill().usage().unwrap()["acme"].deliveries;
    let again = Process::start(&disk, &log);
    assert_eq!((left(&again.ledger), again.outcome("e2")), (1, None), "that of t/1 is no copy");
    let _proof = again.ledger.record(spilled(P, "e5", 9)).await.unwrap();
    drop(again);
    for _ in 0..20 {
        yield_now().await;
    }
    let alone = start(&disk, None);
    assert_eq!(left(&alone), 2);
    assert!(!alone.is_followed(P).unwrap(), "from now on what waits here is all there is");
}

#[tokio::test(start_paused = true)]
async fn what_has_gone_to_somebody_else_leaves_no_entry_that_says_it_waits_here() {
    let (disk, log) = (SimulatedDisk::new(), SimulatedLog::default());
    let process = Process::start(&disk, &log);
    let _left = process.take(P).await;
    let _proofs =
        process.ledger.record_all(vec![spilled(P, "e1", 0), process.delivered(P, "e2", None)]).await.unwrap();
    let waiting = process.ledger.store().waiting_of(P, None, 8).unwrap();
    process.ledger.drop_waiting(waiting).await.unwrap();
    assert_eq!((process.outcome("e1"), process.outcome("e2")), (None, Some(Outcome::Delivered)));
    assert!(process.ledger.store().spill().usage().unwrap().is_empty());
    assert_eq!(log.waiting(P).len(), 1, "there it waits");
}

#[tokio::test(start_paused = true)]
async fn what_a_crash_has_kept_from_the_log_is_told_to_it_once_it_decides_something() {
    let (disk, log) = (SimulatedDisk::new(), SimulatedLog::default());
    log.set_latency(ms(100));
    let process = Process::start(&disk, &log);
    let _left = process.take(P).await;
    let delivered = ["e1", "e2"].map(|id| process.delivered(P, id, None));
    drop(tokio::spawn(process.ledger.record_all(delivered.into())));
    for _ in 0..20 {
        yield_now().await;
    }
    assert_eq!(process.outcome("e2"), Some(Outcome::Delivered));
    process.log.crash(|_| 0);
    let again = Process::start(&disk.crash(Crash::Process, |at_risk| at_risk), &log);
    let _left = again.take(P).await;
    // Copies of both: one is answered at once, one has to wait for its turn.
    let copies = vec![again.duplicate(P, "e1"), spilled(P, "e2", 0)];
    let _proofs = again.ledger.record_all(copies).await.unwrap();
    let other = Process::start(&SimulatedDisk::new(), &log);
    let _left = other.take(P).await;
    assert_eq!(["e1", "e2"].map(|id| other.outcome(id)), [Some(Outcome::Delivered); 2]);
}
