//! What is stored of a broker: whether it is disabled and why, whether it is paused, and up to which number its
//! deliveries on disk may have been sent.

use bincode::{Decode, Encode};

use crate::{clock::UnixMillis, fault::StateFault, spilled::SpillSeq, table::Table};

/// The stored state of all brokers.
#[derive(Clone, Debug)]
pub struct Brokers(Table);

/// A broker that is sent nothing until an operator enables it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Disabled {
    /// Since when.
    pub since: UnixMillis,
    /// Why, in words.
    pub reason: String,
}

/// A broker that is sent nothing until an operator resumes it; its deliveries wait.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Paused {
    /// Since when.
    pub since: UnixMillis,
}

impl Brokers {
    pub(crate) fn new(table: Table) -> Self {
        Self(table.with_digests(|_| &[]))
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

    /// The number below which the run under way may send `broker`'s deliveries on disk. When the directory is opened it
    /// becomes a doubt, or is not needed because the attempts journal says more.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn drain_horizon(&self, broker: &str) -> Result<SpillSeq, StateFault> {
        Ok(self.0.get(&key(b'h', broker))?.unwrap_or(0))
    }

    /// The number below which an earlier run may have sent `broker`'s deliveries on disk, if that run left no usable
    /// journal. New deliveries get numbers from there on.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn doubt(&self, broker: &str) -> Result<SpillSeq, StateFault> {
        Ok(self.0.get(&key(b'u', broker))?.unwrap_or(0))
    }

    /// Every broker with a drain horizon.
    pub(crate) fn drain_horizons(&self) -> Result<Vec<(String, SpillSeq)>, StateFault> {
        let mut found = Vec::new();
        for item in self.0.range(vec![b'h']..vec![b'i']) {
            let (key, value) = item?;
            let horizon: SpillSeq = self.0.decode(&key, &value)?;
            // An earlier version wrote zero after a clean end.
            if horizon > 0 {
                found.push((String::from_utf8_lossy(&key[1..]).into_owned(), horizon));
            }
        }
        Ok(found)
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

    /// Moves the horizon forward, never back; zero removes it.
    pub(crate) fn put_drain_horizon(&self, broker: &str, seq: SpillSeq) -> Result<(), StateFault> {
        let key = key(b'h', broker);
        if seq == 0 { self.0.remove(&key) } else { self.0.put(&key, &seq.max(self.drain_horizon(broker)?)) }
    }

    pub(crate) fn put_doubt(&self, broker: &str, seq: SpillSeq) -> Result<(), StateFault> {
        self.0.put(&key(b'u', broker), &seq)
    }
}

pub(crate) fn key(kind: u8, broker: &str) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(broker.as_bytes());
    key
}
