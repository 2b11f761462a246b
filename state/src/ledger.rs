//! The ledger: what each broker has been given. Answers look-ups, grants claims, and sends records to the ledger
//! thread, which answers with a proof once they are durable.

use std::{sync::Arc, time::Duration};

use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};

use crate::{
    claims::{Claim, Claims},
    commit::{self, CommitOptions, CommitStats, LedgerSetup, LedgerThread},
    commit_request::{CommitRequest, Recorded, Records},
    fault::StateFault,
    following::Following,
    journal::Journal,
    ledger_status::LedgerStatus,
    outcome::{LedgerEntry, LedgerKey},
    partition_log::PartitionLog,
    record::Record,
    store::Store,
};

/// A handle on the ledger; clones share it.
#[derive(Clone, Debug)]
pub struct Ledger {
    store: Store,
    inbox: mpsc::Sender<CommitRequest>,
    claims: Arc<Claims>,
    journal: Arc<Journal>,
    stats: Arc<CommitStats>,
    ledger_status: LedgerStatus,
    pub(crate) following: Option<Following>,
}

impl Ledger {
    /// How long one commit may take by default.
    pub const COMMIT_TIMEOUT: Duration = Duration::from_secs(30);

    /// Starts the ledger thread over `store`.
    ///
    /// # Errors
    /// A fault if the thread cannot be started or the log file cannot be opened for syncing.
    pub fn start(store: Store, options: CommitOptions) -> Result<(Self, LedgerThread), StateFault> {
        Self::start_within(store, options, Self::COMMIT_TIMEOUT)
    }

    /// As [`Ledger::start`]; a commit that takes longer than `limit` is a fault.
    ///
    /// # Errors
    /// As [`Ledger::start`].
    pub fn start_within(
        store: Store,
        options: CommitOptions,
        limit: Duration,
    ) -> Result<(Self, LedgerThread), StateFault> {
        Self::start_with(store, options, limit, None, commit::start)
    }

    /// As [`Ledger::start_within`]; what changes of partitions that this process [holds](Self::hold) also goes to `log`, and
    /// nothing of them is proven before it is there. What an earlier run has left of such partitions on disk is dropped: the
    /// log says what is true of them.
    ///
    /// # Errors
    /// As [`Ledger::start`].
    pub fn start_following(
        store: Store,
        options: CommitOptions,
        limit: Duration,
        log: Arc<dyn PartitionLog>,
    ) -> Result<(Self, LedgerThread), StateFault> {
        Self::start_with(store, options, limit, Some(log), commit::start)
    }

    /// As [`Ledger::start`] without threads: the ledger works while the caller polls the future, which ends when the
    /// last [`Ledger`] is dropped. For simulations, which run everything on one thread; without a watchdog.
    ///
    /// # Errors
    /// As [`Ledger::start`]; the future's are those of [`LedgerThread::join`].
    pub fn start_inline(
        store: Store,
        options: CommitOptions,
    ) -> Result<(Self, impl Future<Output = Result<(), StateFault>> + Send + use<>), StateFault> {
        Self::start_with(store, options, Self::COMMIT_TIMEOUT, None, commit::start_inline)
    }

    /// As [`Ledger::start_following`] without threads.
    ///
    /// # Errors
    /// As [`Ledger::start_inline`].
    pub fn start_inline_following(
        store: Store,
        options: CommitOptions,
        log: Arc<dyn PartitionLog>,
    ) -> Result<(Self, impl Future<Output = Result<(), StateFault>> + Send + use<>), StateFault> {
        Self::start_with(store, options, Self::COMMIT_TIMEOUT, Some(log), commit::start_inline)
    }

    fn start_with<Work>(
        store: Store,
        options: CommitOptions,
        limit: Duration,
        log: Option<Arc<dyn PartitionLog>>,
        start: impl FnOnce(Store, LedgerSetup) -> Result<(mpsc::Sender<CommitRequest>, Work), StateFault>,
    ) -> Result<(Self, Work), StateFault> {
        let (stats, ledger_status) = (Arc::new(CommitStats::default()), LedgerStatus::default());
        store.begin_following(log.is_some())?;
        let following = log.map(Following::new);
        // Every delivery in the journal is in memory, and fewer are in memory than records may wait.
        let journal = Arc::new(Journal::begin(&store.files, options.inbox_max)?);
        let claims = Arc::new(Claims::new(journal.clone(), store.unresolved.clone()));
        let (stats_of, status_of) = (stats.clone(), ledger_status.clone());
        let with = LedgerSetup {
            options,
            limit,
            stats: stats_of,
            ledger_status: status_of,
            journal: journal.clone(),
            following: following.clone(),
        };
        let (inbox, work) = start(store.clone(), with)?;
        Ok((Self { store, inbox, claims, journal, stats, ledger_status, following }, work))
    }

    /// Claims the right to deliver `key`; waits while another delivery of it is under way.
    pub async fn claim(&self, key: LedgerKey) -> Claim {
        self.claims.claim(key).await
    }

    /// The entry of `key`. Call while holding the claim: then the answer is durable, because a claim is held until
    /// its outcome is flushed.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn look_up(&self, key: &LedgerKey) -> Result<Option<LedgerEntry>, StateFault> {
        self.store.look_up(key)
    }

    /// Records `record`; the proof is returned once it is durable. Its place in the order of writes is that of the
    /// call, not of the await.
    ///
    /// # Errors
    /// The fault that ended the ledger thread, or [`StateFault::Overrun`].
    pub fn record(
        &self,
        record: Record,
    ) -> impl Future<Output = Result<Recorded, StateFault>> + Send + use<> {
        // A duplicate of a settled delivery changes nothing: its first outcome is durable already.
        let is_noop = |record: &Record| matches!(record, Record::Noop { spilled: None });
        let noted = match &record {
            // Here; where the state of its partition goes it may not be.
            Record::OfPartition(origin, record) => {
                !origin.waits && is_noop(record) && !self.holds(&origin.position.source)
            }
            record => is_noop(record),
        };
        let submitted = (!noted).then(|| self.submit(Records::One(record)));
        let ledger_status = self.ledger_status.clone();
        async move {
            match submitted {
                None => Ok(Recorded::already_durable()),
                Some(submitted) => submitted?.await.map_err(|_| closed(&ledger_status))?,
            }
        }
    }

    /// Records `records`, in this order and in one commit, with one proof each.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub fn record_all(
        &self,
        records: Vec<Record>,
    ) -> impl Future<Output = Result<Vec<Recorded>, StateFault>> + Send + use<> {
        let count = records.len();
        let submitted = self.submit(Records::Many(records));
        let ledger_status = self.ledger_status.clone();
        async move {
            let _of_all = submitted?.await.map_err(|_| closed(&ledger_status))??;
            Ok((0..count).map(|_| Recorded::already_durable()).collect())
        }
    }

    /// Puts on record that these may have been sent, and are forgotten without an outcome. From the call on, whoever claims
    /// one of them is told so.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub fn forget(
        &self,
        keys: Vec<LedgerKey>,
    ) -> impl Future<Output = Result<(), StateFault>> + Send + use<> {
        keys.iter().for_each(|key| self.store.unresolved.note(key));
        let recorded = self.record_all(keys.into_iter().map(Record::Forgotten).collect());
        async move { recorded.await.map(drop) }
    }

    /// Returns once everything is durable that was put on record before this was called: then a look-up knows of it.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub fn flushed(&self) -> impl Future<Output = Result<(), StateFault>> + Send + use<> {
        let nothing_more = self.record_all(Vec::new());
        async move { nothing_more.await.map(drop) }
    }

    pub(crate) fn submit(
        &self,
        records: Records,
    ) -> Result<oneshot::Receiver<Result<Recorded, StateFault>>, StateFault> {
        // Before it is written, so that a later event of the load that is delivered meanwhile is noticed.
        records.letters().for_each(|letter| self.store.overtaken.note(letter));
        let (reply, proof) = oneshot::channel();
        match self.inbox.try_send(CommitRequest { records, reply }) {
            Ok(()) => Ok(proof),
            Err(TrySendError::Full(_)) => Err(StateFault::Overrun { bound: self.inbox.max_capacity() }),
            Err(TrySendError::Closed(_)) => Err(closed(&self.ledger_status)),
        }
    }

    /// How many deliveries may have been sent and have no recorded outcome.
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

    /// The ledger thread's status: a line ends with the fault that it reports.
    #[must_use]
    pub fn status(&self) -> &LedgerStatus {
        &self.ledger_status
    }

    /// Whether the ledger thread has ended, which while a line runs means that it met a fault.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inbox.is_closed() || self.ledger_status.fault().is_some()
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

/// The fault of a call after the thread has ended.
fn closed(ledger_status: &LedgerStatus) -> StateFault {
    ledger_status.fault().unwrap_or(StateFault::Closed)
}
