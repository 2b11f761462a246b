//! Writes the undamaged entries of a damaged directory to a new one, one commit at a time, as the records that a run
//! writes. Without a new directory it does nothing.

use bytes::Bytes;

use crate::{
    dead_letter::DeadLetter,
    fault::StateFault,
    intake_log::{IntakePost, IntakeRecord},
    intake_place::IntakePlace,
    outcome::{LedgerEntry, LedgerKey},
    record::Record,
    spilled::SpilledDelivery,
    store::Store,
};

/// The most entries of one commit.
const COMMIT_MAX: usize = 4_096;
/// The most bytes of deliveries and letters in one commit.
const BYTES_MAX: usize = 8 << 20;

/// The entries of the next commit to the new directory.
#[derive(Debug)]
pub(crate) struct Salvage<'t> {
    to: Option<&'t Store>,
    records: Vec<Record>,
    entries: Vec<(LedgerKey, LedgerEntry)>,
    bare: Vec<(&'static str, Vec<u8>, Vec<u8>)>,
    bytes: usize,
    /// The place of the next posted record: records behind a lost one move up.
    next: Option<IntakePlace>,
    /// The first fault of the new directory.
    fault: Option<StateFault>,
}

impl<'t> Salvage<'t> {
    pub(crate) fn new(to: Option<&'t Store>) -> Self {
        Self {
            to,
            records: Vec::new(),
            entries: Vec::new(),
            bare: Vec::new(),
            bytes: 0,
            next: None,
            fault: None,
        }
    }

    pub(crate) fn delivery(&mut self, delivery: SpilledDelivery) {
        self.bytes += delivery.event.body.len();
        self.record(Record::Spilled(Box::new(delivery)));
    }

    pub(crate) fn letter(&mut self, letter: DeadLetter) {
        self.bytes += letter.body.len();
        self.record(Record::DeadLettered { letter: Box::new(letter), key: None, spilled: None });
    }

    pub(crate) fn posted(&mut self, record: &IntakeRecord) {
        let IntakeRecord { at, body, .. } = record;
        let first = self.next.unwrap_or_else(|| record.place());
        self.next = Some(first.after(body.len()));
        self.bytes += body.len();
        let post = IntakePost { first, at: *at, records: vec![Bytes::clone(body)] };
        self.record(Record::Accepted(post));
    }

    pub(crate) fn entry(&mut self, key: &LedgerKey, entry: LedgerEntry) {
        if self.to.is_some() {
            self.entries.push((key.clone(), entry));
        }
        self.write_if_full();
    }

    /// An entry of `sources`, `brokers` or `unresolved`, which is copied unchanged.
    pub(crate) fn bare(&mut self, tree: &'static str, key: &[u8], value: &[u8]) {
        if self.to.is_some() {
            self.bare.push((tree, key.to_vec(), value.to_vec()));
        }
        self.write_if_full();
    }

    fn record(&mut self, record: Record) {
        if self.to.is_some() {
            self.records.push(record);
        }
        self.write_if_full();
    }

    fn write_if_full(&mut self) {
        let entries = self.records.len() + self.entries.len() + self.bare.len();
        if entries >= COMMIT_MAX || self.bytes >= BYTES_MAX {
            let written = self.write();
            self.fault = self.fault.take().or(written.err());
        }
    }

    fn write(&mut self) -> Result<(), StateFault> {
        let (records, entries) = (std::mem::take(&mut self.records), std::mem::take(&mut self.entries));
        let bare = std::mem::take(&mut self.bare);
        self.bytes = 0;
        let Some(to) = self.to.filter(|_| self.fault.is_none()) else { return Ok(()) };
        to.put_all(&records)?;
        if entries.is_empty() && bare.is_empty() {
            return Ok(());
        }
        to.commit(|_now| {
            for (key, entry) in entries {
                to.buckets.insert_at(&to.db, entry.at, key.as_bytes(), &entry.to_bytes()?)?;
            }
            for (tree, key, value) in bare {
                let table = match tree {
                    "sources" => to.sources.table(),
                    "brokers" => to.brokers.table(),
                    _ => to.unresolved.table(),
                };
                table.put_encoded(&key, &value)?;
            }
            Ok(())
        })
    }

    /// Writes the rest.
    ///
    /// # Errors
    /// The first fault of the new directory, after which nothing was written.
    pub(crate) fn finish(mut self) -> Result<(), StateFault> {
        let written = self.write();
        self.fault.map_or(written, Err)
    }
}
