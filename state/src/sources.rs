//! How far each source has been settled (its checkpoint), how far it may have been read (its horizon), up to where it may
//! have been sent by a run of which no more is known (its doubt), and, if it was ever moved, who has it.

use bincode::Encode;

use crate::{
    checkpoint::{Checkpoint, Horizon},
    custody::Custody,
    fault::StateFault,
    table::{Change, Table},
};

/// The checkpoints and horizons of all sources.
#[derive(Clone, Debug)]
pub struct Sources(Table);

impl Sources {
    pub(crate) fn new(table: Table) -> Self {
        Self(table.accounted(|_| &[]))
    }

    pub(crate) fn table(&self) -> &Table {
        &self.0
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
                Ok((String::from_utf8_lossy(&key[1..]).into_owned(), self.0.decode(&key, &value)?))
            })
            .collect()
    }

    /// How far the run under way may have read `source`. When the directory is opened it becomes a doubt, or is not needed
    /// because the attempts journal says more.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn horizon(&self, source: &str) -> Result<Option<Horizon>, StateFault> {
        self.0.get(&key(b'h', source))
    }

    /// Up to where `source` may have been sent by a run that left nothing more exact behind; none once a run has got past
    /// it.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn doubt(&self, source: &str) -> Result<Option<Horizon>, StateFault> {
        self.0.get(&key(b'u', source))
    }

    /// Every source with a horizon.
    pub(crate) fn horizons(&self) -> Result<Vec<(String, Horizon)>, StateFault> {
        let horizons = self.0.range(vec![b'h']..vec![b'i']);
        horizons
            .map(|item| {
                let (key, value) = item?;
                Ok((String::from_utf8_lossy(&key[1..]).into_owned(), self.0.decode(&key, &value)?))
            })
            .collect()
    }

    /// Who has `source`, if it was ever moved. Ask before reading it.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn custody(&self, source: &str) -> Result<Option<Custody>, StateFault> {
        self.0.get(&key(b'm', source))
    }

    /// Every source that was ever moved, and who has it.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn custodies(&self) -> Result<Vec<(String, Custody)>, StateFault> {
        let moved = self.0.range(vec![b'm']..vec![b'n']);
        moved
            .map(|item| {
                let (key, value) = item?;
                Ok((String::from_utf8_lossy(&key[1..]).into_owned(), self.0.decode(&key, &value)?))
            })
            .collect()
    }

    pub(crate) fn put_custody(&self, source: &str, custody: &Custody) -> Result<(), StateFault> {
        self.0.put(&key(b'm', source), custody)
    }

    /// In one: `source` is in other hands, and cannot be resumed here.
    pub(crate) fn give_away(&self, source: &str, custody: &Custody) -> Result<(), StateFault> {
        let moved = self.put_of(key(b'm', source), custody)?;
        let gone = |kind| (key(kind, source), None);
        self.0.apply(&[moved, gone(b'c'), gone(b'h'), gone(b'u')])
    }

    /// In one: `source` is in these hands, and is resumed here.
    pub(crate) fn take_in(
        &self,
        source: &str,
        custody: &Custody,
        checkpoint: &Checkpoint,
        doubt: Option<&Horizon>,
    ) -> Result<(), StateFault> {
        let mut changes =
            vec![self.put_of(key(b'm', source), custody)?, self.put_of(key(b'c', source), checkpoint)?];
        if let Some(doubt) = doubt {
            changes.push(self.put_of(key(b'u', source), doubt)?);
        }
        self.0.apply(&changes)
    }

    fn put_of<T: Encode>(&self, key: Vec<u8>, value: &T) -> Result<Change, StateFault> {
        let value = self.0.encode(&key, value)?;
        Ok((key, Some(value)))
    }

    pub(crate) fn put_checkpoint(&self, source: &str, checkpoint: &Checkpoint) -> Result<(), StateFault> {
        self.0.put(&key(b'c', source), checkpoint)
    }

    pub(crate) fn put_horizon(&self, source: &str, horizon: Option<&Horizon>) -> Result<(), StateFault> {
        self.put_place(b'h', source, horizon)
    }

    pub(crate) fn put_doubt(&self, source: &str, doubt: Option<&Horizon>) -> Result<(), StateFault> {
        self.put_place(b'u', source, doubt)
    }

    fn put_place(&self, kind: u8, source: &str, place: Option<&Horizon>) -> Result<(), StateFault> {
        let key = key(kind, source);
        match place {
            Some(place) => self.0.put(&key, place),
            None => self.0.remove(&key),
        }
    }
}

pub(crate) fn key(kind: u8, source: &str) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(source.as_bytes());
    key
}
