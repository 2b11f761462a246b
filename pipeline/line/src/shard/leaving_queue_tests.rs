//! Partitions that leave a broker's queue: where each kind of delivery goes, and what is refused.

use state::SpillUsage;
use tokio::time::Instant;

use super::*;
use crate::{
    limits::Limits,
    partitions::Partition,
    shard::{moving::LeavingHere, spill_index::SpillIndex},
    spill_reader::SpillRead,
    testing::{at, broker, item, item_of, limits, share_of, tickets},
    ticket::Tickets,
};

fn queue(limits: &Limits) -> BrokerQueue {
    let index = SpillIndex::new(Arc::default(), limits, SpillUsage::default(), 0);
    BrokerQueue::new(broker(), index, Instant::now())
}

/// Room on disk for so many.
fn room(count: u64) -> Limits {
    let cost = cost(&item("a", 0));
    Limits { in_flight_max: 100, per_broker_max: 100, spill_broker_max: count * cost, ..limits() }
}

/// Partitions `p` and `q`.
struct Two {
    p: Tickets,
    q: Tickets,
}

impl Two {
    fn new() -> Self {
        let two = Self { p: tickets(), q: tickets() };
        two.p.stopping();
        two.q.stopping();
        two
    }

    /// A live delivery.
    fn item(&self, partition: &str, load: &str, seq: u64) -> Item {
        let tickets = if partition == "p" { &self.p } else { &self.q };
        Item { backing: Backing::Source(share_of(tickets, seq)), ..item_of(partition, load, seq) }
    }

    /// The partition `p` leaves.
    fn leave(&self, queue: &mut BrokerQueue) {
        queue.leaving.push(LeavingHere::new(Partition { source: "p".into(), tickets: self.p.clone() }));
    }
}

fn seqs(batch: &SpillBatch) -> (Vec<u64>, Vec<u64>) {
    let written = batch.deliveries.iter().map(|delivery| delivery.seq).collect();
    (written, batch.abandoned.iter().map(|item| item.delivery.seq).collect())
}

#[test]
fn what_waits_goes_to_disk_with_what_is_earlier_of_its_load_and_the_others_stay() {
    let (limits, mut batch) = (room(100), SpillBatch::default());
    let (mut queue, now, two) = (queue(&limits), Instant::now(), Two::new());
    let at = at(&limits, 1, now);
    let items = [
        ("a", "p", 0),
        ("b", "p", 1),
        ("c", "q", 2),
        ("b", "q", 3),
        ("c", "q", 4),
        ("b", "p", 5),
        ("b", "q", 6),
    ];
    for (load, partition, seq) in items {
        queue.loads.push(two.item(partition, load, seq));
    }
    // The first of `a` is on the wire with nothing behind it.
    assert_eq!(queue.start(at).unwrap().seq, 0);
    two.leave(&mut queue);
    assert!(queue.clear_out(at, &mut batch));
    assert_eq!(seqs(&batch), (vec![1, 3, 5, 6], vec![]));
    assert_eq!((queue.loads.waiting(), queue.deferred.len(), queue.spill.unloaded), (2, 4, 0));
    assert!(queue.deferred.due(now, 99, 9).is_empty(), "frozen");
    assert_eq!(queue.start(at).unwrap().seq, 2, "of the other partition");
    assert!(!queue.clear_out(at, &mut batch), "once is enough");
    queue.deferred.thaw(&"p".into());
    assert_eq!(queue.deferred.due(now, 99, 9).len(), 1);
}

#[test]
fn what_runs_is_copied_when_something_of_its_load_follows_it_to_disk() {
    let (limits, mut batch) = (room(100), SpillBatch::default());
    let (mut queue, now, two) = (queue(&limits), Instant::now(), Two::new());
    let at = at(&limits, 1, now);
    queue.loads.push(two.item("q", "a", 0));
    queue.start(at).unwrap();
    two.leave(&mut queue);
    queue.arrive_leaving(two.item("p", "a", 1), at, &mut batch);
    assert_eq!(seqs(&batch), (vec![0, 1], vec![]));
    // One that is being recorded needs no copy: its record has its place already.
    queue.loads.push(two.item("q", "b", 2));
    let load = queue.start(at).unwrap().event().load_id.clone();
    queue.loads.running_item(&load).unwrap().recording = true;
    queue.arrive_leaving(two.item("p", "b", 3), at, &mut batch);
    assert_eq!(seqs(&batch), (vec![0, 1, 3], vec![]));
}

#[test]
fn what_finds_no_room_is_abandoned_with_all_that_is_behind_it_and_others_keep_their_place() {
    let (limits, mut batch) = (room(1), SpillBatch::default());
    let (mut queue, now, two) = (queue(&limits), Instant::now(), Two::new());
    let at = at(&limits, 1, now);
    for (load, partition, seq) in [("a", "p", 0), ("a", "p", 1), ("b", "q", 2), ("b", "p", 3), ("b", "q", 4)]
    {
        queue.loads.push(two.item(partition, load, seq));
    }
    queue.overflow.push_back(two.item("p", "c", 5));
    queue.overflow.push_back(two.item("q", "c", 6));
    two.leave(&mut queue);
    assert!(queue.clear_out(at, &mut batch));
    assert_eq!(seqs(&batch), (vec![0], vec![1, 3, 5]));
    let kept: Vec<_> = queue.overflow.iter().map(|item| item.delivery.seq).collect();
    assert_eq!(kept, [2, 4, 6]);
    // There is room again, but an earlier one is not there.
    queue.spill.remove(0, u64::MAX);
    queue.arrive_leaving(two.item("p", "a", 7), at, &mut batch);
    assert_eq!(seqs(&batch), (vec![0], vec![1, 3, 5, 7]));
}

#[test]
fn behind_what_is_on_disk_it_is_not_listed_so_that_reading_meets_it_last() {
    let (limits, mut batch) = (room(100), SpillBatch::default());
    let (mut queue, now, two) = (queue(&limits), Instant::now(), Two::new());
    let at = at(&limits, 1, now);
    queue.spill(two.item("p", "a", 0), false, at, &mut batch);
    two.leave(&mut queue);
    queue.arrive_leaving(two.item("p", "a", 1), at, &mut batch);
    assert_eq!((queue.spill.unloaded, queue.deferred.len()), (2, 0));
}

#[test]
fn one_that_failed_while_its_partition_leaves_waits_on_disk_for_its_own_time() {
    let (limits, mut batch) = (room(100), SpillBatch::default());
    let (mut queue, now, two) = (queue(&limits), Instant::now(), Two::new());
    let at = at(&limits, 1, now);
    queue.loads.push(two.item("p", "a", 0));
    let load = queue.start(at).unwrap().event().load_id.clone();
    two.leave(&mut queue);
    let until = now + std::time::Duration::from_millis(3);
    let failed = queue.loads.finish(&load).unwrap();
    queue.put_back_leaving(Item { not_before: Some(until), ..failed }, at, &mut batch);
    assert_eq!((seqs(&batch), queue.loads.waiting()), ((vec![0], vec![]), 0));
    queue.deferred.thaw(&"p".into());
    assert_eq!((queue.deferred.due(now, 99, 9).len(), queue.deferred.due(until, 99, 9).len()), (0, 1));
}

#[test]
fn only_what_the_source_vouches_for_is_forgotten_of_a_partition_that_is_lost() {
    let (limits, mut batch) = (room(100), SpillBatch::default());
    let (mut queue, now, two) = (queue(&limits), Instant::now(), Two::new());
    let at = at(&limits, 1, now);
    let on_disk = queue.copy_to_disk(two.item("p", "a", 0), at, &mut batch);
    queue.loads.push(on_disk);
    for (load, partition, seq) in [("a", "p", 1), ("a", "q", 2), ("b", "p", 3)] {
        queue.loads.push(two.item(partition, load, seq));
    }
    queue.overflow.push_back(two.item("p", "a", 4));
    let is_lost = |item: &Item| {
        matches!(item.backing, Backing::Source(_)) && &*item.delivery.event().position.source == "p"
    };
    let forgotten = queue.forget(is_lost, at);
    assert_eq!(forgotten.iter().map(|item| item.delivery.seq).collect::<Vec<_>>(), [1, 3, 4]);
    assert_eq!(
        (queue.start(at).unwrap().seq, queue.loads.waiting(), queue.start(at).is_none()),
        (0, 1, true)
    );
}

#[test]
fn what_comes_again_after_a_loss_is_not_taken_for_what_is_leaving() {
    let (limits, mut batch) = (room(0), SpillBatch::default());
    let (mut queue, now, two) = (queue(&limits), Instant::now(), Two::new());
    let at = at(&limits, 1, now);
    two.leave(&mut queue);
    let again = Two::new();
    queue.loads.push(again.item("p", "a", 0));
    assert!(!queue.clear_out(at, &mut batch));
    assert_eq!((seqs(&batch), queue.loads.waiting()), ((vec![], vec![]), 1));
}

#[test]
fn nothing_goes_to_disk_ahead_of_an_earlier_one_of_its_load_that_finds_no_room() {
    let two = Two::new();
    let limits = Limits { spill_broker_max: cost(&two.item("p", "a", 1)), ..room(0) };
    let (mut queue, now, mut batch) = (queue(&limits), Instant::now(), SpillBatch::default());
    // Only the first is too large.
    queue.loads.push(two.item("quite-long", "a", 0));
    queue.loads.push(two.item("p", "a", 1));
    two.leave(&mut queue);
    assert!(queue.clear_out(at(&limits, 1, now), &mut batch));
    assert_eq!((seqs(&batch), queue.overflow.len()), ((vec![], vec![1]), 1));
}

#[test]
fn what_a_read_looks_for_and_has_gone_with_its_partition_is_counted_once() {
    let (limits, mut batch) = (room(100), SpillBatch::default());
    let (mut queue, now, two) = (queue(&limits), Instant::now(), Two::new());
    let at = at(&limits, 1, now);
    let (of_p, of_q) = (two.item("p", "a", 0), two.item("q", "b", 1));
    let gone = Waiting {
        broker: "acme".into(),
        seq: 0,
        event_id: "e".into(),
        load_id: "a".into(),
        cost: cost(&of_p),
    };
    queue.deferred.defer(&"a".into(), [], now, 1);
    queue.spill(of_p, true, at, &mut batch);
    queue.spill(of_q, false, at, &mut batch);
    // A read by number begins, the partition leaves, and the disk is cleared before the shard knows.
    let generation = queue.spill.begin_read();
    two.leave(&mut queue);
    let read = SpillRead {
        due: Vec::new(),
        missing: vec![("a".into(), 0)],
        deliveries: Vec::new(),
        passed: FxHashSet::default(),
        permits: Vec::new(),
        cursor: 0,
        horizon: 0,
    };
    queue.take_in(read, generation, at);
    queue.dropped(&gone, at);
    assert_eq!((queue.spill.unloaded, queue.spill.deliveries()), (1, 1), "that of the other is still unread");
    assert!(queue.missed.is_empty() && queue.deferred.len() == 0);
}
