//! The ledger thread: writes the records of many tasks in the order in which they were sent, makes them durable with
//! one shared flush, and answers each sender with a proof.
//!
//! Guarantees: a proof exists only after the flush (and sync) that covers its record, and after the log outside has what it
//! must know of it. A record is written after all
//! that were sent before it. After the first fault nothing more is written or proven, and whoever follows
//! [`LedgerStatus`] gets that fault. A panic is treated as a fault.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{sync::mpsc, time::Instant};

use crate::{
    appends::{Appends, answer},
    commit_request::CommitRequest,
    durability::Syncer,
    fault::{StateFault, io_fault},
    filter_warmup::FilterWarmup,
    following::{Changes, Following},
    histogram::{Histogram, Latency},
    journal::Journal,
    ledger_status::{Activity, LedgerStatus},
    storage::guarded,
    store::Store,
    watchdog::Watchdog,
};

/// How commits are grouped.
#[derive(Clone, Copy, Debug)]
pub struct CommitOptions {
    /// The most messages one commit takes.
    pub commit_max: usize,
    /// How long a commit waits for further messages after its first.
    pub linger: Duration,
    /// The most messages that may wait for a commit. More than deliveries can be in flight, so that recording never
    /// has to wait for room and keeps its order.
    pub inbox_max: usize,
}

/// What the ledger thread has done so far; cheap to read at any time.
#[derive(Debug)]
pub struct CommitStats {
    commits: AtomicU64,
    records: AtomicU64,
    busy_micros: AtomicU64,
    latency: Histogram,
}

impl Default for CommitStats {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self { commits: zero(), records: zero(), busy_micros: zero(), latency: Histogram::of_steps() }
    }
}

impl CommitStats {
    /// Commits, each with one flush.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Records written.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Microseconds spent writing, flushing and syncing.
    #[must_use]
    pub fn busy_micros(&self) -> u64 {
        self.busy_micros.load(Ordering::Relaxed)
    }

    /// How long commits took: writing, flushing and syncing.
    #[must_use]
    pub fn latency(&self) -> Latency {
        self.latency.read()
    }
}

/// The ledger thread's name in faults.
const LEDGER: &str = "the ledger thread";

/// The ledger thread; ends when the last [`Ledger`](crate::Ledger) is gone.
#[derive(Debug)]
pub struct LedgerThread(thread::JoinHandle<Result<(), StateFault>>);

impl LedgerThread {
    /// Waits for the thread to write what it has been given, flush and end.
    ///
    /// # Errors
    /// The fault that ended it early.
    pub fn join(self) -> Result<(), StateFault> {
        self.0.join().unwrap_or_else(|payload| Err(StateFault::panicked(LEDGER, &*payload)))
    }
}

/// What the ledger thread needs beside the store.
pub(crate) struct LedgerSetup {
    pub(crate) options: CommitOptions,
    /// How long one commit may take.
    pub(crate) limit: Duration,
    pub(crate) stats: Arc<CommitStats>,
    pub(crate) ledger_status: LedgerStatus,
    pub(crate) journal: Arc<Journal>,
    /// Where the changes of partitions go, too.
    pub(crate) following: Option<Following>,
}

/// How long the log outside is waited for once nobody is left who could record anything.
const LEAVE_MAX: Duration = Duration::from_secs(10);

/// How long the ledger is scanned before anything is delivered: enough for about a million entries. A missing entry
/// can cost a repeat but no delivery, so a start need not wait for a larger ledger.
const VERIFY_MAX: Duration = Duration::from_secs(1);

/// How many of its entries are read between two checks of the time.
const VERIFY_STEP: usize = 1_024;

pub(crate) fn start(
    store: Store,
    LedgerSetup { options, limit, stats, ledger_status, journal, following }: LedgerSetup,
) -> Result<(mpsc::Sender<CommitRequest>, LedgerThread), StateFault> {
    let syncer = store.syncer()?;
    let path = store.path.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| io_fault(&path, &error))?;
    let (inbox, commits) = mpsc::channel(options.inbox_max);
    let started = Instant::now();
    // The rest is scanned while deliveries run.
    store.buckets.unscanned().scan(VERIFY_STEP, || started.elapsed() < VERIFY_MAX)?;
    let warmup =
        FilterWarmup::start(&store, ledger_status.clone()).map_err(|error| io_fault(&path, &error))?;
    let watchdog = Watchdog::start(store.clone(), ledger_status.clone(), limit)
        .map_err(|error| io_fault(&path, &error))?;
    let body = move || {
        // Outlives the writer, so that the database is still open when a fault has ended it.
        let kept = store.clone();
        let ledger_status_of = ledger_status.clone();
        let writer = Writer { store, syncer, stats, ledger_status: ledger_status_of, journal, following };
        let ended = panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(run(commits, writer, options))));
        let ended = ended.unwrap_or_else(|payload| Err(StateFault::panicked(LEDGER, &*payload)));
        if let Err(fault) = &ended {
            kept.never_close();
            tracing::error!(%fault, "the ledger cannot write: nothing more is settled");
            ledger_status.fail(fault.clone());
        }
        drop((warmup, watchdog));
        ended
    };
    let thread = thread::Builder::new().name("ledger".to_owned()).spawn(body);
    Ok((inbox, LedgerThread(thread.map_err(|error| io_fault(&path, &error))?)))
}

/// The same work as a future, for a caller that runs everything on one thread: without the filter warm-up and the
/// watchdog.
pub(crate) fn start_inline(
    store: Store,
    LedgerSetup { options, stats, ledger_status, journal, following, .. }: LedgerSetup,
) -> Result<
    (mpsc::Sender<CommitRequest>, impl Future<Output = Result<(), StateFault>> + Send + use<>),
    StateFault,
> {
    let syncer = store.syncer()?;
    let (inbox, commits) = mpsc::channel(options.inbox_max);
    store.buckets.unscanned().scan(VERIFY_STEP, || true)?;
    let writer = Writer { store, syncer, stats, ledger_status: ledger_status.clone(), journal, following };
    let work = async move {
        let ended = run(commits, writer, options).await;
        ended.inspect_err(|fault| ledger_status.fail(fault.clone()))
    };
    Ok((inbox, work))
}

async fn run(
    mut commits: mpsc::Receiver<CommitRequest>,
    mut writer: Writer,
    options: CommitOptions,
) -> Result<(), StateFault> {
    let mut batch = Vec::with_capacity(options.commit_max);
    let mut appends = Appends::new(writer.following.clone());
    let ended = loop {
        tokio::select! {
            biased;
            answered = appends.step(), if !appends.is_empty() => {
                if let Err(fault) = answered {
                    break Err(fault);
                }
            }
            more = collect(&mut commits, &mut batch, options), if !appends.is_full() => {
                if !more {
                    break Ok(());
                }
                match writer.commit(&batch).await {
                    Ok(changes) => appends.take(&mut batch, changes),
                    Err(fault) => break Err(fault),
                }
            }
        }
    };
    if let Err(fault) = ended {
        // First, so that nobody who learns of the fault closes the database.
        writer.store.never_close();
        writer.ledger_status.fail(fault.clone());
        answer(batch, &Err(fault.clone()));
        appends.fail(&fault);
        return Err(fault);
    }
    let rest = async {
        while !appends.is_empty() {
            appends.step().await?;
        }
        Ok(())
    };
    // Nobody waits for an answer any more, and a log that is away must not keep the process.
    tokio::time::timeout(LEAVE_MAX, rest).await.unwrap_or(Ok(()))?;
    writer.finish()
}

/// How often a waiting commit counts its messages: a timer's own granularity.
const LINGER_POLL: Duration = Duration::from_millis(1);

/// Fills `batch` for one commit; false once every sender is gone. May be dropped at any time: what has been received stays
/// in `batch`. Between the first record and the end of the linger
/// nothing is received: each record would wake this thread, which costs both sides a system call.
async fn collect(
    commits: &mut mpsc::Receiver<CommitRequest>,
    batch: &mut Vec<CommitRequest>,
    options: CommitOptions,
) -> bool {
    if batch.is_empty() && commits.recv_many(batch, options.commit_max).await == 0 {
        return false;
    }
    let deadline = Instant::now() + options.linger;
    // If all senders are gone no more can come.
    while batch.len() + commits.len() < options.commit_max
        && !commits.is_closed()
        && Instant::now() < deadline
    {
        tokio::time::sleep_until(deadline.min(Instant::now() + LINGER_POLL)).await;
    }
    while batch.len() < options.commit_max
        && let Ok(commit) = commits.try_recv()
    {
        batch.push(commit);
    }
    true
}

/// Lets simulated time pass; a real flush takes real time.
async fn wait(latency: Option<Duration>) {
    if let Some(latency) = latency {
        tokio::time::sleep(latency).await;
    }
}

struct Writer {
    store: Store,
    syncer: Syncer,
    stats: Arc<CommitStats>,
    ledger_status: LedgerStatus,
    journal: Arc<Journal>,
    following: Option<Following>,
}

impl Writer {
    /// Writes the batch and flushes once; gives what the log outside must know of it before anyone is answered.
    async fn commit(&mut self, batch: &[CommitRequest]) -> Result<Changes, StateFault> {
        // After a fault elsewhere, such as a panic of one of the store's own threads, nothing more is written.
        if let Some(fault) = self.ledger_status.fault() {
            return Err(fault);
        }
        let started = Instant::now();
        let now = self.store.clock().monotonic();
        self.ledger_status.set(Activity::Expire);
        self.store.buckets.rotate(&self.store.db, now)?;
        self.store.intake.trim(&self.store.db, now)?;
        self.ledger_status.set(Activity::Commit);
        let all = batch.iter().flat_map(|commit| commit.records.as_slice());
        let touched = self.store.touched(all)?;
        self.store.commit_marker().begin(touched)?;
        self.store.keep_time()?;
        let mut changes = Changes::of(self.following.as_ref(), self.store.clock());
        let mut records = 0;
        for commit in batch {
            let these = commit.records.as_slice();
            these.iter().try_for_each(|record| record.write(&self.store, now, &mut changes))?;
            records += these.len() as u64;
        }
        self.store.close()?;
        // Half of the simulated time passes before the flush, half between the flush and the answers.
        let latency = self.store.db.simulated_latency().map(|latency| latency / 2);
        wait(latency).await;
        self.flush()?;
        wait(latency).await;
        self.store.commit_marker().finish().map_err(|error| io_fault(&self.store.path, &error))?;
        self.store.intake.flushed();
        self.store.dead.flushed();
        // Before the answers, so that a caller with a proof finds its record counted.
        self.stats.commits.fetch_add(1, Ordering::Relaxed);
        self.stats.records.fetch_add(records, Ordering::Relaxed);
        let busy = started.elapsed();
        self.stats.latency.note(busy);
        let busy = u64::try_from(busy.as_micros()).unwrap_or(u64::MAX);
        self.stats.busy_micros.fetch_add(busy, Ordering::Relaxed);
        self.ledger_status.set(Activity::Idle);
        Ok(changes)
    }

    fn flush(&mut self) -> Result<(), StateFault> {
        guarded(&self.store.path, || self.store.db.flush())?;
        self.syncer.sync().map_err(|error| io_fault(&self.store.path, &error))
    }

    fn finish(mut self) -> Result<(), StateFault> {
        self.ledger_status.set(Activity::Commit);
        self.store.keep_time()?;
        self.flush()?;
        // After the outcomes, which release their slots.
        self.journal.close()?;
        self.ledger_status.set(Activity::Idle);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::{commit_request::Records, record::Record};

    const OPTIONS: CommitOptions =
        CommitOptions { commit_max: 4, linger: Duration::from_secs(60), inbox_max: 8 };

    fn commit() -> CommitRequest {
        let records = Records::One(Record::DrainHorizon("acme".into(), 1));
        CommitRequest { records, reply: oneshot::channel().0 }
    }

    /// How many of `count` are collected, and how long that takes.
    async fn collected(count: usize, keep_sender: bool) -> (usize, Duration) {
        let (inbox, mut commits) = mpsc::channel(OPTIONS.inbox_max);
        for _ in 0..count {
            inbox.try_send(commit()).unwrap();
        }
        let sender = keep_sender.then_some(inbox);
        let (mut batch, started) = (Vec::new(), Instant::now());
        assert!(collect(&mut commits, &mut batch, OPTIONS).await);
        drop(sender);
        (batch.len(), started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_waits_for_company_unless_it_is_full_or_nobody_is_left() {
        assert_eq!(collected(2, true).await, (2, OPTIONS.linger));
        assert_eq!(collected(2, false).await, (2, Duration::ZERO));
        assert_eq!(collected(6, true).await, (4, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_while_a_commit_waits_goes_with_it_at_once_when_it_is_full() {
        let (inbox, mut commits) = mpsc::channel(OPTIONS.inbox_max);
        inbox.try_send(commit()).unwrap();
        let (mut batch, started) = (Vec::new(), Instant::now());
        let later = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            (0..4).for_each(|_| inbox.try_send(commit()).unwrap());
        };
        let (more, ()) = tokio::join!(collect(&mut commits, &mut batch, OPTIONS), later);
        assert!(more && batch.len() == 4 && commits.len() == 1);
        assert!(started.elapsed() <= Duration::from_secs(5) + LINGER_POLL);
    }
}
