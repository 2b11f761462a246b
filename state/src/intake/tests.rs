//! The intake log as producers and a source meet it: what was accepted is there after reopening, in its order, whole
//! posts only, within its bounds, and gone once it is settled and old enough.

use std::{path::Path, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::{
    Checkpoint, Clock, CommitOptions, Durability, LedgerThread, Store, StoreOptions, UnixMillis,
    tests::options,
};

const HOUR: UnixMillis = 3_600_000;
const BOUNDS: IntakeOptions = IntakeOptions { backlog_max: 1_000, backlog_bytes_max: 1 << 30, retention: 0 };

/// Opens the store at `dir` at a time of day.
fn open(dir: &Path, now: UnixMillis, options: IntakeOptions) -> (EmbeddedLog, LedgerThread) {
    let store = StoreOptions { clock: Clock::simulated(now), ..self::options(Durability::Process) };
    let commits = CommitOptions { commit_max: 64, linger: Duration::ZERO, inbox_max: 10_000 };
    let (ledger, thread) = Ledger::start(Store::open(dir, store).unwrap(), commits).unwrap();
    (EmbeddedLog::new(&ledger, options), thread)
}

fn close((intake, thread): (EmbeddedLog, LedgerThread)) {
    drop(intake);
    thread.join().unwrap();
}

fn bodies(texts: &[&'static str]) -> Vec<Bytes> {
    texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect()
}

async fn accept(intake: &EmbeddedLog, texts: &[&'static str]) -> Range<u64> {
    intake.accept(bodies(texts)).unwrap().await.unwrap()
}

fn texts(intake: &EmbeddedLog, from: u64) -> Vec<(u64, String)> {
    let records = intake.read(from, u64::MAX).unwrap();
    records.into_iter().map(|r| (r.offset, String::from_utf8(r.body.to_vec()).unwrap())).collect()
}

async fn settle(intake: &EmbeddedLog, place: IntakePlace) {
    let checkpoint = Checkpoint { epoch: 0, offset: place.offset, mark: place.mark().to_vec() };
    let _proof =
        intake.ledger.record(Record::Checkpoint(EmbeddedLog::SOURCE.into(), checkpoint)).await.unwrap();
}

#[tokio::test]
async fn what_was_accepted_is_read_back_in_order_and_offsets_go_on_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let open = || open(dir.path(), HOUR, BOUNDS);
    let first = open();
    assert_eq!((texts(&first.0, 0), *first.0.durable().borrow()), (vec![], 0));
    assert_eq!(accept(&first.0, &["a", "", "c"]).await, 0..3);
    let mut durable = first.0.durable();
    assert_eq!((accept(&first.0, &["d"]).await, *durable.borrow_and_update()), (3..4, 4));
    close(first);

    let second = open();
    assert_eq!(accept(&second.0, &["e"]).await, 4..5);
    let all = [(0, "a"), (1, ""), (2, "c"), (3, "d"), (4, "e")].map(|(at, text)| (at, text.to_owned()));
    assert_eq!(texts(&second.0, 0), all);
    assert_eq!(texts(&second.0, 3), all[3..]);
    assert_eq!(second.0.read(1, 1).unwrap().len(), 2, "an empty record and one that fills the bound");
    close(second);
}

#[tokio::test]
async fn posts_sent_at_once_share_commits_and_each_has_its_own_places() {
    let dir = tempfile::tempdir().unwrap();
    let open = open(dir.path(), HOUR, BOUNDS);
    let posts: Vec<_> = (0..100).map(|_| open.0.accept(bodies(&["a", "b"])).unwrap()).collect();
    let before = open.0.ledger.stats().commits();
    for (number, post) in posts.into_iter().enumerate() {
        let first = number as u64 * 2;
        assert_eq!(post.await.unwrap(), first..first + 2);
    }
    assert!(open.0.ledger.stats().commits() - before < 50);
    assert_eq!(texts(&open.0, 0).len(), 200);
    close(open);
}

#[tokio::test]
async fn a_post_whose_poster_has_gone_is_there_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let gone = open(dir.path(), HOUR, BOUNDS);
    drop(gone.0.accept(bodies(&["a", "b"])).unwrap());
    close(gone);
    let after = open(dir.path(), HOUR, BOUNDS);
    assert_eq!(texts(&after.0, 0).len(), 2);
    close(after);
}

#[tokio::test]
async fn a_full_backlog_refuses_and_takes_again_once_something_is_settled_also_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let records = IntakeOptions { backlog_max: 3, ..BOUNDS };
    let full = open(dir.path(), HOUR, records);
    accept(&full.0, &["a", "b"]).await;
    let refused = full.0.accept(bodies(&["c", "d"])).err().unwrap();
    assert!(matches!(refused, IntakeRefusal::Full { records: 2, bytes: 130 }), "{refused}");
    assert!(full.0.has_room());
    assert_eq!(accept(&full.0, &["c"]).await, 2..3);
    assert!(!full.0.has_room());
    close(full);

    let bytes = IntakeOptions { backlog_bytes_max: 200, ..BOUNDS };
    let full = open(dir.path(), HOUR, bytes);
    assert!(full.0.accept(bodies(&["d"])).is_err());
    settle(&full.0, full.0.read(0, 1).unwrap()[0].next).await;
    assert_eq!(accept(&full.0, &["d"]).await, 3..4);
    assert!(full.0.accept(bodies(&["e"])).is_err());
    close(full);
    let full = open(dir.path(), HOUR, bytes);
    assert_eq!(full.0.settled(), IntakePlace { offset: 1, bytes: 65 });
    assert!(full.0.accept(bodies(&["e"])).is_err());
    close(full);
}

#[tokio::test]
async fn settled_segments_are_dropped_when_they_are_old_enough_and_the_offsets_go_on() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let keeps = IntakeOptions { retention: 5 * HOUR, ..BOUNDS };
    let mut all = IntakePlace::default();
    for (dir, hour) in [&dir, &other].into_iter().flat_map(|dir| [1, 3, 5].map(|hour| (dir, hour))) {
        let open = open(dir.path(), hour * HOUR, keeps);
        accept(&open.0, &["a", "b"]).await;
        all = open.0.read(0, u64::MAX).unwrap().last().unwrap().next;
        close(open);
    }
    let segments = |intake: &EmbeddedLog| intake.ledger.store().intake.segments();
    let unsettled = open(other.path(), 100 * HOUR, keeps);
    settle(&unsettled.0, IntakePlace::default().after(1)).await;
    settle(&unsettled.0, IntakePlace::default().after(1)).await;
    assert_eq!(segments(&unsettled.0), [0, 2, 4]);
    close(unsettled);

    // The first segment's records are all older than the second's first, which came in the third hour.
    for (hour, left) in [(7, vec![0, 2, 4]), (9, vec![2, 4]), (20, vec![4])] {
        let open = open(dir.path(), hour * HOUR, keeps);
        settle(&open.0, all).await;
        assert_eq!(segments(&open.0), left, "after {hour} hours");
        close(open);
    }
    let after = open(dir.path(), 30 * HOUR, keeps);
    assert_eq!((texts(&after.0, 4).len(), accept(&after.0, &["c"]).await), (2, 6..7));
    close(after);
}

#[tokio::test]
async fn settled_records_are_dropped_before_their_time_when_they_are_too_many() {
    let dir = tempfile::tempdir().unwrap();
    let keeps = IntakeOptions { retention: u64::MAX, backlog_bytes_max: 40 << 20, ..BOUNDS };
    let open = open(dir.path(), HOUR, keeps);
    let large = Bytes::from(vec![b'a'; 1 << 20]);
    let mut place = IntakePlace::default();
    for _ in 0..80 {
        let offsets = open.0.accept(vec![large.clone()]).unwrap().await.unwrap();
        place = open.0.read(offsets.start, 1).unwrap()[0].next;
        settle(&open.0, place).await;
    }
    let segments = open.0.ledger.store().intake.segments();
    assert!(segments[0] >= 40 && segments.len() > 1, "at most 40 MiB, in segments of 16: {segments:?}");
    assert_eq!(open.0.read(segments[0], u64::MAX).unwrap().last().unwrap().next, place);
    let parts = |open: &(EmbeddedLog, LedgerThread)| {
        let names = open.0.ledger.store().db.tree_names();
        names.into_iter().filter(|name| name.ends_with(b"-parts") && name.starts_with(b"intake-")).count()
    };
    assert_eq!(parts(&open), segments.len());
    // A crash came before the parts of a segment that was dropped.
    open.0.ledger.store().db.open_tree(format!("intake-{:020}-parts", 0)).unwrap();
    assert_eq!(parts(&open), segments.len() + 1);
    close(open);
    let again = self::open(dir.path(), HOUR, BOUNDS);
    assert_eq!(parts(&again), segments.len());
    close(again);
}

#[tokio::test]
async fn a_record_that_is_missing_is_damage_and_never_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let open = open(dir.path(), HOUR, BOUNDS);
    accept(&open.0, &["a", "b", "c"]).await;
    let tree = open.0.ledger.store().db.open_tree(format!("intake-{:020}", 0)).unwrap();
    for (at, from) in [(1u64, 0), (2, 2)] {
        tree.remove(at.to_be_bytes()).unwrap();
        let damaged = open.0.read(from, u64::MAX).unwrap_err().to_string();
        assert!(damaged.contains(&format!("record {at} ")), "{damaged}");
    }
    close(open);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A crash leaves a beginning of what was written: here some records of a last post.
    #[test]
    fn whatever_a_crash_left_of_a_post_is_gone_and_its_places_are_given_again(
        posts in prop::collection::vec(1usize..5, 1..6), lost in 1usize..5,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _context = runtime.enter();
        let dir = tempfile::tempdir().unwrap();
        let (last, total) = (posts[posts.len() - 1], posts.iter().sum::<usize>());
        let post = |count| vec![Bytes::from(vec![b'r'; 5_000]); count];
        let before = open(dir.path(), HOUR, BOUNDS);
        for count in &posts[..posts.len() - 1] {
            runtime.block_on(before.0.accept(post(*count)).unwrap()).unwrap();
        }
        let (first, lost) = (before.0.ledger.store().intake.ends.lock().next, lost.min(last));
        close(before);
        // A commit that is begun and does not come to its end.
        let store = Store::open(dir.path(), options(Durability::Process)).unwrap();
        store.commit_marker().begin(crate::commit_marker::ChangeSet::Empty).unwrap();
        store.intake.write(&store.db, &IntakePost { first, at: HOUR, records: post(last) }).unwrap();
        let is_segment = |name: &crate::storage::IVec| intake_log::segment_start(name).is_some();
        let segment = store.db.tree_names().into_iter().find(is_segment).unwrap();
        let tree = store.db.open_tree(segment).unwrap();
        for offset in total - lost..total {
            tree.remove((offset as u64).to_be_bytes()).unwrap();
        }
        store.db.flush().unwrap();
        drop((tree, store));
        let after = open(dir.path(), HOUR, BOUNDS);
        let whole = (total - last) as u64;
        let parts = after.0.ledger.store().db.open_tree(format!("intake-{:020}-parts", 0)).unwrap();
        prop_assert_eq!(parts.len() as u64, 2 * whole, "5,000 bytes are two parts");
        drop(parts);
        prop_assert_eq!(*after.0.durable().borrow(), whole);
        prop_assert_eq!(runtime.block_on(accept(&after.0, &["n"])), whole..whole + 1);
        prop_assert_eq!(texts(&after.0, 0).len() as u64, whole + 1);
        close(after);
    }
}
