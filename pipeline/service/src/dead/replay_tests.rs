//! With or without room: each letter is still a letter or waits on disk, in order per broker, and is counted once.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use stages::Broker;
use state::{BodyDigest, Clock, Ledger, LedgerKey};

use super::*;
use crate::{
    assemble::{self, IntakeStages},
    config::Config,
    dead::{
        DiskQueues, purge_page,
        testing::{config, ledger, letter, put},
    },
};
use line::Roster;

struct Bench {
    ledger: Ledger,
    planner: Planner,
    config: Config,
    _dir: tempfile::TempDir,
}

impl Bench {
    async fn new(letters: impl IntoIterator<Item = DeadLetter>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = config("");
        let brokers: Vec<Arc<Broker>> = assemble::brokers(&config, 1).unwrap();
        let front = IntakeStages::new(&config, &brokers, Clock::System);
        let planner = Planner::new(&front, Roster::new(brokers.clone()), &config, Clock::System);
        let ledger = ledger(dir.path());
        put(&ledger, letters).await;
        Self { ledger, planner, config, _dir: dir }
    }

    fn store(&self) -> &Store {
        self.ledger.store()
    }

    fn letters(&self) -> Vec<DeadLetter> {
        self.store().dead_letters().iter().map(Result::unwrap).collect()
    }

    /// The offsets of what waits for `broker`, in its order.
    fn waiting(&self, broker: &str) -> Vec<u64> {
        let waiting = self.store().spill().read(&Arc::from(broker), 0..u64::MAX, usize::MAX).unwrap();
        waiting.iter().map(|delivery| delivery.event.position.offset).collect()
    }

    /// Takes away the first delivery that waits for `broker`, as if it were taken.
    async fn drain(&self, broker: &str) -> bool {
        let waiting = self.store().spill().read(&Arc::from(broker), 0..u64::MAX, 1).unwrap();
        let Some(first) = waiting.into_iter().next() else { return false };
        let record = Record::Delivered {
            key: LedgerKey::new(broker, &first.event.event_id),
            digest: first.event.digest,
            failed_attempts: 0,
            spilled: Some((Arc::from(broker), first.seq)),
        };
        let _proof = self.ledger.record(record).await.unwrap();
        true
    }

    async fn page(&self, request: &ReplayRequest, room: u64) -> ReplayPage {
        let mut limits = self.config.limits.clone();
        limits.spill_broker_max = room;
        let mut queues = DiskQueues::open(self.store(), &limits).unwrap();
        replay_page(self.store(), &self.planner, &mut queues, request).await.unwrap()
    }
}

fn everything(dry_run: bool) -> ReplayRequest {
    ReplayRequest { selection: Selection::default(), after: None, began: u64::MAX, dry_run, force: false }
}

fn mixed() -> Vec<DeadLetter> {
    let mut letters: Vec<_> =
        (10..40).map(|at| letter(at, [Some("acme"), Some("birch"), None][at as usize % 3])).collect();
    letters.extend([letter(50, Some("zinc")), DeadLetter { body_len: 999, ..letter(51, None) }]);
    letters.push(DeadLetter { body: b"{".to_vec(), body_len: 1, ..letter(52, None) });
    letters
}

#[tokio::test]
async fn what_is_sent_again_without_a_process_is_not_taken_for_a_partitions_that_others_may_have() {
    let bench = Bench::new([letter(12, Some("acme"))]).await;
    let followed = Record::Followed(letter(12, None).position.source);
    let _proof = bench.ledger.record(followed).await.unwrap();
    assert_eq!(bench.page(&everything(false), u64::MAX).await.counts.replayed, 1);
    assert_eq!((bench.letters().len(), bench.waiting("acme")), (0, vec![12]));
    let waiting = bench.store().spill().read(&Arc::from("acme"), 0..u64::MAX, 1).unwrap();
    assert!(!bench.store().sources().is_followed(&waiting[0].event.position.source).unwrap());
}

#[tokio::test]
async fn a_dry_run_says_what_a_replay_does_and_changes_nothing() {
    let bench = Bench::new(mixed()).await;
    let body = letter(12, None).body;
    for (broker, event, body) in
        [("acme", "e-12", &body[..]), ("birch", "e-12", &body), ("acme", "e-15", b"other")]
    {
        let (key, digest) = (LedgerKey::new(broker, event), BodyDigest::of(body));
        let _proof = bench
            .ledger
            .record(Record::Delivered { key, digest, failed_attempts: 0, spilled: None })
            .await
            .unwrap();
    }
    let before = bench.letters();
    let dry = bench.page(&everything(true), u64::MAX).await;
    assert_eq!(bench.letters(), before);
    assert!(bench.waiting("acme").is_empty() && bench.store().spill().usage().unwrap().is_empty());

    let wet = bench.page(&everything(false), u64::MAX).await;
    assert_eq!(wet, dry);
    let counts = &wet.counts;
    assert_eq!((counts.letters, counts.unknown_broker, counts.cut, counts.rejected_again), (33, 1, 1, 1));
    // e-12 is over for acme and birch alike; e-15 was acme's own letter.
    assert_eq!((counts.delivered_since, counts.conflict, counts.replayed), (1, 1, 28));
    assert!(wet.done && wet.full.is_none());
    let left: Vec<_> = bench.letters().iter().map(|letter| letter.position.offset).collect();
    assert_eq!(left, [15, 50, 51, 52]);
    assert!(bench.letters()[3].detail.contains("before it was replayed"));
    for broker in ["acme", "birch"] {
        let waiting = bench.waiting(broker);
        assert!(waiting.is_sorted() && waiting.len() as u64 == counts.deliveries[broker], "{waiting:?}");
    }
    let again = bench.page(&everything(false), u64::MAX).await.counts;
    assert_eq!((again.letters, again.replayed, again.deliveries.len()), (4, 0, 0));
}

#[tokio::test]
async fn what_waits_on_disk_already_keeps_its_number_and_its_place_before_a_letter() {
    let bench = Bench::new([letter(10, Some("acme")), letter(11, Some("acme"))]).await;
    let first =
        ReplayRequest { selection: Selection::of("test@0:11/acme".parse().unwrap()), ..everything(false) };
    assert_eq!(bench.page(&first, u64::MAX).await.counts.replayed, 1);
    let horizon = Record::DrainHorizon(Arc::from("acme"), 40);
    let _proof = bench.ledger.record(horizon).await.unwrap();
    assert_eq!(bench.page(&everything(false), u64::MAX).await.counts.replayed, 1);
    let waiting = bench.store().spill().read(&Arc::from("acme"), 0..u64::MAX, 9).unwrap();
    let seqs: Vec<_> =
        waiting.iter().map(|delivery| (delivery.seq, delivery.event.position.offset)).collect();
    assert_eq!(seqs, [(0, 11), (40, 10)], "above what a run that was killed may have sent");
}

#[tokio::test]
async fn what_is_purged_is_gone_and_counted_and_a_letter_that_changed_meanwhile_stays() {
    let bench = Bench::new(mixed()).await;
    while !bench.store().dead_letters().count_on(100).unwrap() {}
    let acme = Selection { broker: Some("acme".to_owned()), ..Selection::default() };
    let mut sink = bench.store().clone();
    let dry = purge_page(bench.store(), &mut sink, acme.clone(), None, true).await.unwrap();
    assert_eq!(bench.letters().len(), 33);
    let purged = purge_page(bench.store(), &mut sink, acme, None, false).await.unwrap();
    assert_eq!(purged, dry);
    assert_eq!((purged.groups.into_sorted()[0].count, bench.letters().len()), (10, 23));
    assert_eq!(bench.store().dead_letters().counts().by_cause.values().sum::<u64>(), 23);
    let changed = DeadLetter { detail: "again".to_owned(), ..letter(11, Some("birch")) };
    put(&bench.ledger, [changed.clone()]).await;
    sink.record(vec![Record::LetterRemoved(Box::new(letter(11, Some("birch"))))]).await.unwrap();
    assert!(bench.letters().contains(&changed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn in_any_room_every_letter_is_replayed_once_and_in_order(
        kinds in proptest::collection::vec(0_usize..4, 1..40), paddings in proptest::collection::vec(0_usize..400, 40), room in 1_u64..6, drains in proptest::collection::vec(0_usize..3, 200)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let broker = [Some("acme"), Some("birch"), None, Some("zinc")];
            let letters = kinds.iter().enumerate().map(|(at, kind)| {
                let mut letter = letter(at as u64, broker[*kind]);
                // Some are short enough for room that a longer one before them did not find.
                letter.body.extend(vec![b' '; paddings[at]]);
                DeadLetter { body_len: letter.body.len() as u64, ..letter }
            });
            let bench = Bench::new(letters).await;
            let event = |at: u64| format!("e-{at}");
            // The position counts too.
            let cost = 160 + letter(10, None).body.len() as u64 + 40 + 400;
            let (mut request, mut counts) = (everything(false), ReplayCounts::default());
            let mut taken: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
            for drain in drains {
                let page = bench.page(&request, room * cost).await;
                counts.merge(&page.counts);
                let over: BTreeMap<_, _> = ["acme", "birch"].map(|broker| (broker, bench.waiting(broker))).into();
                let usage = bench.store().spill().usage().unwrap();
                prop_assert!(usage.values().all(|usage| usage.bytes <= room * cost));
                for (at, kind) in kinds.iter().enumerate() {
                    let owners: &[&str] = [&["acme"][..], &["birch"], &["acme", "birch"], &[]][*kind];
                    let at = at as u64;
                    let is_letter = bench.store().dead_letters().iter().any(|letter| letter.unwrap().position.offset == at);
                    for owner in owners {
                        let waits = over[owner].contains(&at) || taken.get(owner).is_some_and(|taken| taken.contains(&at));
                        prop_assert!(is_letter || waits, "{} is lost for {owner}", event(at));
                    }
                }
                if page.done {
                    break;
                }
                prop_assert!(page.full.is_some());
                request.after = page.after.map(|after| after.parse().unwrap());
                for broker in ["acme", "birch"] {
                    for _ in 0..=drain {
                        let first = bench.waiting(broker).first().copied();
                        if bench.drain(broker).await {
                            taken.entry(broker).or_default().extend(first);
                        }
                    }
                }
            }
            let of = |kind| kinds.iter().filter(|of| **of == kind).count() as u64;
            prop_assert_eq!(counts.letters, kinds.len() as u64);
            prop_assert_eq!((counts.unknown_broker, counts.replayed), (of(3), kinds.len() as u64 - of(3)));
            for (broker, own) in [("acme", 0), ("birch", 1)] {
                let mut all = taken.remove(broker).unwrap_or_default();
                all.extend(bench.waiting(broker));
                prop_assert!(all.is_sorted_by(|one, next| one < next), "{broker}: {all:?}");
                prop_assert_eq!(all.len() as u64, of(own) + of(2), "{}", broker);
            }
            Ok(())
        })?;
    }
}
