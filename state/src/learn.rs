//! Goes through the ledger's trees after the start, on a thread of its own: until it is done, every event is looked up
//! in the store, and deliveries do not wait for it.
//!
//! Each value is checked against its checksum, and the entries are counted: of a ledger that has lost some, deliveries
//! would be repeated, so that is a fault, as is what it cannot read. It takes half of a core at most. It ends when it is
//! done or dropped; whoever drops it waits for that.

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

use crate::{buckets::Unknown, fault::StateFault, pulse::Pulse, store::Store};

/// How many keys are read at a time: about a millisecond's worth.
const STEP: usize = 1_024;

/// The thread; none if there is nothing to learn.
#[derive(Debug)]
pub(crate) struct Learner(Option<(Arc<AtomicBool>, JoinHandle<()>)>);

impl Learner {
    /// Starts on what `store` does not know of its ledger yet; `pulse` is told of a fault.
    ///
    /// # Errors
    /// The system's, if there can be no thread.
    pub(crate) fn start(store: &Store, pulse: Pulse) -> io::Result<Self> {
        let unknown = store.buckets.unknown();
        if unknown.is_empty() {
            return Ok(Self(None));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let body = move || {
            let learnt = panic::catch_unwind(AssertUnwindSafe(|| learn(unknown, &stopped)));
            let learnt = learnt.unwrap_or_else(|payload| {
                Err(StateFault::panicked("the thread that goes through the ledger", &*payload))
            });
            if let Err(fault) = learnt {
                tracing::error!(%fault, "the ledger cannot be gone through");
                pulse.fail(fault);
            }
        };
        let thread = thread::Builder::new().name("filter".to_owned()).spawn(body)?;
        Ok(Self(Some((stop, thread))))
    }
}

impl Drop for Learner {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            stop.store(true, Ordering::Relaxed);
            thread.thread().unpark();
            // It catches its own panics.
            let _panicked = thread.join();
        }
    }
}

fn learn(unknown: Unknown, stopped: &AtomicBool) -> Result<(), StateFault> {
    let (started, mut last) = (Instant::now(), Instant::now());
    let go_on = || {
        // As long as the keys took, so that deliveries keep most of the machine.
        thread::park_timeout(last.elapsed());
        last = Instant::now();
        !stopped.load(Ordering::Relaxed)
    };
    if unknown.learn(STEP, go_on)? {
        let seconds = started.elapsed().as_secs_f64();
        tracing::info!(seconds, "the ledger has been gone through: new events are known without a look-up");
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
            Learner::start(&store, Pulse::default()).unwrap().0.is_none(),
            "there is nothing to learn of a new directory"
        );
        let records: Vec<_> = (0..5_000).map(delivered).collect();
        store.put_all(&records).unwrap();
        drop(store);
        for patient in [false, true] {
            let store = open(dir.path());
            let learner = Learner::start(&store, Pulse::default()).unwrap();
            while patient && !store.buckets.unknown().is_empty() {
                thread::park_timeout(Duration::from_millis(1));
            }
            drop(learner);
            let there =
                |number| store.look_up(&LedgerKey::new("acme", &format!("e{number}"))).unwrap().is_some();
            assert!((0..5_000).all(there) && !there(5_000));
        }
    }
}
