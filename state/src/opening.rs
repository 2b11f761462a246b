//! Opens a state directory: what is found is verified before anything is changed, and what a crash has left unfinished is
//! completed or removed.

use std::{path::Path, sync::Arc};

use parking_lot::Mutex;

use crate::{
    brokers::Brokers,
    buckets::Buckets,
    commit_marker::{CommitMarker, kept},
    dead_letter_order::DeadLetterOrder,
    dead_letters::DeadLetters,
    durability,
    fault::{StateFault, io_fault},
    in_doubt,
    intake_log::{self, IntakeLog},
    overtaken::{self, Overtaken},
    partition_transfer,
    permissions::{close_to_others, make_directory},
    sources::Sources,
    spill::Spill,
    storage::{
        Database, Directory, Lock, SimulatedDisk, guarded, lock, open_database, remove_unfinished_snapshots,
    },
    store::{FORMAT, MONOTONIC_TIME, Store, StoreOptions},
    table::Table,
    unfinished_letters,
    unresolved::{self, Unresolved},
};

/// The ledger's filter may take the cache's size divided by this, beside the cache: the store needs some hundred
/// bytes for an entry, the filter two.
const FILTER_SHARE: u64 = 2;

impl Store {
    /// Opens the state directory at `path`, and creates it if it does not exist.
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
        let files = Directory::at(Arc::from(path));
        Self::over(db.clone(), files, options, lock).inspect_err(|fault| {
            if fault.keeps_open() {
                // As in `never_close`: the database keeps all of its trees open.
                db.never_close();
            }
        })
    }

    /// Opens the state directory on `disk`, for tests.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_simulated(disk: &SimulatedDisk, options: StoreOptions) -> Result<Self, StateFault> {
        let files = Directory::simulated(disk.clone());
        let lock = disk.lock().ok_or_else(|| StateFault::Locked { path: files.path().to_path_buf() })?;
        Self::over(Database::Simulated(disk.clone()), files, options, Lock::Simulated { _held: lock })
    }

    /// The state directory whose database is open.
    fn over(db: Database, files: Directory, options: StoreOptions, lock: Lock) -> Result<Self, StateFault> {
        let path = files.path().clone();
        let open = |name| Table::open(&db, name, &path);
        let meta = open("meta")?;
        let dead = DeadLetters::new(open("dead")?, DeadLetterOrder::open(open("dead-order")?)?);
        let format = found_format(&meta, &path)?;
        if matches!(format, Some(1 | 2)) {
            dead.put_in_order()?;
            // Letters on disk were flushed by the version that wrote them.
            dead.flushed();
        }
        let overtaken = Overtaken::open(open(overtaken::TREE)?)?;
        overtaken.complete(dead.iter())?;
        let seal = CommitMarker::open(meta.clone(), &files, options.durability)?;
        let kept = kept(&meta)?;
        let accepted = kept.get(&("intake".to_owned(), Box::default())).map_or(0, |kept| kept.tally.entries);
        let sources = Sources::new(open("sources")?);
        let settled = sources.checkpoint(intake_log::SOURCE)?;
        let filter_max = options.cache / FILTER_SHARE;
        let clock = options.clock.clone().resumed(meta.get(MONOTONIC_TIME)?);
        let store = Self {
            buckets: Arc::new(Buckets::open(
                &db,
                meta.clone(),
                (&path, options.dedupe_window),
                filter_max,
                &kept,
                clock.monotonic(),
            )?),
            spill: Spill::new(open("spill")?),
            dead,
            overtaken,
            intake: Arc::new(IntakeLog::open(&db, &path, settled.as_ref(), accepted)?),
            sources,
            brokers: Brokers::new(open("brokers")?),
            unresolved: Arc::new(Unresolved::open(open(unresolved::TREE)?)?),
            path: path.clone(),
            files,
            db,
            options,
            seal: Arc::new(Mutex::new(seal)),
            meta: meta.clone(),
            clock,
            _lock: Arc::new(lock),
        };
        let begun = store.verify(format, &meta)?;
        if format.is_none() {
            store.begin_anew()?;
        }
        // Only after verification: a damaged directory is not changed.
        store.digested().into_iter().try_for_each(Table::sweep)?;
        store.intake.sweep()?;
        unfinished_letters::remove(&store, &begun)?;
        partition_transfer::recover(&store)?;
        in_doubt::take_over(&store)?;
        Ok(store)
    }

    /// Makes what a new directory begins with outlive a loss of power, whatever the durability: a first run that loses the
    /// power before it has written anything else begins anew, and nothing else looks like it.
    fn begin_anew(&self) -> Result<(), StateFault> {
        self.commit_marker().begin_anew()?;
        guarded(&self.path, || self.db.flush())?;
        durability::sync_once(&self.db, &self.path.join("sled")).map_err(|error| io_fault(&self.path, &error))
    }
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
