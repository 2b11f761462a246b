//! The log that a simulated source reads: what stands in it, when each entry is appended, and whose it is.

use bytes::Bytes;
use rand::{RngExt, rngs::SmallRng};
use state::Position;

/// What stands at one place of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A new event; its number in the log is its id.
    New {
        /// What it is about.
        load: u64,
    },
    /// The event with this number once more, byte for byte.
    Again {
        /// Its number.
        of: usize,
    },
    /// The id of the event with this number with another body, about the same load.
    Conflict {
        /// Its number.
        of: usize,
    },
    /// Not an event.
    Garbage {
        /// Whose partition it stands in.
        load: u64,
    },
}

/// The log of one simulation. All events of a load are in one partition.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    entries: Vec<Entry>,
    /// When each is appended, in milliseconds since the start; never goes backwards.
    appended: Vec<u64>,
    bodies: Vec<Bytes>,
    /// The partition and the offset of each.
    places: Vec<(usize, u64)>,
    /// The numbers of each partition's entries.
    partitions: Vec<Vec<usize>>,
}

impl Log {
    /// `len` entries over `loads` loads, appended in bursts over `span` milliseconds; some repeat or contradict earlier ones
    /// if there are to be `copies`.
    pub(crate) fn draw(
        rng: &mut SmallRng,
        len: usize,
        loads: u64,
        (partitions, copies): (usize, bool),
        span: u64,
    ) -> Self {
        let mut entries: Vec<Entry> = Vec::with_capacity(len);
        for number in 0..len {
            let of = number
                .checked_sub(rng.random_range(1..=10))
                .filter(|of| copies && matches!(entries[*of], Entry::New { .. }));
            entries.push(match (rng.random_range(0..100), of) {
                (0..12, Some(of)) => Entry::Again { of },
                (12..17, Some(of)) => Entry::Conflict { of },
                (17..20, _) => Entry::Garbage { load: rng.random_range(0..loads) },
                _ => Entry::New { load: rng.random_range(0..loads) },
            });
        }
        let mut appended: Vec<u64> = (0..len).map(|_| rng.random_range(0..8) * span / 8).collect();
        appended.sort_unstable();
        let padding = "x".repeat(rng.random_range(0..600));
        Self::of(entries, appended, partitions, &padding)
    }

    fn of(entries: Vec<Entry>, appended: Vec<u64>, partitions: usize, padding: &str) -> Self {
        let mut log = Self {
            bodies: Vec::with_capacity(entries.len()),
            places: Vec::with_capacity(entries.len()),
            partitions: vec![Vec::new(); partitions],
            entries,
            appended,
        };
        for number in 0..log.len() {
            let partition = (log.load(number) % partitions as u64) as usize;
            log.places.push((partition, log.partitions[partition].len() as u64));
            log.partitions[partition].push(number);
            log.bodies.push(log.make_body(number, padding));
        }
        log
    }

    fn make_body(&self, number: usize, padding: &str) -> Bytes {
        let event = |id: usize, note: &str| {
            let load = self.load(number);
            Bytes::from(format!(
                r#"{{"eventId":"e{id}","loadId":"L{load}","status":"posted","occurredAt":"2026-11-16T11:04:01Z","note":"{note}"}}"#
            ))
        };
        match self.entries[number] {
            Entry::New { .. } => event(number, padding),
            Entry::Again { of } => event(of, padding),
            Entry::Conflict { of } => event(of, "another"),
            Entry::Garbage { .. } => Bytes::from_static(b"{not json"),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn entry(&self, number: usize) -> Entry {
        self.entries[number]
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (usize, Entry)> + '_ {
        self.entries.iter().copied().enumerate()
    }

    pub(crate) fn load(&self, number: usize) -> u64 {
        match self.entries[number] {
            Entry::New { load } | Entry::Garbage { load } => load,
            Entry::Again { of } | Entry::Conflict { of } => self.load(of),
        }
    }

    /// The number of the event that an entry brings first or once more.
    pub(crate) fn original(&self, number: usize) -> usize {
        match self.entries[number] {
            Entry::Again { of } | Entry::Conflict { of } => of,
            Entry::New { .. } | Entry::Garbage { .. } => number,
        }
    }

    pub(crate) fn body(&self, number: usize) -> &Bytes {
        &self.bodies[number]
    }

    pub(crate) fn appended(&self, number: usize) -> u64 {
        self.appended[number]
    }

    /// The partition and the offset of an entry.
    pub(crate) fn place(&self, number: usize) -> (usize, u64) {
        self.places[number]
    }

    /// The number of the entry at this place of a source of any name that ends in its partition's number.
    pub(crate) fn of_position(&self, position: &Position) -> Option<usize> {
        let partition = position.source.rsplit_once('/')?.1.parse().ok()?;
        self.at(partition, position.offset)
    }

    /// How many partitions there are.
    pub(crate) fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// The number of the entry at `offset` of a partition.
    pub(crate) fn at(&self, partition: usize, offset: u64) -> Option<usize> {
        self.partitions.get(partition)?.get(usize::try_from(offset).ok()?).copied()
    }
}

/// The name of a partition's source.
pub(crate) fn source_name(partition: usize) -> String {
    format!("log/{partition}")
}
