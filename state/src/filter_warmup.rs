//! Fills the filters of the ledger's trees after a start, on a thread of its own. Until it is done every look-up reads
//! the trees; deliveries do not wait for it.
//!
//! It verifies each value's checksum and counts the entries: a damaged value or a missing entry is a fault, because
//! deliveries would be repeated. It takes at most half of a core. It ends when it is done or dropped; dropping it waits
//! for that.

use std::{
    io,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use tokio::time::Instant;

use crate::{buckets::UnscannedTrees, fault::StateFault, ledger_status::LedgerStatus, store::Store};

/// How many keys are read at a time: about a millisecond of work.
const STEP: usize = 1_024;

/// The thread; none if every tree has its filter.
#[derive(Debug)]
pub(crate) struct FilterWarmup(Option<(Arc<AtomicBool>, JoinHandle<()>)>);

impl FilterWarmup {
    /// Starts a scan of the ledger's trees that have no filter yet. A fault goes to `ledger_status`.
    ///
    /// # Errors
    /// The system's, if there can be no thread.
    pub(crate) fn start(store: &Store, ledger_status: LedgerStatus) -> io::Result<Self> {
        let unknown = store.buckets.unscanned();
        if unknown.is_empty() {
            return Ok(Self(None));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let body = move || {
            let learnt = panic::catch_unwind(AssertUnwindSafe(|| warm_up(unknown, &stopped)));
            let learnt = learnt.unwrap_or_else(|payload| {
                Err(StateFault::panicked("the thread that scans the ledger", &*payload))
            });
            if let Err(fault) = learnt {
                tracing::error!(%fault, "the ledger cannot be scanned");
                ledger_status.fail(fault);
            }
        };
        let thread = thread::Builder::new().name("filter".to_owned()).spawn(body)?;
        Ok(Self(Some((stop, thread))))
    }
}

impl Drop for FilterWarmup {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            stop.store(true, Ordering::Relaxed);
            thread.thread().unpark();
            // It catches its own panics.
            let _panicked = thread.join();
        }
    }
}

fn warm_up(unknown: UnscannedTrees, stopped: &AtomicBool) -> Result<(), StateFault> {
    let (started, mut last) = (Instant::now(), Instant::now());
    let go_on = || {
        // Pauses as long as the read took, which keeps it at half of a core.
        thread::park_timeout(last.elapsed());
        last = Instant::now();
        !stopped.load(Ordering::Relaxed)
    };
    if unknown.scan(STEP, go_on)? {
        let seconds = started.elapsed().as_secs_f64();
        tracing::info!(seconds, "the ledger has been scanned: new events need no look-up");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Clock, Durability, StoreOptions, outcome::LedgerKey, record::Record};

    fn open(dir: &std::path::Path) -> Store {
        let options = StoreOptions {
            durability: Durability::Process,
            dedupe_window: 86_400_000,
            cache: 8 << 20,
            clock: Clock::System,
        };
        Store::open(dir, options).unwrap()
    }

    fn delivered(number: u64) -> Record {
        let id = format!("e{number}");
        let digest = crate::BodyDigest::of(id.as_bytes());
        Record::Delivered { key: LedgerKey::new("acme", &id), digest, failed_attempts: 0, spilled: None }
    }

    #[test]
    fn what_it_learns_denies_nothing_that_is_there_and_the_directory_can_be_opened_again_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        assert!(
            FilterWarmup::start(&store, LedgerStatus::default()).unwrap().0.is_none(),
            "there is nothing to learn of a new directory"
        );
        let records: Vec<_> = (0..5_000).map(delivered).collect();
        store.put_all(&records).unwrap();
        drop(store);
        for patient in [false, true] {
            let store = open(dir.path());
            let warmup = FilterWarmup::start(&store, LedgerStatus::default()).unwrap();
            while patient && !store.buckets.unscanned().is_empty() {
                thread::park_timeout(Duration::from_millis(1));
            }
            drop(warmup);
            let there =
                |number| store.look_up(&LedgerKey::new("acme", &format!("e{number}"))).unwrap().is_some();
            assert!((0..5_000).all(there) && !there(5_000));
        }
    }
}
