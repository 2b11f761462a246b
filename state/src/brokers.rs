//! What is remembered of a broker itself: whether it is disabled and why, whether it is paused, and up to which number its
//! deliveries on disk may have been sent.

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

    /// The number below which the run under way may send `broker`'s deliveries on disk. When the directory is opened it
    /// becomes a doubt, or is not needed because the attempts journal says more.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn drain_horizon(&self, broker: &str) -> Result<SpillSeq, StateFault> {
        Ok(self.0.get(&key(b'h', broker))?.unwrap_or(0))
    }

    /// The number below which `broker`'s deliveries on disk may have been sent by a run that left nothing more exact
    /// behind. New ones get numbers from there on.
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
            // What an earlier version left there after a run in good order.
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

    /// Moves the horizon on, never back; zero takes it away.
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
