//! The dead letters on disk, in the order of their positions; writing is the ledger thread's alone.
//!
//! A letter's key is its position and its broker, so that a record read again after a crash replaces its own letter
//! and never adds a second one.

use crate::{dead::DeadLetter, fault::StateFault, position::Position, table::Table};

/// All dead letters.
#[derive(Clone, Debug)]
pub struct DeadLetters(Table);

impl DeadLetters {
    pub(crate) fn new(table: Table) -> Self {
        Self(table)
    }

    /// Every letter, ordered by source, epoch, offset and broker; read one at a time.
    pub fn iter(&self) -> impl Iterator<Item = Result<DeadLetter, StateFault>> + '_ {
        self.0.range(..).map(|item| self.0.decode(&item?.1))
    }

    /// How many letters there are; visits every one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn put(&self, letter: &DeadLetter) -> Result<(), StateFault> {
        self.0.put(&key(&letter.position, letter.broker.as_deref()), letter)
    }
}

fn key(position: &Position, broker: Option<&str>) -> Vec<u8> {
    let broker = broker.unwrap_or_default();
    let mut key = Vec::with_capacity(position.source.len() + broker.len() + 17);
    key.extend_from_slice(position.source.as_bytes());
    key.push(0);
    key.extend_from_slice(&position.epoch.to_be_bytes());
    key.extend_from_slice(&position.offset.to_be_bytes());
    key.extend_from_slice(broker.as_bytes());
    key
}
