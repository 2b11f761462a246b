//! A log of shipment events made for a test, and what has to come of it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures::stream;
use stages::models::RawRecord;
use state::Position;
use tokio_stream::{Stream, StreamExt};

use super::wire::mix;
use crate::source::{Cursor, SourceFault, SourcePartition, SourceRecord};

/// What stands at one place of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A new event: its number is its place.
    New { load: u64 },
    /// The event at that place once more, byte for byte.
    Again { of: u64 },
    /// The id of the event at that place with another body, about the same load.
    Conflict { of: u64 },
    /// The id of the event at that place, about another load.
    Moved { of: u64, load: u64 },
    /// Not an event.
    Garbage,
}

/// A log, and how many bytes each body has beside what it needs.
#[derive(Clone, Debug)]
pub(super) struct Log(pub(super) Vec<Entry>, usize);

impl Log {
    /// `len` new events over `loads` loads, in turn.
    pub(super) fn plain(len: u64, loads: u64) -> Self {
        Self::padded(len, loads, 0)
    }

    /// The same with so many bytes in each body beside the rest.
    pub(super) fn padded(len: u64, loads: u64, padding: usize) -> Self {
        Self((0..len).map(|at| Entry::New { load: at % loads }).collect(), padding)
    }

    /// These entries.
    pub(super) fn of(entries: Vec<Entry>) -> Self {
        Self(entries, 0)
    }

    /// `len` entries of every kind over `loads` loads.
    pub(super) fn mixed(seed: u64, len: u64, loads: u64) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        for at in 0..len {
            let draw = |what: u64, below: u64| mix(seed, &[at, what]) % below;
            let of = at
                .checked_sub(1 + draw(1, 10))
                .filter(|of| matches!(entries[*of as usize], Entry::New { .. }));
            entries.push(match (draw(2, 100), of) {
                (0..12, Some(of)) => Entry::Again { of },
                (12..16, Some(of)) => Entry::Conflict { of },
                (16..20, _) => Entry::Garbage,
                _ => Entry::New { load: draw(3, loads) },
            });
        }
        Self::of(entries)
    }

    pub(super) fn load(&self, at: u64) -> u64 {
        match self.0[at as usize] {
            Entry::New { load } | Entry::Moved { load, .. } => load,
            Entry::Again { of } | Entry::Conflict { of } => self.load(of),
            Entry::Garbage => 0,
        }
    }

    pub(super) fn body(&self, at: u64) -> Bytes {
        let padding = "x".repeat(self.1);
        let event = |id: u64, note: &str| {
            let load = self.load(at);
            let body = format!(
                r#"{{"eventId":"e{id}","loadId":"L{load}","status":"posted","occurredAt":"2026-11-16T11:04:01Z","sequence":{id},"note":"{note}"}}"#
            );
            Bytes::from(body)
        };
        match self.0[at as usize] {
            Entry::New { .. } => event(at, &padding),
            Entry::Again { of } => event(of, &padding),
            Entry::Conflict { of } | Entry::Moved { of, .. } => event(of, "changed"),
            Entry::Garbage => Bytes::from_static(b"{not json"),
        }
    }

    /// For each load, the numbers of its events in log order: what each broker must be given, each once.
    pub(super) fn expected(&self) -> BTreeMap<String, Vec<u64>> {
        let mut expected: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (at, entry) in self.0.iter().enumerate() {
            if let Entry::New { load } = entry {
                expected.entry(format!("L{load}")).or_default().push(at as u64);
            }
        }
        expected
    }

    /// The places of entries that `is` says yes to.
    pub(super) fn places(&self, is: impl Fn(&Entry) -> bool) -> Vec<u64> {
        (0..).zip(&self.0).filter(|(_, entry)| is(entry)).map(|(at, _)| at).collect()
    }
}

/// The log as a source, from a place on; counts what has been read.
#[derive(Debug)]
pub(super) struct LogSource {
    pub(super) log: Arc<Log>,
    pub(super) from: u64,
    pub(super) read: Arc<AtomicU64>,
    pub(super) read_at: u64,
    /// Whether it goes on for ever after its last record, as a log that is followed does.
    pub(super) follows: bool,
}

impl LogSource {
    /// Its one partition.
    pub(super) fn into_partition(
        self,
    ) -> SourcePartition<impl Stream<Item = Result<SourceRecord, SourceFault>> + Send + 'static> {
        let Self { log, from, read, read_at, follows } = self;
        let len = log.0.len() as u64;
        let records = stream::iter(from..len).map(move |at| {
            read.fetch_add(1, Ordering::Relaxed);
            let bytes = log.body(at);
            let position = Position::new("log".into(), 0, at);
            let raw = RawRecord::whole(position, bytes, read_at);
            Ok(SourceRecord { raw, next: Cursor { epoch: 0, offset: at + 1, mark: Arc::from([1]) } })
        });
        let rest = stream::pending().take(usize::from(follows));
        SourcePartition::new("log".into(), records.chain(rest))
    }
}
