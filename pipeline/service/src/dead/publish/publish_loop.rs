//! The publishing loop: reads a page of durable letters, and reads the next one only after the cluster has accepted
//! all of it and the progress is recorded.
//!
//! Logs once when the cluster is lost, once more when the reason changes, and once when it is back.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use state::{Ledger, Record, StateFault};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{
    counts::DeadTopicCounts,
    page::{Batches, Page, PageBounds, spread},
    topic::{FaultKind, PartitionWriter, PublishFault, Topic},
};
use fluvio_engine::Backoff;

/// How long to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Until {
    /// For ever: more letters will come.
    Stopped,
    /// Until all that are there are published.
    Drained,
    /// Not at all.
    Now,
}

/// How the cluster is dealt with.
#[derive(Clone, Debug)]
pub(super) struct PublishOptions {
    /// Where the cluster is, for the log.
    pub(super) endpoint: String,
    /// How long it may take to say how many partitions there are.
    pub(super) timeout: Duration,
    pub(super) bounds: PageBounds,
}

/// Publishing at work.
pub(super) struct PublishLoop<T: Topic> {
    topic: T,
    ledger: Ledger,
    options: PublishOptions,
    backoff: Backoff,
    counts: Arc<DeadTopicCounts>,
    until: watch::Receiver<Until>,
    /// How long that was when it was last looked at.
    seen: Until,
    /// One for each partition.
    writers: Vec<T::PartitionWriter>,
    /// Whether the number of partitions is known: asked at the beginning, and after anything that went wrong.
    counted: bool,
    /// What of the page the cluster does not have yet, by partition, and the page's length and end.
    in_flight: Option<(Vec<Batches>, u64, u64)>,
    /// Since when nothing works, and why, as it was last told.
    trouble: Option<(Instant, FaultKind)>,
}

impl<T: Topic> PublishLoop<T> {
    pub(super) fn new(
        topic: T,
        ledger: Ledger,
        options: PublishOptions,
        backoff: Backoff,
        counts: Arc<DeadTopicCounts>,
        until: watch::Receiver<Until>,
    ) -> Self {
        let (writers, counted, in_flight, trouble) = (Vec::new(), false, None, None);
        let seen = Until::Stopped;
        Self { topic, ledger, options, backoff, counts, until, seen, writers, counted, in_flight, trouble }
    }

    /// Publishes for as long as it is to go on.
    ///
    /// # Errors
    /// A fault of the state: the letters cannot be read, or it cannot be recorded how far they went.
    pub(super) async fn run(mut self) -> Result<(), StateFault> {
        let mut durable = self.ledger.store().dead_letters().durable();
        let mut at = self.ledger.store().dead_letters().published();
        loop {
            let to = *durable.borrow_and_update();
            self.seen = *self.until.borrow_and_update();
            let is_done = at >= to && self.in_flight.is_none();
            let is_over = self.seen == Until::Now || (self.seen == Until::Drained && is_done);
            if is_over || self.until.has_changed().is_err() {
                return Ok(());
            }
            if !self.counted {
                match self.count().await {
                    // With letters on their way only their being taken says that it works: the controller answers
                    // while a leader is away.
                    Ok(()) if is_done => self.note_success(),
                    Ok(()) => {}
                    Err(fault) => self.wait_after(&fault).await,
                }
                continue;
            }
            if is_done {
                tokio::select! {
                    // Neither can be gone: the ledger is held here, and the other end waits for this.
                    _ = durable.changed() => {}
                    _ = self.until.changed() => {}
                }
                continue;
            }
            if self.in_flight.is_none() {
                self.take_page(at, to).await?;
            }
            match self.send().await {
                Ok(Some(reached)) => at = reached,
                Ok(None) => {}
                Err(SendError::Cluster(fault)) => self.wait_after(&fault).await,
                Err(SendError::State(fault)) => return Err(fault),
            }
        }
    }

    /// Asks how many partitions there are. If that has changed, what is on its way is spread anew: it may go out twice.
    async fn count(&mut self) -> Result<(), PublishFault> {
        let after = self.options.timeout;
        let count = tokio::select! {
            count = timeout(after, self.topic.count()) => {
                count.unwrap_or(Err(PublishFault::Silent(after)))?.max(1)
            }
            () = reached(&mut self.until, Until::Now) => return Ok(()),
        };
        if self.writers.len() != count as usize {
            self.writers = (0..count).map(|partition| self.topic.writer(partition)).collect();
            self.in_flight = None;
        }
        self.counted = true;
        Ok(())
    }

    async fn take_page(&mut self, after: u64, to: u64) -> Result<(), StateFault> {
        let (store, bounds) = (self.ledger.store().clone(), self.options.bounds);
        // Letters are as long as records may be: reading a page can take a while.
        let read = tokio::task::spawn_blocking(move || Page::read(&store, after, to, bounds));
        let page = read.await.map_err(StateFault::interrupted)??;
        let count = u32::try_from(self.writers.len()).unwrap_or(u32::MAX);
        self.in_flight = Some((
            spread(&page.values, count, |key, count| self.topic.partition_of(key, count)),
            page.values.len() as u64,
            page.to,
        ));
        Ok(())
    }

    /// Sends what is on its way, to all partitions at once; the place reached, once all of it is there and recorded.
    async fn send(&mut self) -> Result<Option<u64>, SendError> {
        let Some((batches, letters, to)) = &mut self.in_flight else { return Ok(None) };
        let (letters, to) = (*letters, *to);
        let sending = self.writers.iter_mut().zip(batches).map(|(writer, batches)| send_all(writer, batches));
        let sent = tokio::select! {
            sent = join_all(sending) => sent,
            () = reached(&mut self.until, Until::Now) => return Ok(None),
        };
        sent.into_iter().collect::<Result<(), _>>().map_err(SendError::Cluster)?;
        let _proof = self.ledger.record(Record::LettersPublished(to)).await.map_err(SendError::State)?;
        self.in_flight = None;
        self.counts.add(letters);
        self.note_success();
        Ok(Some(to))
    }

    fn note_success(&mut self) {
        self.counts.connected(true);
        self.backoff.reset();
        if let Some((since, _)) = self.trouble.take() {
            let endpoint = &self.options.endpoint;
            tracing::info!(%endpoint, after = ?since.elapsed(), "dead letters are published again");
        }
    }

    /// Says what went wrong, if that is new, and waits for a while.
    async fn wait_after(&mut self, fault: &PublishFault) {
        let (kind, endpoint) = (fault.kind(), &self.options.endpoint);
        let is_news = self.trouble.is_none_or(|(_, logged)| logged != kind);
        if is_news {
            tracing::warn!(%endpoint, %fault, "dead letters cannot be published; they wait in the state directory");
        } else {
            tracing::debug!(%endpoint, %fault, "dead letters still cannot be published");
        }
        let since = self.trouble.map_or_else(Instant::now, |(since, _)| since);
        self.trouble = Some((since, kind));
        self.counts.connected(false);
        self.counted = false;
        let seen = self.seen;
        tokio::select! {
            () = sleep(self.backoff.pause()) => {}
            // Who is about to end tries once more at once, and with short pauses.
            _ = self.until.wait_for(|now| *now != seen) => self.backoff.reset(),
        }
    }
}

/// Why a page is not there yet.
enum SendError {
    Cluster(PublishFault),
    State(StateFault),
}

/// Sends `batches` one after the other; those that are there are taken out.
async fn send_all(writer: &mut impl PartitionWriter, batches: &mut Batches) -> Result<(), PublishFault> {
    while let Some(batch) = batches.front() {
        writer.add(batch).await?;
        batches.pop_front();
    }
    Ok(())
}

/// Returns once `until` is reached; never if nobody is left to say so.
async fn reached(watched: &mut watch::Receiver<Until>, until: Until) {
    let open = watched.wait_for(|now| *now >= until).await.is_ok();
    if !open {
        std::future::pending::<()>().await;
    }
}
