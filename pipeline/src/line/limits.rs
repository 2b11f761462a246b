//! The bounds of the line: how much may be in memory, how much on disk, and how long it may wait.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use stages::models::Broker;
use state::SpillUsage;

use super::{
    memory::Memory,
    partitions::{Partition, Partitions},
    surplus::FullLetters,
};

/// The bounds of the line. The config explains each and checks their relations.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Deliveries in memory over all brokers; less than two count as two.
    pub in_flight_max: usize,
    /// Bytes of bodies in memory over all brokers. A body that several brokers get counts once while it is shared.
    pub memory_max: u64,
    /// Deliveries waiting in memory for one broker before it spills, if at its pace they would wait for longer than
    /// `spill_after`. Where that is less than the broker's even share of `in_flight_max`, the share counts: a surge
    /// that hits all brokers alike slows intake and does not spill.
    pub per_broker_max: usize,
    /// Bytes on disk for one broker.
    pub spill_broker_max: u64,
    /// Bytes on disk for all brokers.
    pub spill_total_max: u64,
    /// Bytes of dead letters that full disk queues may make, over all brokers.
    pub full_letters_max: u64,
    /// A broker whose deliveries wait longer than this in memory spills, unless all brokers lag.
    pub spill_after: Duration,
    /// A broker that cannot take anything for longer than this spills at once.
    pub hold_min: Duration,
    /// How long the line goes on for brokers that are held after its input has ended.
    pub drain: Duration,
    /// How long deliveries on the wire may take to finish once the line is stopped.
    pub grace: Duration,
    /// Threads that deliver.
    pub shards: usize,
}

/// What the intake and the shards share: the places in memory, the disk's fill, and whether intake is held.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) memory: Arc<Memory>,
    pub(super) spill_bytes: AtomicU64,
    pub(super) spill_deliveries: AtomicU64,
    pub(super) full_letters: FullLetters,
    /// Whether the intake waits for a permit.
    pressed: AtomicBool,
    /// Brokers whose oldest delivery has waited longer than `spill_after`, at the last look.
    pub(super) lagging: AtomicUsize,
    /// Those, and those that are held.
    pub(super) behind: AtomicUsize,
    /// How many brokers share the line: those that the config names.
    sharing: AtomicUsize,
    /// All brokers that have a slot, those that the config does not name any more included.
    admitted: Mutex<Vec<Arc<Broker>>>,
    /// What waits on disk for brokers that have no slot: the config does not name them.
    stranded: Mutex<BTreeMap<Arc<str>, SpillUsage>>,
    pub(super) partitions: Partitions,
}

impl Shared {
    pub(super) fn new(limits: &Limits, brokers: usize, partitions: impl Into<Partitions>) -> Self {
        Self {
            memory: Arc::new(Memory::new(limits.in_flight_max, limits.memory_max)),
            spill_bytes: AtomicU64::new(0),
            spill_deliveries: AtomicU64::new(0),
            full_letters: FullLetters::default(),
            pressed: AtomicBool::new(false),
            lagging: AtomicUsize::new(0),
            behind: AtomicUsize::new(0),
            sharing: AtomicUsize::new(brokers),
            admitted: Mutex::default(),
            stranded: Mutex::default(),
            partitions: partitions.into(),
        }
    }

    /// How many brokers share the line.
    pub(super) fn brokers(&self) -> usize {
        self.sharing.load(Ordering::Relaxed)
    }

    /// From now on so many brokers share it.
    pub(super) fn set_brokers(&self, sharing: usize) {
        self.sharing.store(sharing, Ordering::Relaxed);
    }

    /// One more broker has a slot.
    pub(super) fn admit(&self, broker: Arc<Broker>) {
        self.stranded.lock().remove(&broker.id);
        self.admitted.lock().push(broker);
    }

    /// So much waits on disk for a broker that has no slot.
    pub(super) fn strand(&self, broker: Arc<str>, usage: SpillUsage) {
        self.stranded.lock().insert(broker, usage);
    }

    /// What waits on disk for brokers that have no slot.
    pub(super) fn stranded(&self) -> BTreeMap<Arc<str>, SpillUsage> {
        self.stranded.lock().clone()
    }

    /// All brokers that have a slot.
    pub(super) fn admitted(&self) -> Vec<Arc<Broker>> {
        self.admitted.lock().clone()
    }

    /// Whether backpressure holds the intake: memory is full, or the watermark is too far behind.
    pub(super) fn is_pressed(&self) -> bool {
        self.pressed.load(Ordering::Relaxed) || self.partitions.is_full()
    }

    /// Whether it holds this partition: memory is full, which is everyone's, or its own watermark is too far behind.
    pub(super) fn holds(&self, partition: &Partition) -> bool {
        self.pressed.load(Ordering::Relaxed) || partition.tickets.is_full()
    }

    /// Runs `wait` with the intake marked as held, unless it is over at once.
    pub(super) async fn held<T>(&self, wait: impl Future<Output = T>) -> T {
        let mut wait = std::pin::pin!(wait);
        if let std::task::Poll::Ready(done) = futures::poll!(&mut wait) {
            return done;
        }
        self.pressed.store(true, Ordering::Relaxed);
        let done = wait.await;
        self.pressed.store(false, Ordering::Relaxed);
        done
    }
}

#[cfg(test)]
mod tests {
    use state::Position;

    use super::*;
    use crate::line::testing::after;

    #[tokio::test]
    async fn a_partition_that_has_too_much_unsettled_is_held_alone_and_a_full_memory_holds_them_all() {
        let limits = Limits {
            in_flight_max: 8,
            memory_max: 1 << 20,
            per_broker_max: 8,
            spill_broker_max: 0,
            spill_total_max: 0,
            full_letters_max: 0,
            spill_after: Duration::ZERO,
            hold_min: Duration::ZERO,
            drain: Duration::ZERO,
            grace: Duration::ZERO,
            shards: 1,
        };
        let line = || Shared::new(&limits, 1, Partitions::new("t/0".into(), ["t/1".into()], 1));
        let held = |line: &Shared| {
            let each = line.partitions.iter().map(|partition| line.holds(partition));
            (line.is_pressed(), each.collect::<Vec<_>>())
        };
        let (one, all) = (line(), line());
        assert_eq!(held(&one), (false, vec![false, false]));
        let partition = one.partitions.iter().nth(1).unwrap();
        let place = Position::new(partition.source.clone(), 0, 0);
        let _open = partition.tickets.issue(place, after(0), false);
        assert_eq!(held(&one), (true, vec![false, true]));
        let mut full = std::pin::pin!(all.held(std::future::pending::<()>()));
        assert!(futures::poll!(&mut full).is_pending());
        assert_eq!(held(&all), (true, vec![true, true]));
    }
}
