//! How far each source has been settled (its checkpoint) and how far it may have been read (its horizon).

use crate::{
    checkpoint::{Checkpoint, Horizon},
    fault::StateFault,
    table::Table,
};

/// The checkpoints and horizons of all sources.
#[derive(Clone, Debug)]
pub struct Sources(Table);

impl Sources {
    pub(crate) fn new(table: Table) -> Self {
        Self(table)
    }

    /// Where `source` resumes; none if it has never been settled anywhere.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn checkpoint(&self, source: &str) -> Result<Option<Checkpoint>, StateFault> {
        self.0.get(&key(b'c', source))
    }

    /// Every source that has ever been settled somewhere, and where it resumes.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn checkpoints(&self) -> Result<Vec<(String, Checkpoint)>, StateFault> {
        let settled = self.0.range(vec![b'c']..vec![b'd']);
        settled
            .map(|item| {
                let (key, value) = item?;
                Ok((String::from_utf8_lossy(&key[1..]).into_owned(), self.0.decode(&value)?))
            })
            .collect()
    }

    /// How far `source` may have been read by a run that ended without notice; none after a run in good order.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn horizon(&self, source: &str) -> Result<Option<Horizon>, StateFault> {
        self.0.get(&key(b'h', source))
    }

    pub(crate) fn put_checkpoint(&self, source: &str, checkpoint: &Checkpoint) -> Result<(), StateFault> {
        self.0.put(&key(b'c', source), checkpoint)
    }

    pub(crate) fn put_horizon(&self, source: &str, horizon: Option<&Horizon>) -> Result<(), StateFault> {
        let key = key(b'h', source);
        match horizon {
            Some(horizon) => self.0.put(&key, horizon),
            None => self.0.remove(&key),
        }
    }
}

fn key(kind: u8, source: &str) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(source.as_bytes());
    key
}
