//! Publishes a run's traffic on a topic of a Kafka cluster, by way of Loadline's own producer: each record in its time,
//! keyed by its load, in the order of the traffic.
//!
//! Guaranteed: a record counts as appended only when the cluster has acknowledged it. Its time is that of its being
//! sent, because it may be read before the answer is there. The producer is idempotent: each stands in the log once.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use kafka_engine::{
    Producer,
    produce::{Deliveries, Outgoing, ProduceFault, ProduceOptions, Sender, partition_of},
};
use tokio::time::{MissedTickBehavior, interval};

use super::{Traffic, appended::Appended, clock::RunClock, publish::load_of};

/// How often what is due is sent. Short beside any latency that is measured.
const TICK: Duration = Duration::from_millis(5);

/// Publishes on one topic.
#[derive(Debug)]
pub struct KafkaPublisher {
    producer: Producer,
    options: ProduceOptions,
    appended: Appended,
}

/// Records that were sent at one moment.
struct Chunk {
    places: Vec<usize>,
    at_ms: u64,
    deliveries: Arc<Deliveries>,
}

/// Which records of `traffic` go to each of `count` partitions, by their places, in order: each partition of a topic to
/// which nobody else appends has them at the offsets from 0 on.
#[must_use]
pub fn spread_over_partitions(traffic: &Traffic, count: u32) -> Vec<Vec<usize>> {
    let mut partitions = vec![Vec::new(); count as usize];
    for (place, entry) in traffic.log.iter().enumerate() {
        let partition = load_of(traffic, entry).map_or(0, |load| partition_of(load.as_bytes(), count));
        if let Some(places) = partitions.get_mut(partition as usize) {
            places.push(place);
        }
    }
    partitions
}

impl KafkaPublisher {
    /// A producer for the topic of `options`, which must exist; a cluster that is away is waited for.
    ///
    /// # Errors
    /// [`ProduceFault`].
    pub async fn connect(options: ProduceOptions) -> Result<Self, ProduceFault> {
        let producer = Producer::new(&options)?;
        let _partitions = Sender::new(&options, &producer, &Arc::default()).count().await?;
        Ok(Self { producer, options, appended: Appended::default() })
    }

    /// What the cluster has taken so far.
    #[must_use]
    pub fn appended(&self) -> Appended {
        self.appended.clone()
    }

    /// Publishes all of `traffic`, each record in its time; a cluster that is away is waited for.
    ///
    /// # Errors
    /// [`ProduceFault::GaveUp`] if it takes nothing for too long.
    pub async fn play(&mut self, traffic: &Traffic, clock: &RunClock) -> Result<(), ProduceFault> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut next, mut waiting) = (0, VecDeque::new());
        while next < traffic.log.len() {
            ticks.tick().await;
            let at_ms = clock.now_ms();
            let due = traffic.log[next..].iter().take_while(|entry| entry.at_ms <= at_ms).count();
            if due > 0 {
                waiting.push_back(self.send(traffic, (next, next + due), at_ms).await?);
                next += due;
            }
            while waiting.front().is_some_and(|chunk: &Chunk| chunk.deliveries.waiting() == 0) {
                self.settle(waiting.pop_front()).await?;
            }
            // More than a second's worth is on its way: the cluster is away or slow, and is waited for.
            if waiting.len() > 200 {
                self.settle(waiting.pop_front()).await?;
            }
        }
        while let Some(chunk) = waiting.pop_front() {
            self.settle(Some(chunk)).await?;
        }
        Ok(())
    }

    /// Sends the records from one place to before another.
    async fn send(
        &self,
        traffic: &Traffic,
        (from, to): (usize, usize),
        at_ms: u64,
    ) -> Result<Chunk, ProduceFault> {
        let deliveries = Arc::default();
        let sender = Sender::new(&self.options, &self.producer, &deliveries);
        for entry in &traffic.log[from..to] {
            let key = load_of(traffic, entry).map(str::to_owned);
            let partition = key.is_none().then_some(0);
            sender.send(&Outgoing { partition, key, value: entry.body.clone() }).await?;
        }
        Ok(Chunk { places: (from..to).collect(), at_ms, deliveries })
    }

    /// Waits until the cluster has a chunk.
    async fn settle(&self, chunk: Option<Chunk>) -> Result<(), ProduceFault> {
        let Some(Chunk { places, at_ms, deliveries }) = chunk else { return Ok(()) };
        Sender::new(&self.options, &self.producer, &deliveries).settled().await?;
        self.appended.mark(&places, at_ms);
        Ok(())
    }
}
