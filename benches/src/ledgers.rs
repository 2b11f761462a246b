//! Open ledgers in directories of their own, as durable and as full as a benchmark asks for.

use std::{fs, io, path::Path, time::Duration};

use futures::executor::block_on;
use state::{
    BodyDigest, Clock, CommitOptions, Durability, Ledger, LedgerKey, LedgerThread, Record, Store,
    StoreOptions,
};
use tempfile::TempDir;

use crate::{corpus::Ids, must};

/// How many records one commit takes while a ledger is filled; the default of `state.commit_max`.
const BATCH: u64 = 512;

/// How many entries are filled in between two words about it.
const REPORTED: u64 = 1_000_000;

/// An open ledger. Its directory goes with it.
#[derive(Debug)]
pub struct Books {
    /// The ledger.
    pub ledger: Ledger,
    thread: LedgerThread,
    dir: TempDir,
}

/// How a state directory is opened here.
#[must_use]
pub fn options(durability: Durability) -> StoreOptions {
    StoreOptions { durability, dedupe_window: 7 * 86_400_000, cache: 40 << 20, clock: Clock::System }
}

/// That `event_id` was delivered to broker 0.
#[must_use]
pub fn delivered(event_id: &str) -> Record {
    let (key, digest) = (LedgerKey::new("broker-0", event_id), BodyDigest::of(event_id.as_bytes()));
    Record::Delivered { key, digest, failed_attempts: 0, spilled: None }
}

impl Books {
    /// An empty ledger that commits up to `commit_max` records at once and waits up to `linger` for so many.
    #[must_use]
    pub fn open(durability: Durability, commit_max: usize, linger: Duration) -> Self {
        let dir = must(TempDir::new());
        let commits = CommitOptions { commit_max, linger, inbox_max: 1 << 16 };
        let store = must(Store::open(dir.path(), options(durability)));
        let (ledger, thread) = must(Ledger::start(store, commits));
        Self { ledger, thread, dir }
    }

    /// One that waits for nothing: a lone record would measure the wait for company.
    #[must_use]
    pub fn prompt(durability: Durability) -> Self {
        Self::open(durability, 512, Duration::ZERO)
    }

    /// One that holds the entries of the events below `entries`. Says how far it is on standard error.
    #[must_use]
    pub fn filled(entries: u64, ids: Ids) -> Self {
        let books = Self::prompt(Durability::Process);
        for start in (0..entries).step_by(BATCH as usize) {
            let batch = start..(start + BATCH).min(entries);
            if start / REPORTED != batch.end / REPORTED {
                say(&format!("filling the ledger: {} of {entries} entries", batch.end));
            }
            books.commit(batch.map(|number| delivered(&ids.id(number))).collect());
        }
        books
    }

    /// Puts all of these on record, in one commit.
    pub fn commit(&self, records: Vec<Record>) {
        must(block_on(self.ledger.record_all(records)));
    }

    /// A copy of its directory as a process leaves it that ends without notice: everything written is flushed, nothing
    /// is closed.
    #[must_use]
    pub fn abandoned(&self) -> TempDir {
        copied(self.dir.path())
    }

    /// Closes it; the directory goes when what is given is dropped.
    #[must_use]
    pub fn close(self) -> TempDir {
        let Self { ledger, thread, dir } = self;
        drop(ledger);
        must(thread.join());
        dir
    }
}

/// A copy of a state directory.
#[must_use]
pub fn copied(from: &Path) -> TempDir {
    let copy = must(TempDir::new());
    must(copy_into(from, copy.path()));
    copy
}

fn copy_into(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&target)?;
            copy_into(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

#[allow(clippy::print_stderr, reason = "filling millions takes minutes, and whoever waits should know")]
fn say(words: &str) {
    eprintln!("{words}");
}
