//! What is stored of each source: how far it has been settled (checkpoint), how far it may have been read (horizon),
//! up to where an earlier run may have sent it without a more exact trace (doubt), its files, and which directory
//! owns it if it was moved.

use std::ops::Range;

use crate::{
    checkpoint::{Checkpoint, Horizon},
    codec::Layout,
    fault::StateFault,
    ownership::Ownership,
    source_files::{FileLoss, FileRecord, KnownFile, SourceFiles},
    storage::Change,
    table::Table,
};

/// How many files before the checkpoint are stored: more than a directory of rotated files has.
const KNOWN_FILES_MAX: usize = 512;
/// How many losses are stored.
const LOSSES_MAX: usize = 32;

/// The stored state of all sources.
#[derive(Clone, Debug)]
pub struct Sources(Table);

impl Sources {
    pub(crate) fn new(table: Table) -> Self {
        Self(table.with_digests(|_| &[]))
    }

    pub(crate) fn table(&self) -> &Table {
        &self.0
    }

    /// Where `source` resumes; none if nothing of it was ever settled.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn checkpoint(&self, source: &str) -> Result<Option<Checkpoint>, StateFault> {
        self.0.get(&key(b'c', source))
    }

    /// Every source with a checkpoint, and the checkpoint.
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

    /// Up to where an earlier run without a usable journal may have sent `source`; none once a run has passed it.
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

    /// Who owns `source`, if it was ever moved. Check before reading it.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn ownership(&self, source: &str) -> Result<Option<Ownership>, StateFault> {
        self.0.get(&key(b'm', source))
    }

    /// Every source that was ever moved, and its owner.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn ownerships(&self) -> Result<Vec<(String, Ownership)>, StateFault> {
        let moved = self.0.range(vec![b'm']..vec![b'n']);
        moved
            .map(|item| {
                let (key, value) = item?;
                Ok((String::from_utf8_lossy(&key[1..]).into_owned(), self.0.decode(&key, &value)?))
            })
            .collect()
    }

    /// Every source all of whose waiting deliveries are in a log outside: what is on disk of them is a copy.
    pub(crate) fn followed(&self) -> Result<Vec<String>, StateFault> {
        let followed = self.0.range(vec![b'o']..vec![b'p']);
        followed
            .map(|item| {
                let (key, value) = item?;
                self.0.decode::<bool>(&key, &value)?;
                Ok(String::from_utf8_lossy(&key[1..]).into_owned())
            })
            .collect()
    }

    /// Whether `source` is one of those.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn is_followed(&self, source: &str) -> Result<bool, StateFault> {
        Ok(self.0.get::<bool>(&key(b'o', source))?.is_some())
    }

    /// What is stored of the files of `source`.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn files(&self, source: &str) -> Result<SourceFiles, StateFault> {
        Ok(SourceFiles {
            home: self.0.get(&key(b'g', source))?,
            met: self.all(of(b'f', source))?,
            lost: self.losses(source)?,
        })
    }

    /// The last losses of the files of `source`.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn losses(&self, source: &str) -> Result<Vec<FileLoss>, StateFault> {
        self.all(of(b'l', source))
    }

    fn all<T: Layout>(&self, keys: Range<Vec<u8>>) -> Result<Vec<T>, StateFault> {
        let found = self.0.range(keys).map(|item| {
            let (key, value) = item?;
            self.0.decode(&key, &value)
        });
        found.collect()
    }

    /// What can be forgotten: files long before the checkpoint, and old losses.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn forgettable(&self, source: &str) -> Result<Vec<FileRecord>, StateFault> {
        let settled = self.checkpoint(source)?.map_or(0, |checkpoint| checkpoint.epoch);
        let met: Vec<KnownFile> =
            self.all(numbered(b'f', source, &[0])..numbered(b'f', source, &[settled]))?;
        let lost = self.losses(source)?;
        let met = met[..met.len().saturating_sub(KNOWN_FILES_MAX)]
            .iter()
            .map(|met| FileRecord::ForgetKnown(met.epoch));
        let lost = &lost[..lost.len().saturating_sub(LOSSES_MAX)];
        Ok(met.chain(lost.iter().map(|loss| FileRecord::ForgetLost(loss.epoch, loss.from))).collect())
    }

    pub(crate) fn put_file(&self, source: &str, file: &FileRecord) -> Result<(), StateFault> {
        let key = file_key(source, file);
        match file {
            FileRecord::Directory(home) => self.0.put(&key, home),
            FileRecord::Known(met) => self.0.put(&key, met),
            FileRecord::Lost(loss) => self.0.put(&key, loss),
            FileRecord::ForgetKnown(_) | FileRecord::ForgetLost(..) => self.0.remove(&key),
        }
    }

    pub(crate) fn put_followed(&self, source: &str, followed: bool) -> Result<(), StateFault> {
        if followed { self.0.put(&key(b'o', source), &true) } else { self.0.remove(&key(b'o', source)) }
    }

    pub(crate) fn put_ownership(&self, source: &str, ownership: &Ownership) -> Result<(), StateFault> {
        self.0.put(&key(b'm', source), ownership)
    }

    /// In one write: `source` is owned elsewhere, and cannot be resumed here.
    pub(crate) fn give_away(&self, source: &str, ownership: &Ownership) -> Result<(), StateFault> {
        let moved = self.put_of(key(b'm', source), ownership)?;
        let gone = |kind| (key(kind, source), None);
        self.0.apply(&[moved, gone(b'c'), gone(b'h'), gone(b'u')])
    }

    /// In one write: `source` is owned here, and is resumed here.
    pub(crate) fn take_in(
        &self,
        source: &str,
        ownership: &Ownership,
        checkpoint: &Checkpoint,
        doubt: Option<&Horizon>,
    ) -> Result<(), StateFault> {
        let mut changes =
            vec![self.put_of(key(b'm', source), ownership)?, self.put_of(key(b'c', source), checkpoint)?];
        if let Some(doubt) = doubt {
            changes.push(self.put_of(key(b'u', source), doubt)?);
        }
        self.0.apply(&changes)
    }

    fn put_of<T: Layout>(&self, key: Vec<u8>, value: &T) -> Result<Change, StateFault> {
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

/// The key of a numbered entry of a source. No source name has the zero byte that separates the parts.
fn numbered(kind: u8, source: &str, numbers: &[u64]) -> Vec<u8> {
    let mut key = key(kind, source);
    key.push(0);
    numbers.iter().for_each(|number| key.extend_from_slice(&number.to_be_bytes()));
    key
}

/// The key of an entry of a source's files.
pub(crate) fn file_key(source: &str, file: &FileRecord) -> Vec<u8> {
    match file {
        FileRecord::Directory(_) => key(b'g', source),
        FileRecord::Known(KnownFile { epoch, .. }) | FileRecord::ForgetKnown(epoch) => {
            numbered(b'f', source, &[*epoch])
        }
        FileRecord::Lost(FileLoss { epoch, from, .. }) | FileRecord::ForgetLost(epoch, from) => {
            numbered(b'l', source, &[*epoch, *from])
        }
    }
}

/// The range of a source's numbered keys of this kind.
fn of(kind: u8, source: &str) -> Range<Vec<u8>> {
    let mut end = key(kind, source);
    end.push(1);
    numbered(kind, source, &[])..end
}

pub(crate) fn key(kind: u8, source: &str) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(source.as_bytes());
    key
}

#[cfg(test)]
mod tests {
    use crate::{
        Durability, FileLoss, FileRecord, KnownFile, Record, SourceDirectory, Store, checkpoint::Checkpoint,
    };

    #[test]
    fn files_are_kept_by_their_epochs_and_what_is_not_settled_is_never_forgettable() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), crate::tests::options(Durability::Process)).unwrap();
        let met = |epoch| KnownFile { epoch, mark: vec![7; 35], len: None };
        let put = |record| store.put_all(&[Record::File("file:e".into(), record)]).unwrap();
        put(FileRecord::Directory(SourceDirectory { directory: 9, before: vec![vec![1, 2]] }));
        (0..600).for_each(|epoch| put(FileRecord::Known(met(epoch))));
        put(FileRecord::Known(KnownFile { len: Some(12), ..met(3) }));
        let other = Record::File("file:e2".into(), FileRecord::Known(met(0)));
        store.put_all(&[other]).unwrap();

        assert_eq!(store.sources().forgettable("file:e").unwrap(), []);
        let files = store.sources().files("file:e").unwrap();
        assert_eq!((files.met.len(), files.met[3].len, files.met[599].epoch), (600, Some(12), 599));
        assert_eq!(files.home.unwrap().before, [[1, 2]]);

        let checkpoint = Checkpoint { epoch: 590, offset: 0, mark: Vec::new() };
        store.put_all(&[Record::Checkpoint("file:e".into(), checkpoint)]).unwrap();
        let forget = || store.sources().forgettable("file:e").unwrap().into_iter().for_each(put);
        forget();
        let epochs: Vec<_> = store.sources().files("file:e").unwrap().met;
        assert_eq!(
            (epochs[0].epoch, epochs.len()),
            (590 - super::KNOWN_FILES_MAX as u64, super::KNOWN_FILES_MAX + 10)
        );

        let loss = |epoch| FileLoss { epoch, from: 5, at: 1, what: "gone".to_owned() };
        (0..40).for_each(|epoch| put(FileRecord::Lost(loss(epoch))));
        put(FileRecord::Lost(loss(39)));
        forget();
        let lost = store.sources().files("file:e").unwrap().lost;
        assert_eq!((lost.len(), lost[0].epoch), (super::LOSSES_MAX, 8));
        assert_eq!(store.sources().checkpoints().unwrap().len(), 1);
    }
}
