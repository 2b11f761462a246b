//! The ledger: what each broker has been given. Answers look-ups, hands out claims, and takes records to the ledger
//! thread, which proves them durable.

use std::{sync::Arc, time::Duration};

use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};

use crate::{
    claims::{Claim, Claims},
    commit::{self, Commit, CommitOptions, CommitStats, LedgerThread, Recorded, Records, Start},
    fault::StateFault,
    journal::Journal,
    outcome::{LedgerEntry, LedgerKey},
    pulse::Pulse,
    record::Record,
    store::Store,
};

/// A handle on the ledger; clones share it.
#[derive(Clone, Debug)]
pub struct Ledger {
    store: Store,
    inbox: mpsc::Sender<Commit>,
    claims: Arc<Claims>,
    journal: Arc<Journal>,
    stats: Arc<CommitStats>,
    pulse: Pulse,
}

impl Ledger {
    /// How long one commit may take if nothing else is said.
    pub const COMMIT_TIMEOUT: Duration = Duration::from_secs(30);

    /// Starts the ledger thread over `store`.
    ///
    /// # Errors
    /// A fault if the thread cannot be started or the log file cannot be opened for syncing.
    pub fn start(store: Store, options: CommitOptions) -> Result<(Self, LedgerThread), StateFault> {
        Self::start_within(store, options, Self::COMMIT_TIMEOUT)
    }

    /// The same; a commit that takes longer than `limit` is a fault.
    ///
    /// # Errors
    /// As [`Ledger::start`].
    pub fn start_within(
        store: Store,
        options: CommitOptions,
        limit: Duration,
    ) -> Result<(Self, LedgerThread), StateFault> {
        let (stats, pulse) = (Arc::new(CommitStats::default()), Pulse::default());
        // Each delivery in it is in memory, and of those there are fewer than records may wait.
        let journal = Arc::new(Journal::begin(&store.path, options.inbox_max)?);
        let claims = Arc::new(Claims::new(journal.clone(), store.unresolved.clone()));
        let (stats_of, pulse_of) = (stats.clone(), pulse.clone());
        let start = Start { options, limit, stats: stats_of, pulse: pulse_of, journal: journal.clone() };
        let (inbox, thread) = commit::start(store.clone(), start)?;
        Ok((Self { store, inbox, claims, journal, stats, pulse }, thread))
    }

    /// Claims the right to deliver `key`, waiting while another delivery of it is under way.
    pub async fn claim(&self, key: LedgerKey) -> Claim {
        self.claims.claim(key).await
    }

    /// What is on record under `key`. Ask while holding the claim: then the answer is durable, since a claim is held
    /// until its outcome is flushed.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn look_up(&self, key: &LedgerKey) -> Result<Option<LedgerEntry>, StateFault> {
        self.store.look_up(key)
    }

    /// Puts `record` on record; the answer comes once it is durable. The record takes its place in the order of writes
    /// when this is called, not when the answer is awaited.
    ///
    /// # Errors
    /// The fault that ended the ledger thread, or [`StateFault::Overrun`].
    pub fn record(
        &self,
        record: Record,
    ) -> impl Future<Output = Result<Recorded, StateFault>> + Send + use<> {
        // A duplicate of a settled delivery changes nothing: its first outcome is durable already.
        let noted = matches!(record, Record::Noted { spilled: None });
        let submitted = (!noted).then(|| self.submit(Records::One(record)));
        let pulse = self.pulse.clone();
        async move {
            match submitted {
                None => Ok(Recorded::already()),
                Some(submitted) => submitted?.await.map_err(|_| closed(&pulse))?,
            }
        }
    }

    /// Puts `records` on record, in this order and in one commit, with one proof each.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub fn record_all(
        &self,
        records: Vec<Record>,
    ) -> impl Future<Output = Result<Vec<Recorded>, StateFault>> + Send + use<> {
        let count = records.len();
        let submitted = self.submit(Records::Many(records));
        let pulse = self.pulse.clone();
        async move {
            let _of_all = submitted?.await.map_err(|_| closed(&pulse))??;
            Ok((0..count).map(|_| Recorded::already()).collect())
        }
    }

    pub(crate) fn submit(
        &self,
        records: Records,
    ) -> Result<oneshot::Receiver<Result<Recorded, StateFault>>, StateFault> {
        let (reply, proof) = oneshot::channel();
        match self.inbox.try_send(Commit { records, reply }) {
            Ok(()) => Ok(proof),
            Err(TrySendError::Full(_)) => Err(StateFault::Overrun { bound: self.inbox.max_capacity() }),
            Err(TrySendError::Closed(_)) => Err(closed(&self.pulse)),
        }
    }

    /// How many deliveries may have been sent without their outcome's being on record.
    #[must_use]
    pub fn attempts_open(&self) -> usize {
        self.journal.held()
    }

    /// The store beneath.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What the ledger thread has done.
    #[must_use]
    pub fn stats(&self) -> &CommitStats {
        &self.stats
    }

    /// The ledger thread's pulse: whoever runs a line ends it with the fault that the pulse tells of.
    #[must_use]
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Whether the ledger thread has ended, which while a line runs means that it met a fault.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inbox.is_closed() || self.pulse.fault().is_some()
    }

    /// How many entries the ledger holds; visits every one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.store.buckets.len()
    }

    /// Whether the ledger holds no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why nobody answers any more.
fn closed(pulse: &Pulse) -> StateFault {
    pulse.fault().unwrap_or(StateFault::Closed)
}
