//! The ledger thread: records enter from many tasks, are written in arrival order, and leave as proofs once one shared
//! flush has made them durable.
//!
//! Guarantees: a proof exists only after the flush (and sync) that covers its record; a record is written after all
//! that were sent before it; after the first fault nothing is written or proven any more, and everyone who follows the
//! [`Pulse`] is told of it. A panic is a fault like any other.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    durability::Syncer,
    fault::StateFault,
    guard::guarded,
    histogram::{Histogram, Latency},
    journal::Journal,
    learn::Learner,
    pulse::{Doing, Pulse},
    record::Record,
    store::{Store, io_fault},
    watchdog::Watchdog,
};

/// Proof that a verdict is on record, durably. Made by the ledger alone; settling a ticket takes one.
#[derive(Debug)]
#[must_use = "a proof that settles nothing leaves an offset open"]
pub struct Recorded(());

impl Recorded {
    /// For what the ledger already holds, durably: a duplicate's first outcome.
    pub(crate) fn already() -> Self {
        Self(())
    }
}

/// How commits are grouped.
#[derive(Clone, Copy, Debug)]
pub struct CommitOptions {
    /// The most messages one commit takes.
    pub commit_max: usize,
    /// How long a commit waits for company after its first message.
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

pub(crate) type Reply = oneshot::Sender<Result<Recorded, StateFault>>;

/// Records that are written together, and who wants to know.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) records: Records,
    pub(crate) reply: Reply,
}

/// One record is the rule; several are a batch that shares its proof.
#[derive(Debug)]
pub(crate) enum Records {
    One(Record),
    Many(Vec<Record>),
}

/// The ledger thread's name in faults.
const LEDGER: &str = "the ledger thread";

impl Records {
    fn as_slice(&self) -> &[Record] {
        match self {
            Self::One(record) => std::slice::from_ref(record),
            Self::Many(many) => many,
        }
    }
}

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

/// What the ledger thread is started with, beside the store.
pub(crate) struct Start {
    pub(crate) options: CommitOptions,
    /// How long one commit may take.
    pub(crate) limit: Duration,
    pub(crate) stats: Arc<CommitStats>,
    pub(crate) pulse: Pulse,
    pub(crate) journal: Arc<Journal>,
}

/// How long the ledger is gone through before anything is delivered: time for about a million entries. What is missing in
/// it can cost a repeat, and no delivery, so a start need not wait for a larger one.
const VERIFY_MAX: Duration = Duration::from_secs(1);

/// How many of its entries are read between two looks at the clock.
const VERIFY_STEP: usize = 1_024;

pub(crate) fn start(
    store: Store,
    Start { options, limit, stats, pulse, journal }: Start,
) -> Result<(mpsc::Sender<Commit>, LedgerThread), StateFault> {
    let syncer = store.syncer()?;
    let path = store.path.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| io_fault(&path, &error))?;
    let (inbox, commits) = mpsc::channel(options.inbox_max);
    let started = Instant::now();
    // What is not gone through by then is gone through beside the deliveries.
    store.buckets.unknown().learn(VERIFY_STEP, || started.elapsed() < VERIFY_MAX)?;
    let learner = Learner::start(&store, pulse.clone()).map_err(|error| io_fault(&path, &error))?;
    let watchdog =
        Watchdog::start(store.clone(), pulse.clone(), limit).map_err(|error| io_fault(&path, &error))?;
    let body = move || {
        // Outlives the writer, so that the database is still open when a fault has ended it.
        let kept = store.clone();
        let writer = Writer { store, syncer, stats, pulse: pulse.clone(), journal };
        let ended = panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(run(commits, writer, options))));
        let ended = ended.unwrap_or_else(|payload| Err(StateFault::panicked(LEDGER, &*payload)));
        if let Err(fault) = &ended {
            kept.never_close();
            tracing::error!(%fault, "the ledger cannot write: nothing more is settled");
            pulse.fail(fault.clone());
        }
        drop((learner, watchdog));
        ended
    };
    let thread = thread::Builder::new().name("ledger".to_owned()).spawn(body);
    Ok((inbox, LedgerThread(thread.map_err(|error| io_fault(&path, &error))?)))
}

async fn run(
    mut commits: mpsc::Receiver<Commit>,
    mut writer: Writer,
    options: CommitOptions,
) -> Result<(), StateFault> {
    let mut batch = Vec::with_capacity(options.commit_max);
    while collect(&mut commits, &mut batch, options).await {
        if let Err(fault) = writer.commit(&mut batch) {
            // First, so that nobody closes the database who is told of the fault.
            writer.store.never_close();
            writer.pulse.fail(fault.clone());
            for commit in batch.drain(..) {
                // A caller that has gone away needs no answer.
                let _gone = commit.reply.send(Err(fault.clone()));
            }
            return Err(fault);
        }
    }
    writer.finish()
}

/// How often a commit that waits for company counts it: a timer's own grain.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Fills `batch` with one commit's worth; false once every sender is gone. Between the first record and the end of the
/// linger nothing is received: each record would wake this thread, which costs both sides a system call.
async fn collect(
    commits: &mut mpsc::Receiver<Commit>,
    batch: &mut Vec<Commit>,
    options: CommitOptions,
) -> bool {
    if commits.recv_many(batch, options.commit_max).await == 0 {
        return false;
    }
    let deadline = Instant::now() + options.linger;
    // Nobody is left to wait for if all senders are gone.
    while batch.len() + commits.len() < options.commit_max
        && !commits.is_closed()
        && Instant::now() < deadline
    {
        tokio::time::sleep_until(deadline.min(Instant::now() + LOOK_EVERY)).await;
    }
    while batch.len() < options.commit_max
        && let Ok(commit) = commits.try_recv()
    {
        batch.push(commit);
    }
    true
}

struct Writer {
    store: Store,
    syncer: Syncer,
    stats: Arc<CommitStats>,
    pulse: Pulse,
    journal: Arc<Journal>,
}

impl Writer {
    /// Writes the batch, flushes once, and answers everyone in it. On a fault the batch is left for the caller.
    fn commit(&mut self, batch: &mut Vec<Commit>) -> Result<(), StateFault> {
        // What has gone wrong elsewhere, such as in a panic of the store's own threads, is nothing to go on after.
        if let Some(fault) = self.pulse.fault() {
            return Err(fault);
        }
        let started = Instant::now();
        let now = self.store.clock().lived();
        self.pulse.turn_to(Doing::Expire);
        self.store.buckets.rotate(&self.store.db, now)?;
        self.store.intake.trim(&self.store.db, now)?;
        self.pulse.turn_to(Doing::Commit);
        let all = batch.iter().flat_map(|commit| commit.records.as_slice());
        let touched = self.store.touched(all)?;
        self.store.seal().begin(touched)?;
        self.store.keep_time()?;
        let mut records = 0;
        for commit in batch.iter() {
            let these = commit.records.as_slice();
            these.iter().try_for_each(|record| record.write(&self.store, now))?;
            records += these.len() as u64;
        }
        self.store.close()?;
        self.flush()?;
        self.store.seal().finish().map_err(|error| io_fault(&self.store.path, &error))?;
        self.store.intake.flushed();
        self.store.dead.flushed();
        // Before the answers, so that whoever has one finds its record counted.
        self.stats.commits.fetch_add(1, Ordering::Relaxed);
        self.stats.records.fetch_add(records, Ordering::Relaxed);
        let busy = started.elapsed();
        self.stats.latency.note(busy);
        let busy = u64::try_from(busy.as_micros()).unwrap_or(u64::MAX);
        self.stats.busy_micros.fetch_add(busy, Ordering::Relaxed);
        self.pulse.turn_to(Doing::Nothing);
        for commit in batch.drain(..) {
            // A caller that has gone away (a delivery abandoned at shutdown) needs no proof.
            let _gone = commit.reply.send(Ok(Recorded(())));
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StateFault> {
        guarded(&self.store.path, || self.store.db.flush())?;
        self.syncer.sync().map_err(|error| io_fault(&self.store.path, &error))
    }

    fn finish(mut self) -> Result<(), StateFault> {
        self.pulse.turn_to(Doing::Commit);
        self.store.keep_time()?;
        self.flush()?;
        // Behind the outcomes: what they settle is no longer in it.
        self.journal.close()?;
        self.pulse.turn_to(Doing::Nothing);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: CommitOptions =
        CommitOptions { commit_max: 4, linger: Duration::from_secs(60), inbox_max: 8 };

    fn commit() -> Commit {
        let records = Records::One(Record::DrainHorizon("acme".into(), 1));
        Commit { records, reply: oneshot::channel().0 }
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
        assert!(started.elapsed() <= Duration::from_secs(5) + LOOK_EVERY);
    }
}
