//! Publishes a run's traffic on a topic of a Fluvio cluster, by way of Loadline's own producer: each record in its time,
//! keyed by its load, those of a partition in order and one batch of it under way.
//!
//! A record counts as appended only when the cluster has acknowledged it. Its time is that of the first
//! sending to a leader, because it may be read before the answer is there; if that answer was lost, the wait until
//! the cluster had the record for certain counts as its age. A batch that was sent again may stand in the log twice:
//! that is for the line to notice, and excuses no second delivery.

use std::{sync::Arc, time::Duration};

use futures::future::try_join_all;
use tokio::time::{MissedTickBehavior, interval};

use super::{Entry, Traffic, appended::Appended, clock::RunClock};
use fluvio_engine::produce::{
    BATCH_BYTES, BatchBuilder, ProduceFault, ProduceOptions, Sender, Sent, partition_of, senders,
};

/// How often what is due is sent: a producer gathers for a moment. Short beside any latency that is measured; while a
/// batch is under way the next gathers by itself.
const TICK: Duration = Duration::from_millis(5);

/// Publishes on one topic.
pub struct Publisher {
    lanes: Vec<Lane>,
    sent: Arc<Sent>,
    appended: Appended,
}

/// What goes to one partition.
struct Lane {
    sender: Sender,
    /// Its records, by their places in the log.
    places: Vec<usize>,
    next: usize,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("partitions", &self.lanes.len()).finish_non_exhaustive()
    }
}

impl Publisher {
    /// A producer of `traffic` for the topic of `options`, which must exist; a cluster that is away is waited for.
    ///
    /// # Errors
    /// [`ProduceFault`].
    pub async fn connect(options: &ProduceOptions, traffic: &Traffic) -> Result<Self, ProduceFault> {
        let sent = Arc::new(Sent::default());
        let senders = senders(options, &sent).await?;
        let places = spread(traffic, senders.len());
        let lanes = senders.into_iter().zip(places).map(|(sender, places)| Lane { sender, places, next: 0 });
        Ok(Self { lanes: lanes.collect(), sent, appended: Appended::default() })
    }

    /// What the cluster has taken so far.
    #[must_use]
    pub fn appended(&self) -> Appended {
        self.appended.clone()
    }

    /// What has been sent so far.
    #[must_use]
    pub fn sent(&self) -> Arc<Sent> {
        Arc::clone(&self.sent)
    }

    /// Publishes all of `traffic`, each record in its time; a cluster that is away is waited for.
    ///
    /// # Errors
    /// [`ProduceFault::GaveUp`] if it takes nothing for too long.
    pub async fn play(&mut self, traffic: &Traffic, clock: &RunClock) -> Result<(), ProduceFault> {
        let lanes = self.lanes.iter_mut().map(|lane| lane.play(traffic, clock, &self.appended));
        try_join_all(lanes).await.map(|_| ())
    }
}

impl Lane {
    async fn play(
        &mut self,
        traffic: &Traffic,
        clock: &RunClock,
        appended: &Appended,
    ) -> Result<(), ProduceFault> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while self.next < self.places.len() {
            ticks.tick().await;
            // All that is due: a backlog is not sent in the time of the ticks.
            loop {
                let (batch, count) = batch(traffic, &self.places[self.next..], clock.now_ms());
                if count == 0 {
                    break;
                }
                let since = self.sender.send(&batch).await?;
                appended.mark(&self.places[self.next..self.next + count], clock.at_ms(since));
                self.next += count;
                if !batch.has(BATCH_BYTES) {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// The records at the first of `places` that are due, as many as a batch holds, and how many they are.
fn batch(traffic: &Traffic, places: &[usize], now_ms: u64) -> (BatchBuilder, usize) {
    let mut batch = BatchBuilder::default();
    let mut count = 0;
    for entry in places.iter().map(|place| &traffic.log[*place]) {
        if entry.at_ms > now_ms || batch.has(BATCH_BYTES) {
            break;
        }
        batch.push(load_of(traffic, entry).map(str::to_owned), &entry.body);
        count += 1;
    }
    (batch, count)
}

/// Which records go to each of `count` partitions, by their places in the log, in order.
fn spread(traffic: &Traffic, count: usize) -> Vec<Vec<usize>> {
    let mut lanes = vec![Vec::new(); count];
    let of = u32::try_from(count).unwrap_or(u32::MAX);
    for (place, entry) in traffic.log.iter().enumerate() {
        let to = load_of(traffic, entry).map_or(0, |load| partition_of(load.as_bytes(), of));
        if let Some(lane) = lanes.get_mut(to as usize) {
            lane.push(place);
        }
    }
    lanes
}

/// The load a record is about; none for one that is no event.
pub(super) fn load_of<'t>(traffic: &'t Traffic, entry: &Entry) -> Option<&'t str> {
    traffic.events.get(entry.event? as usize).map(|event| &*event.load_id)
}

#[cfg(test)]
mod tests {
    use super::super::{
        generate,
        profile::{BrokerProfile, Profile},
    };
    use super::*;

    fn traffic() -> Traffic {
        let profile = Profile::load("inc-4471").unwrap().lasting(Duration::from_secs(5));
        let wants: Vec<_> = profile.brokers.iter().map(BrokerProfile::subscription).collect();
        generate(&profile, &wants)
    }

    #[test]
    fn every_record_goes_to_one_partition_in_order_and_a_load_to_one_alone() {
        let traffic = traffic();
        let lanes = spread(&traffic, 4);
        assert!(lanes.iter().all(|lane| lane.is_sorted() && lane.len() > traffic.log.len() / 8));
        let mut all: Vec<usize> = lanes.concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..traffic.log.len()));
        let loads = |lane: &Vec<usize>| {
            let loads = lane.iter().filter_map(|place| load_of(&traffic, &traffic.log[*place]));
            loads.map(str::to_owned).collect::<std::collections::HashSet<_>>()
        };
        let loads: Vec<_> = lanes.iter().map(loads).collect();
        assert!(loads[0].is_disjoint(&loads[1]) && loads[2].is_disjoint(&loads[3]));
        assert!(loads[0].is_disjoint(&loads[2]) && loads[1].is_disjoint(&loads[3]));
    }

    #[test]
    fn a_batch_holds_what_is_due_and_no_more_than_a_consumer_can_read() {
        let traffic = traffic();
        let places: Vec<usize> = (0..traffic.log.len()).collect();
        let due = traffic.log.iter().filter(|entry| entry.at_ms <= 100).count();
        assert!(due > 0);
        assert_eq!(batch(&traffic, &places, 100).1, due);
        let (full, count) = batch(&traffic, &places, u64::MAX);
        assert!(full.has(BATCH_BYTES) && count < traffic.log.len());
        assert_eq!(batch(&traffic, &[], u64::MAX).1, 0);
    }
}
