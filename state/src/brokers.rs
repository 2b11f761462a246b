//! What is remembered of a broker itself: whether it is disabled and why, whether it is paused, and how far its spill
//! may have been sent.

use bincode::{Decode, Encode};

use crate::{clock::UnixMillis, fault::StateFault, spilled::SpillSeq, table::Table};

/// What is remembered of each broker.
#[derive(Clone, Debug)]
pub struct Brokers(Table);

/// A broker that gets nothing until someone enables it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Disabled {
    /// Since when.
    pub since: UnixMillis,
    /// Why, in words.
    pub reason: String,
}

/// A broker that is sent nothing until someone lets it go on; what comes for it waits.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Paused {
    /// Since when.
    pub since: UnixMillis,
}

impl Brokers {
    pub(crate) fn new(table: Table) -> Self {
        Self(table.accounted(|_| &[]))
    }

    pub(crate) fn table(&self) -> &Table {
        &self.0
    }

    /// Whether and why `broker` is disabled.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn disabled(&self, broker: &str) -> Result<Option<Disabled>, StateFault> {
        self.0.get(&key(b'd', broker))
    }

    /// Whether `broker` is paused.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn paused(&self, broker: &str) -> Result<Option<Paused>, StateFault> {
        self.0.get(&key(b'p', broker))
    }

    /// The number below which `broker`'s spilled deliveries may have been on the wire in a run that ended without
    /// notice; zero after a run in good order.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn drain_horizon(&self, broker: &str) -> Result<SpillSeq, StateFault> {
        Ok(self.0.get(&key(b'h', broker))?.unwrap_or(0))
    }

    pub(crate) fn put_disabled(&self, broker: &str, disabled: Option<&Disabled>) -> Result<(), StateFault> {
        let key = key(b'd', broker);
        match disabled {
            Some(disabled) => self.0.put(&key, disabled),
            None => self.0.remove(&key),
        }
    }

    pub(crate) fn put_paused(&self, broker: &str, paused: Option<&Paused>) -> Result<(), StateFault> {
        let key = key(b'p', broker);
        match paused {
            Some(paused) => self.0.put(&key, paused),
            None => self.0.remove(&key),
        }
    }

    pub(crate) fn put_drain_horizon(&self, broker: &str, seq: SpillSeq) -> Result<(), StateFault> {
        self.0.put(&key(b'h', broker), &seq)
    }
}

pub(crate) fn key(kind: u8, broker: &str) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(broker.as_bytes());
    key
}
