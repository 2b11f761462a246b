//! The state directory. One process at a time opens it, and an unknown format is refused with a reason.
//!
//! Layout: `lock` (held while a process runs), `sled/` (the database), `attempts` (the attempts journal), `commits`
//! (the number of the last commit). Trees: `meta`, one `ledger-…` per time bucket, `spill`, `dead`, `dead-order`,
//! `sources`, `brokers`, `unresolved`, and one `intake-…` per segment of the intake log.

use std::{fmt, path::Path, sync::Arc};

use parking_lot::{Mutex, MutexGuard};

use crate::{
    brokers::Brokers,
    buckets::Buckets,
    clock::{Clock, UnixMillis},
    commit_marker::{ChangeSet, CommitMarker},
    dead_letters::DeadLetters,
    durability::{Durability, Syncer},
    fault::{StateFault, io_fault},
    intake_log::IntakeLog,
    outcome::{LedgerEntry, LedgerKey},
    overtaken::Overtaken,
    sources::Sources,
    spill::Spill,
    storage::{Database, Directory, Lock, guarded},
    table::Table,
    unresolved::Unresolved,
};

/// The format this version writes; one number for all trees and keys (values carry their own version byte). All
/// earlier formats are read:
///
/// - 1: no paused brokers, and no trace of a delivery on disk.
/// - 2: both of these.
/// - 3: dead letters have an order; older ones get theirs when the directory is opened.
/// - 4: sources can be exported; a version without fences would read an exported source.
/// - 5: values have envelopes, and large bodies are in parts; older values get an envelope when they are next written.
/// - 6: a record may have several events; what has passed a dead letter is kept; older letters get their rows when the
///   directory is opened.
/// - 7: deliveries and letters may have the row that made them; nothing of an older directory is changed.
pub(crate) const FORMAT: u32 = 7;

/// The key in `meta` of the monotonic time; absent in a directory of an older version.
pub(crate) const MONOTONIC_TIME: &[u8] = b"lived";

/// How a state directory is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Which failures a recorded verdict survives.
    pub durability: Durability,
    /// How long a ledger entry is kept, in milliseconds.
    pub dedupe_window: u64,
    /// Bytes of sled's page cache; its page table comes on top, and at most half of it for the filter that tells
    /// which events are not in the ledger: about 2 bytes an entry.
    pub cache: u64,
    /// The source of time.
    pub clock: Clock,
}

/// An open state directory.
#[derive(Clone)]
pub struct Store {
    pub(crate) db: Database,
    pub(crate) path: Arc<Path>,
    pub(crate) files: Directory,
    pub(crate) options: StoreOptions,
    pub(crate) buckets: Arc<Buckets>,
    pub(crate) spill: Spill,
    pub(crate) dead: DeadLetters,
    pub(crate) overtaken: Overtaken,
    pub(crate) sources: Sources,
    pub(crate) brokers: Brokers,
    pub(crate) intake: Arc<IntakeLog>,
    pub(crate) unresolved: Arc<Unresolved>,
    pub(crate) seal: Arc<Mutex<CommitMarker>>,
    /// The tree with the clock's state.
    pub(crate) meta: Table,
    /// The options' clock, resumed from its state here.
    pub(crate) clock: Clock,
    // Last, so that the lock is released after the database is closed.
    pub(crate) _lock: Arc<Lock>,
}

impl Store {
    /// The deliveries waiting on disk.
    #[must_use]
    pub fn spill(&self) -> &Spill {
        &self.spill
    }

    /// Which later events have passed dead letters of their loads.
    #[must_use]
    pub fn overtaken(&self) -> &Overtaken {
        &self.overtaken
    }

    /// The dead letters.
    #[must_use]
    pub fn dead_letters(&self) -> &DeadLetters {
        &self.dead
    }

    /// How far each source has been settled and read.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Which brokers are disabled, and how far each one's spill has been sent.
    #[must_use]
    pub fn brokers(&self) -> &Brokers {
        &self.brokers
    }

    /// The commit counter; the ledger thread's alone.
    pub(crate) fn commit_marker(&self) -> MutexGuard<'_, CommitMarker> {
        self.seal.lock()
    }

    /// The ledger entry of `key`.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn look_up(&self, key: &LedgerKey) -> Result<Option<LedgerEntry>, StateFault> {
        let value = self.buckets.get(key.as_bytes())?;
        value.map(|value| LedgerEntry::from_bytes(&value)).transpose()
    }

    /// Whether an earlier run may have sent `key` without a recorded outcome.
    #[must_use]
    pub fn is_unresolved(&self, key: &LedgerKey) -> bool {
        self.unresolved.contains(key)
    }

    /// Calls `write` with the time, and returns once its writes are durable. Never beside a ledger thread.
    ///
    /// # Errors
    /// A fault of the store or of `write`; then some of it may be written.
    pub(crate) fn commit<Fault: CommitFault>(
        &self,
        write: impl FnOnce(UnixMillis) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.commit_of(ChangeSet::Unknown, write)
    }

    /// As [`commit`](Self::commit), with the keys it touches known in advance.
    pub(crate) fn commit_of<Fault: CommitFault>(
        &self,
        touched: ChangeSet,
        write: impl FnOnce(UnixMillis) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.commit_once(touched, write).inspect_err(|fault| {
            if fault.keeps_open() {
                self.never_close();
            }
        })
    }

    fn commit_once<Fault: CommitFault>(
        &self,
        touched: ChangeSet,
        write: impl FnOnce(UnixMillis) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.commit_marker().begin(touched)?;
        self.keep_time()?;
        write(self.clock.monotonic())?;
        self.close()?;
        guarded(&self.path, || self.db.flush())?;
        self.syncer()?.sync().map_err(|error| io_fault(&self.path, &error))?;
        self.dead.flushed();
        Ok(self.commit_marker().finish().map_err(|error| io_fault(&self.path, &error))?)
    }

    /// This directory's clock: its monotonic time continues across restarts.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Stores the monotonic time if that is due. Only the ledger thread calls this.
    pub(crate) fn keep_time(&self) -> Result<(), StateFault> {
        self.clock.to_keep().map_or(Ok(()), |kept| self.meta.put(MONOTONIC_TIME, &kept))
    }

    /// Keeps the database open until the process ends: after a failed write, closing it waits for a flush that may
    /// never end. Nothing is lost: only flushed records have been promised, and the next open finds them.
    pub fn never_close(&self) {
        match self.db {
            Database::Sled(_) => {
                let _for_ever: &Self = Box::leak(Box::new(self.clone()));
            }
            // Dropping these never blocks.
            Database::Simulated(_) => {}
        }
    }

    /// The offset behind the last accepted record.
    #[must_use]
    pub fn intake_end(&self) -> u64 {
        *self.intake.durable.borrow()
    }

    /// The state directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A syncer that makes flushed writes as durable as the options say.
    pub(crate) fn syncer(&self) -> Result<Syncer, StateFault> {
        Syncer::open(self.options.durability, &self.db, &self.path.join("sled"))
            .map_err(|error| io_fault(&self.path, &error))
    }
}

/// The error of a commit.
pub(crate) trait CommitFault: From<StateFault> {
    /// Whether the database must not be closed after it.
    fn keeps_open(&self) -> bool;
}

impl CommitFault for StateFault {
    fn keeps_open(&self) -> bool {
        Self::keeps_open(self)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}
