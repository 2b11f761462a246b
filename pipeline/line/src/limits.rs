//! The bounds of the line: how much may be in memory, how much on disk, and how long it may wait.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use stages::Broker;
use state::{DeadLetters, SpillUsage, StateFault};

use super::{
    counters::Counters,
    executor::Executor,
    in_flight_permits::InFlightPermits,
    partitions::{Partition, Partitions},
};

/// So many letters are counted in one step.
const COUNT_STEP: usize = 256;

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
    /// Before a partition leaves, or the line stops: how long brokers that keep up may go on taking what is in memory. None
    /// if it stays with this process anyway.
    pub hand_over: Duration,
    /// Threads that deliver.
    pub shards: usize,
}

/// What the intake and the shards share: the permits for memory, what they count, and whether intake is held.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) permits: InFlightPermits,
    pub(super) counters: Arc<Counters>,
    /// Whether the letters that full disk queues made before this run are being counted, or have been: nobody needs to
    /// know before the first.
    counting_letters: AtomicBool,
    /// Whether the intake waits for a permit.
    pressed: AtomicBool,
    /// How many reads wait for room in memory.
    reads_waiting: AtomicUsize,
    /// How many brokers share the line: those that the config names.
    sharing: AtomicUsize,
    /// All brokers that have a slot, those that the config does not name any more included.
    admitted: Mutex<Vec<Arc<Broker>>>,
    /// What waits on disk for brokers that have no slot: the config does not name them.
    stranded: Mutex<BTreeMap<Arc<str>, SpillUsage>>,
    /// Held while something is put on disk for a broker that has no slot, or a broker gets one.
    pub(super) stranding: tokio::sync::Mutex<()>,
    pub(super) partitions: Partitions,
    pub(super) executor: Executor,
}

impl Shared {
    pub(super) fn new(limits: &Limits, brokers: usize, partitions: impl Into<Partitions>) -> Self {
        Self {
            permits: InFlightPermits::new(limits.in_flight_max, limits.memory_max),
            counters: Arc::default(),
            counting_letters: AtomicBool::new(false),
            pressed: AtomicBool::new(false),
            reads_waiting: AtomicUsize::new(0),
            sharing: AtomicUsize::new(brokers),
            admitted: Mutex::default(),
            stranded: Mutex::default(),
            stranding: tokio::sync::Mutex::default(),
            partitions: partitions.into(),
            executor: Executor::default(),
        }
    }

    /// The same with its disk reads on `executor`.
    pub(super) fn on(self, executor: Executor) -> Self {
        Self { executor, ..self }
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

    /// So many deliveries of so many bytes for a broker that has no slot are somebody else's now.
    pub(super) fn unstrand(&self, broker: &str, deliveries: u64, bytes: u64) {
        if let Some(usage) = self.stranded.lock().get_mut(broker) {
            usage.deliveries = usage.deliveries.saturating_sub(deliveries);
            usage.bytes = usage.bytes.saturating_sub(bytes);
        }
    }

    /// The broker of this name, if it has a slot.
    pub(super) fn admitted_as(&self, name: &str) -> Option<Arc<Broker>> {
        self.admitted.lock().iter().find(|broker| &*broker.id == name).cloned()
    }

    /// All brokers that have a slot.
    pub(super) fn admitted(&self) -> Vec<Arc<Broker>> {
        self.admitted.lock().clone()
    }

    /// How many bytes more of dead letters full disk queues may make: none while those there are have not been counted.
    pub(super) fn full_letters_room(&self, letters: &DeadLetters, limits: &Limits) -> u64 {
        if !self.counting_letters.swap(true, Ordering::Relaxed) {
            let letters = letters.clone();
            let count = move || {
                while !letters.count_on(COUNT_STEP)? {}
                Ok::<(), StateFault>(())
            };
            // A store that cannot be read is met by whoever needs it; here it means that there is no room.
            self.executor.detach(count);
        }
        let Some(there) = letters.queue_full_bytes() else { return 0 };
        limits.full_letters_max.saturating_sub(there + self.counters.giving_up())
    }

    /// Whether backpressure holds the intake: memory is full, or the watermark is too far behind.
    pub(super) fn is_pressed(&self) -> bool {
        self.pressed.load(Ordering::Relaxed) || self.partitions.is_full()
    }

    /// Whether anyone waits for what a delivery in memory holds: the intake for its place, its bytes or its record, or a read
    /// for its place or its bytes.
    pub(super) fn is_contended(&self) -> bool {
        self.is_pressed() || self.reads_waiting.load(Ordering::Relaxed) > 0
    }

    /// Whether it holds this partition: memory is full, which is everyone's, or its own watermark is too far behind.
    pub(super) fn holds(&self, partition: &Partition) -> bool {
        self.pressed.load(Ordering::Relaxed) || partition.tickets.is_full()
    }

    /// Runs `wait` with the intake marked as held, unless it is over at once. May be dropped at any time.
    pub(super) async fn held<T>(&self, wait: impl Future<Output = T>) -> T {
        let mut wait = std::pin::pin!(wait);
        if let std::task::Poll::Ready(done) = futures::poll!(&mut wait) {
            return done;
        }
        let _held = Held::new(&self.pressed);
        wait.await
    }

    /// Runs `wait` for room for a read, counted as one that waits unless it is over at once.
    pub(super) async fn read_room<T>(&self, wait: impl Future<Output = T>) -> T {
        let mut wait = std::pin::pin!(wait);
        if let std::task::Poll::Ready(done) = futures::poll!(&mut wait) {
            return done;
        }
        let _waits = Waits::begin(&self.reads_waiting);
        wait.await
    }
}

/// The intake is marked as held as long as this is there.
struct Held<'a>(&'a AtomicBool);

impl<'a> Held<'a> {
    fn new(pressed: &'a AtomicBool) -> Self {
        pressed.store(true, Ordering::Relaxed);
        Self(pressed)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// One that waits; it may be dropped while it does.
struct Waits<'c>(&'c AtomicUsize);

impl<'c> Waits<'c> {
    fn begin(count: &'c AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use state::Position;

    use super::*;
    use crate::testing::after;

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
            hand_over: Duration::ZERO,
            shards: 1,
        };
        let line = || {
            let partitions = Partitions::new(1);
            for name in ["t/0", "t/1"] {
                let _partition = partitions.take_in(&name.into()).unwrap();
            }
            Shared::new(&limits, 1, partitions)
        };
        let held = |line: &Shared| {
            let partitions = line.partitions.snapshot();
            let each = partitions.iter().map(|partition| line.holds(partition));
            (line.is_pressed(), each.collect::<Vec<_>>())
        };
        let (one, all) = (line(), line());
        assert_eq!(held(&one), (false, vec![false, false]));
        let partition = one.partitions.snapshot()[1].clone();
        let place = Position::new(partition.source.clone(), 0, 0);
        let _open = partition.tickets.issue(place, after(0), false);
        assert_eq!(held(&one), (true, vec![false, true]));
        let mut full = std::pin::pin!(all.held(std::future::pending::<()>()));
        assert!(futures::poll!(&mut full).is_pending());
        assert_eq!(held(&all), (true, vec![true, true]));
    }

    #[tokio::test]
    async fn a_read_that_waits_for_room_contends_until_it_is_over_or_given_up() {
        let line = Shared::new(&crate::testing::limits(), 1, Partitions::new(1));
        line.read_room(std::future::ready(())).await;
        assert!(!line.is_contended());
        let mut waits = Box::pin(line.read_room(std::future::pending::<()>()));
        assert!(futures::poll!(&mut waits).is_pending());
        assert!(line.is_contended() && !line.is_pressed());
        drop(waits);
        assert!(!line.is_contended());
    }
}
