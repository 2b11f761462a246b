//! A scripted topic for tests: it accepts, refuses, loses answers, hangs and disappears; and stores what it accepted.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;

use super::topic::{PartitionWriter, PublishFault, Topic};
use crate::dead::DeadLetterJson;
use fluvio_engine::{
    ClusterFault,
    produce::{BatchBuilder, partition_of},
};

/// What becomes of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BatchOutcome {
    /// It is taken.
    RecordMark,
    /// It is refused.
    Refused,
    /// It is taken, and nobody says so.
    Lost,
    /// Nothing is ever said of it.
    Hangs,
}

/// A topic; clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct ScriptedTopic(Arc<Mutex<Inside>>);

#[derive(Debug)]
struct Inside {
    /// None while it does not exist.
    partitions: Option<u32>,
    asked: u32,
    /// Of the next batches, whichever partition they are for; then all are taken.
    outcomes: VecDeque<BatchOutcome>,
    /// By partition, in order: the key and the value.
    taken: Vec<(u32, Option<String>, String)>,
}

impl ScriptedTopic {
    pub(super) fn new(partitions: u32) -> Self {
        let (outcomes, taken) = (VecDeque::new(), Vec::new());
        Self(Arc::new(Mutex::new(Inside { partitions: Some(partitions), asked: 0, outcomes, taken })))
    }

    /// Has so many partitions from now on; none if it is gone.
    pub(super) fn has(&self, partitions: Option<u32>) {
        self.0.lock().partitions = partitions;
    }

    pub(super) fn then(&self, outcomes: impl IntoIterator<Item = BatchOutcome>) {
        self.0.lock().outcomes.extend(outcomes);
    }

    /// How often it was asked for its partitions.
    pub(super) fn asked(&self) -> u32 {
        self.0.lock().asked
    }

    /// What it took, in order: partition, key, and the letter.
    pub(super) fn taken(&self) -> Vec<(u32, Option<String>, DeadLetterJson)> {
        let inside = self.0.lock();
        let read = |(partition, key, value): &(u32, Option<String>, String)| {
            (*partition, key.clone(), serde_json::from_str(value).unwrap())
        };
        inside.taken.iter().map(read).collect()
    }

    /// The places of the letters it took, in order.
    pub(super) fn offsets(&self) -> Vec<u64> {
        self.taken().into_iter().map(|(_, _, letter)| letter.offset).collect()
    }
}

impl Topic for ScriptedTopic {
    type PartitionWriter = ScriptedPartition;

    async fn count(&self) -> Result<u32, PublishFault> {
        let mut inside = self.0.lock();
        inside.asked += 1;
        let absent = || ClusterFault::NoTopic { topic: "dead".to_owned() }.into();
        inside.partitions.ok_or_else(absent)
    }

    fn partition_of(&self, key: &str, count: u32) -> u32 {
        partition_of(key.as_bytes(), count)
    }

    fn writer(&self, partition: u32) -> ScriptedPartition {
        ScriptedPartition { topic: self.clone(), partition }
    }
}

/// One of its partitions.
pub(super) struct ScriptedPartition {
    topic: ScriptedTopic,
    partition: u32,
}

impl PartitionWriter for ScriptedPartition {
    async fn add(&mut self, batch: &BatchBuilder) -> Result<(), PublishFault> {
        let outcome = self.topic.0.lock().outcomes.pop_front().unwrap_or(BatchOutcome::RecordMark);
        if outcome == BatchOutcome::Hangs {
            std::future::pending::<()>().await;
        }
        if matches!(outcome, BatchOutcome::RecordMark | BatchOutcome::Lost) {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            for (key, value) in batch.records() {
                self.topic.0.lock().taken.push((self.partition, key.clone(), text(value)));
            }
        }
        match outcome {
            BatchOutcome::RecordMark => Ok(()),
            _ => Err(ClusterFault::Refused { what: "a batch", code: format!("{outcome:?}") }.into()),
        }
    }
}
