//! The state directory: opened by one process at a time, in a known format, or refused with a reason.
//!
//! Layout: `lock` (held while a process runs), `sled/` (the database), `attempts` (the attempts journal). Trees: `meta`, one
//! `ledger-…` per time bucket, `spill`, `dead`, `dead-order`, `sources`, `brokers`, `unresolved`, and one `intake-…` per
//! segment of the intake log.

use std::{
    fmt,
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};

use crate::{
    access::{close_to_others, make_directory},
    brokers::Brokers,
    buckets::Buckets,
    clock::{Clock, UnixMillis},
    dead_letters::DeadLetters,
    dead_order::DeadOrder,
    doubt,
    durability::{Durability, Syncer},
    fault::StateFault,
    guard::guarded,
    hand_over,
    intake::EmbeddedLog,
    intake_log::IntakeLog,
    outcome::{LedgerEntry, LedgerKey},
    record::Record,
    seal::{Seal, Touched, kept},
    sources::Sources,
    spill::Spill,
    table::Table,
    unresolved::{self, Unresolved},
};

/// The format this version writes; one number for all trees and keys (values carry their own version byte). In format 1
/// no broker was paused and no delivery on disk had a place in a trace; a directory of it is taken over as it is. Before
/// format 3 nobody knew in which order dead letters were recorded; they are put in one when the directory is opened. With
/// the first source that was given away it became 4, for a version that knows no fences would read that source. Since
/// format 5 values stand in envelopes; those from before are read as they are, and get one when they are next written. In it
/// large bodies stand in parts.
pub(crate) const FORMAT: u32 = 5;

/// Where in `meta` is kept how much time was lived; nothing stands there in a directory of an older version.
const LIVED: &[u8] = b"lived";

/// How large a share of the cache's size the ledger's filter may take beside it: the store needs some hundred bytes for
/// an entry that the filter needs two for.
const FILTER_SHARE: u64 = 2;

/// How a state directory is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// What a recorded verdict outlives.
    pub durability: Durability,
    /// How long a ledger entry is kept, in milliseconds.
    pub dedupe_window: u64,
    /// Bytes of sled's page cache; its page table comes on top, and at most half of it for the filter that tells
    /// which events are not in the ledger: about 2 bytes an entry.
    pub cache: u64,
    /// Where the time comes from.
    pub clock: Clock,
}

/// An open state directory.
#[derive(Clone)]
pub struct Store {
    pub(crate) db: sled::Db,
    pub(crate) path: Arc<Path>,
    pub(crate) options: StoreOptions,
    pub(crate) buckets: Arc<Buckets>,
    pub(crate) spill: Spill,
    pub(crate) dead: DeadLetters,
    pub(crate) sources: Sources,
    pub(crate) brokers: Brokers,
    pub(crate) intake: Arc<IntakeLog>,
    pub(crate) unresolved: Arc<Unresolved>,
    seal: Arc<Mutex<Seal>>,
    /// Where the clock is kept.
    meta: Table,
    /// The options' clock with what is kept of it here.
    clock: Clock,
    // Last, so that the lock is given up after the database is closed.
    _lock: Arc<File>,
}

impl Store {
    /// Opens the state directory at `path`, creating it if need be.
    ///
    /// # Errors
    /// [`StateFault::Locked`] if a process has it open, [`StateFault::TooNew`] if a newer version wrote it,
    /// [`StateFault::Damaged`] or [`StateFault::Io`] if it cannot be read or written.
    pub fn open(path: &Path, options: StoreOptions) -> Result<Self, StateFault> {
        make_directory(path).map_err(|error| io_fault(path, &error))?;
        let lock = lock(path)?;
        let database = path.join("sled");
        let own = make_directory(&database).and_then(|()| close_to_others(&database));
        own.map_err(|error| io_fault(&database, &error))?;
        remove_unfinished_snapshots(&database)?;
        let db = open_database(path, &database, options.cache)?;
        Self::over(db.clone(), path, options, lock).inspect_err(|fault| {
            if fault.keeps_open() {
                // As in `never_close`; the database holds all of its trees.
                let _for_ever: &sled::Db = Box::leak(Box::new(db));
            }
        })
    }

    /// The state directory at `path`, whose database is open.
    fn over(db: sled::Db, path: &Path, options: StoreOptions, lock: File) -> Result<Self, StateFault> {
        let path: Arc<Path> = Arc::from(path);
        let open = |name| Table::open(&db, name, &path);
        let meta = open("meta")?;
        let dead = DeadLetters::new(open("dead")?, DeadOrder::open(open("dead-order")?)?);
        let format = found_format(&meta, &path)?;
        if matches!(format, Some(1 | 2)) {
            dead.put_in_order()?;
            // What is on disk already was flushed by the version that wrote it.
            dead.flushed();
        }
        let seal = Seal::open(meta.clone(), &path, options.durability)?;
        let kept = kept(&meta)?;
        let accepted = kept.get(&("intake".to_owned(), Box::default())).map_or(0, |kept| kept.tally.entries);
        let sources = Sources::new(open("sources")?);
        let settled = sources.checkpoint(EmbeddedLog::SOURCE)?;
        let filter_max = options.cache / FILTER_SHARE;
        let clock = options.clock.clone().resumed(meta.get(LIVED)?);
        let store = Self {
            buckets: Arc::new(Buckets::open(
                &db,
                meta.clone(),
                (&path, options.dedupe_window),
                filter_max,
                &kept,
                clock.lived(),
            )?),
            spill: Spill::new(open("spill")?),
            dead,
            intake: Arc::new(IntakeLog::open(&db, &path, settled.as_ref(), accepted)?),
            sources,
            brokers: Brokers::new(open("brokers")?),
            unresolved: Arc::new(Unresolved::open(open(unresolved::TREE)?)?),
            path: path.clone(),
            db,
            options,
            seal: Arc::new(Mutex::new(seal)),
            meta: meta.clone(),
            clock,
            _lock: Arc::new(lock),
        };
        store.verify(format, &meta)?;
        // Not before: what is damaged is left as it is.
        store.accounted().into_iter().try_for_each(Table::sweep)?;
        store.intake.sweep()?;
        hand_over::recover(&store)?;
        doubt::take_over(&store)?;
        Ok(store)
    }

    /// The deliveries waiting on disk.
    #[must_use]
    pub fn spill(&self) -> &Spill {
        &self.spill
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
    pub(crate) fn seal(&self) -> MutexGuard<'_, Seal> {
        self.seal.lock()
    }

    /// What is on record under `key`.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn look_up(&self, key: &LedgerKey) -> Result<Option<LedgerEntry>, StateFault> {
        let value = self.buckets.get(key.as_bytes())?;
        value.map(|value| LedgerEntry::from_bytes(&value)).transpose()
    }

    /// Whether an earlier run may have sent `key`, whose outcome is not on record.
    #[must_use]
    pub fn is_unresolved(&self, key: &LedgerKey) -> bool {
        self.unresolved.contains(key)
    }

    /// Writes `records`, in this order, and returns once they are durable; for tools that work while no line runs.
    ///
    /// # Errors
    /// A fault of the store; then some of them may be written.
    pub fn put_all(&self, records: &[Record]) -> Result<(), StateFault> {
        let touched = self.touched(records.iter())?;
        self.commit_of(touched, |now| records.iter().try_for_each(|record| record.write(self, now)))
    }

    /// Lets `write` write, given the time, and returns once that is durable; never beside a ledger thread.
    ///
    /// # Errors
    /// A fault of the store or of `write`; then some of it may be written.
    pub(crate) fn commit<Fault: Ending>(
        &self,
        write: impl FnOnce(UnixMillis) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.commit_of(Touched::Anything, write)
    }

    /// The same, of which it is known before what it touches.
    fn commit_of<Fault: Ending>(
        &self,
        touched: Touched,
        write: impl FnOnce(UnixMillis) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.commit_once(touched, write).inspect_err(|fault| {
            if fault.keeps_open() {
                self.never_close();
            }
        })
    }

    fn commit_once<Fault: Ending>(
        &self,
        touched: Touched,
        write: impl FnOnce(UnixMillis) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.seal().begin(touched)?;
        self.keep_time()?;
        write(self.clock.lived())?;
        self.close()?;
        guarded(&self.path, || self.db.flush())?;
        self.syncer()?.sync().map_err(|error| io_fault(&self.path, &error))?;
        self.dead.flushed();
        Ok(self.seal().finish().map_err(|error| io_fault(&self.path, &error))?)
    }

    /// The clock of whoever works with this directory: it remembers how much time was lived.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Keeps on disk how much time was lived, if that is due; the ledger thread's alone.
    pub(crate) fn keep_time(&self) -> Result<(), StateFault> {
        self.clock.to_keep().map_or(Ok(()), |kept| self.meta.put(LIVED, &kept))
    }

    /// Keeps the database open until the process ends: after a failed write, closing it waits for a flush that may never
    /// come. Nothing is lost by that: only what was flushed has been promised to anyone, and the next open finds it.
    pub fn never_close(&self) {
        let _for_ever: &Self = Box::leak(Box::new(self.clone()));
    }

    /// The offset behind the last record producers have handed over.
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
        Syncer::open(self.options.durability, &self.path.join("sled"))
            .map_err(|error| io_fault(&self.path, &error))
    }
}

/// How often to ask for a database that is still being closed, a hundredth of a second apart: a helper thread of sled's
/// may be waiting for a slow disk.
const CLOSING_MAX: u32 = 1_000;

/// Opens the database. Whoever holds the directory's own lock is alone with it; but sled's helper threads can keep a
/// database for a moment after this process has dropped it, and sled then says that it is locked.
pub(crate) fn open_database(path: &Path, database: &Path, cache: u64) -> Result<sled::Db, StateFault> {
    for _ in 1..CLOSING_MAX {
        match try_open_database(path, database, cache) {
            Err(StateFault::Io { detail, .. }) if detail.contains("could not acquire lock") => {
                thread::park_timeout(Duration::from_millis(10));
            }
            opened => return opened,
        }
    }
    try_open_database(path, database, cache)
}

fn try_open_database(path: &Path, database: &Path, cache: u64) -> Result<sled::Db, StateFault> {
    let config = sled::Config::new().path(database).cache_capacity(cache).flush_every_ms(None);
    guarded(path, || config.open())
}

pub(crate) fn lock(path: &Path) -> Result<File, StateFault> {
    let file = path.join("lock");
    let lock = File::options().create(true).truncate(false).write(true).mode(0o600).open(&file);
    let lock = lock.map_err(|error| io_fault(&file, &error))?;
    // Who can open it can hold it.
    close_to_others(&file).map_err(|error| io_fault(&file, &error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StateFault::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(io_fault(&file, &error)),
    }
}

/// A kill while sled writes a snapshot can leave `snap.*.generating`, and every later open then fails with
/// `Corruption` (sled issues 1527 and 1533). The file is only a cache of the log: without it nothing is missing.
fn remove_unfinished_snapshots(database: &Path) -> Result<(), StateFault> {
    let entries = match fs::read_dir(database) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_fault(database, &error)),
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path()).map_err(|error| io_fault(&entry.path(), &error))?;
            tracing::warn!(file = %entry.path().display(), "removed an unfinished snapshot left by a killed process");
        }
    }
    Ok(())
}

/// The format of the directory, if it has one yet.
fn found_format(meta: &Table, path: &Path) -> Result<Option<u32>, StateFault> {
    match meta.get::<u32>(b"format")? {
        Some(found) if found > FORMAT => {
            Err(StateFault::TooNew { path: path.to_owned(), found, known: FORMAT })
        }
        Some(0) => Err(StateFault::Damaged { path: path.to_owned(), detail: "format 0".to_owned() }),
        found => Ok(found),
    }
}

/// What a commit can end with.
pub(crate) trait Ending: From<StateFault> {
    /// Whether the database must not be closed after it.
    fn keeps_open(&self) -> bool;
}

impl Ending for StateFault {
    fn keeps_open(&self) -> bool {
        Self::keeps_open(self)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A sled error as a fault of the state directory at `path`.
pub(crate) fn sled_fault(path: &Path, error: sled::Error) -> StateFault {
    let path = PathBuf::from(path);
    match error {
        sled::Error::Io(error) => io_fault(&path, &error),
        sled::Error::Corruption { .. }
        | sled::Error::ReportableBug(_)
        | sled::Error::Unsupported(_)
        | sled::Error::CollectionNotFound(_) => {
            let detail = error.to_string().trim_end_matches(" backtrace ()").to_owned();
            StateFault::Damaged { path, detail }
        }
    }
}

/// An I/O error as a fault of the state directory at `path`.
pub(crate) fn io_fault(path: &Path, error: &io::Error) -> StateFault {
    StateFault::Io { path: path.to_owned(), kind: error.kind(), detail: error.to_string() }
}
