//! A topic that does what a test says: it takes, refuses, loses answers, hangs and is gone; and remembers what it took.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;

use super::topic::{Lane, Topic};
use crate::{dead::Told, produce::Filling, source::ClusterFault};

/// What becomes of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is taken.
    Taken,
    /// It is refused.
    Refused,
    /// It is taken, and nobody says so.
    Lost,
    /// Nothing is ever said of it.
    Hangs,
}

/// A topic; clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Script(Arc<Mutex<Inside>>);

#[derive(Debug)]
struct Inside {
    /// None while it does not exist.
    partitions: Option<u32>,
    asked: u32,
    /// Of the next batches, whichever partition they are for; then all are taken.
    fates: VecDeque<Fate>,
    /// By partition, in order: the key and the value.
    taken: Vec<(u32, Option<String>, String)>,
}

impl Script {
    pub(super) fn new(partitions: u32) -> Self {
        let (fates, taken) = (VecDeque::new(), Vec::new());
        Self(Arc::new(Mutex::new(Inside { partitions: Some(partitions), asked: 0, fates, taken })))
    }

    /// Has so many partitions from now on; none if it is gone.
    pub(super) fn has(&self, partitions: Option<u32>) {
        self.0.lock().partitions = partitions;
    }

    pub(super) fn then(&self, fates: impl IntoIterator<Item = Fate>) {
        self.0.lock().fates.extend(fates);
    }

    /// How often it was asked for its partitions.
    pub(super) fn asked(&self) -> u32 {
        self.0.lock().asked
    }

    /// What it took, in order: partition, key, and the letter.
    pub(super) fn taken(&self) -> Vec<(u32, Option<String>, Told)> {
        let inside = self.0.lock();
        let read = |(partition, key, value): &(u32, Option<String>, String)| {
            (*partition, key.clone(), serde_json::from_str(value).unwrap())
        };
        inside.taken.iter().map(read).collect()
    }

    /// The places of the letters it took, in order.
    pub(super) fn offsets(&self) -> Vec<u64> {
        self.taken().into_iter().map(|(_, _, told)| told.offset).collect()
    }
}

impl Topic for Script {
    type Lane = ScriptLane;

    async fn count(&self) -> Result<u32, ClusterFault> {
        let mut inside = self.0.lock();
        inside.asked += 1;
        inside.partitions.ok_or_else(|| ClusterFault::NoTopic { topic: "dead".to_owned() })
    }

    fn lane(&self, partition: u32) -> ScriptLane {
        ScriptLane { script: self.clone(), partition }
    }
}

/// One of its partitions.
pub(super) struct ScriptLane {
    script: Script,
    partition: u32,
}

impl Lane for ScriptLane {
    async fn add(&mut self, batch: &Filling) -> Result<(), ClusterFault> {
        let fate = self.script.0.lock().fates.pop_front().unwrap_or(Fate::Taken);
        if fate == Fate::Hangs {
            std::future::pending::<()>().await;
        }
        if matches!(fate, Fate::Taken | Fate::Lost) {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            for record in batch.batch(0).unwrap().memory_records().unwrap() {
                let key = record.key().map(|key| text(key.as_ref()));
                self.script.0.lock().taken.push((self.partition, key, text(record.value().as_ref())));
            }
        }
        match fate {
            Fate::Taken => Ok(()),
            _ => Err(ClusterFault::Refused { what: "a batch", code: format!("{fate:?}") }),
        }
    }
}
