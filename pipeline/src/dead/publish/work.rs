//! Publishing at work: letters that are durable enter, a page at a time; the cluster has each of them before the next page
//! is read, and how far that is stands on record.
//!
//! Told in the log once when the cluster is lost, once more when the reason changes, and once when it is back.

use std::{mem, sync::Arc, time::Duration};

use futures::future::join_all;
use state::{Ledger, Record, StateFault};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    counts::PublishCounts,
    page::{Batches, Page, PageBounds, spread},
    topic::{Lane, Topic},
};
use crate::source::{
    ClusterFault,
    cluster::{Backoff, answered},
};

/// How long to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Until {
    /// For ever: more letters will come.
    Ever,
    /// Until all that are there are published.
    Done,
    /// Not at all.
    Now,
}

/// How the cluster is dealt with.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// Where the cluster is, for the log.
    pub(super) endpoint: String,
    /// How long it may take to say how many partitions there are.
    pub(super) timeout: Duration,
    pub(super) bounds: PageBounds,
}

/// Publishing at work.
pub(super) struct Work<T: Topic> {
    topic: T,
    ledger: Ledger,
    pace: Pace,
    backoff: Backoff,
    counts: Arc<PublishCounts>,
    until: watch::Receiver<Until>,
    /// How long that was when it was last looked at.
    seen: Until,
    /// One for each partition.
    lanes: Vec<T::Lane>,
    /// Whether the number of partitions is known: asked at the beginning, and after anything that went wrong.
    counted: bool,
    /// What of the page the cluster does not have yet, by partition, and the page's length and end.
    on_way: Option<(Vec<Batches>, u64, u64)>,
    /// Since when nothing works, and why, as it was last told.
    trouble: Option<(Instant, mem::Discriminant<ClusterFault>)>,
}

impl<T: Topic> Work<T> {
    pub(super) fn new(
        topic: T,
        ledger: Ledger,
        pace: Pace,
        backoff: Backoff,
        counts: Arc<PublishCounts>,
        until: watch::Receiver<Until>,
    ) -> Self {
        let (lanes, counted, on_way, trouble) = (Vec::new(), false, None, None);
        let seen = Until::Ever;
        Self { topic, ledger, pace, backoff, counts, until, seen, lanes, counted, on_way, trouble }
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
            let is_done = at >= to && self.on_way.is_none();
            let is_over = self.seen == Until::Now || (self.seen == Until::Done && is_done);
            if is_over || self.until.has_changed().is_err() {
                return Ok(());
            }
            if !self.counted {
                match self.count().await {
                    // With letters on their way only their being taken says that it works: the controller answers
                    // while a leader is away.
                    Ok(()) if is_done => self.works(),
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
            if self.on_way.is_none() {
                self.take_page(at, to).await?;
            }
            match self.send().await {
                Ok(Some(reached)) => at = reached,
                Ok(None) => {}
                Err(Stopped::Cluster(fault)) => self.wait_after(&fault).await,
                Err(Stopped::State(fault)) => return Err(fault),
            }
        }
    }

    /// Asks how many partitions there are. If that has changed, what is on its way is spread anew: it may go out twice.
    async fn count(&mut self) -> Result<(), ClusterFault> {
        let asked = answered(self.pace.timeout, "the topic's partitions", self.topic.count());
        let count = tokio::select! {
            count = asked => count?.max(1),
            () = told(&mut self.until, Until::Now) => return Ok(()),
        };
        if self.lanes.len() != count as usize {
            self.lanes = (0..count).map(|partition| self.topic.lane(partition)).collect();
            self.on_way = None;
        }
        self.counted = true;
        Ok(())
    }

    async fn take_page(&mut self, after: u64, to: u64) -> Result<(), StateFault> {
        let (store, bounds) = (self.ledger.store().clone(), self.pace.bounds);
        // Letters are as long as records may be: reading a page can take a while.
        let read = tokio::task::spawn_blocking(move || Page::read(&store, after, to, bounds));
        let page = read.await.map_err(StateFault::interrupted)??;
        let count = u32::try_from(self.lanes.len()).unwrap_or(u32::MAX);
        self.on_way = Some((spread(&page.values, count), page.values.len() as u64, page.to));
        Ok(())
    }

    /// Sends what is on its way, to all partitions at once; the place reached, once all of it is there and recorded.
    async fn send(&mut self) -> Result<Option<u64>, Stopped> {
        let Some((batches, letters, to)) = &mut self.on_way else { return Ok(None) };
        let (letters, to) = (*letters, *to);
        let sending = self.lanes.iter_mut().zip(batches).map(|(lane, batches)| send_all(lane, batches));
        let sent = tokio::select! {
            sent = join_all(sending) => sent,
            () = told(&mut self.until, Until::Now) => return Ok(None),
        };
        sent.into_iter().collect::<Result<(), _>>().map_err(Stopped::Cluster)?;
        let _proof = self.ledger.record(Record::LettersPublished(to)).await.map_err(Stopped::State)?;
        self.on_way = None;
        self.counts.add(letters);
        self.works();
        Ok(Some(to))
    }

    fn works(&mut self) {
        self.counts.connected(true);
        self.backoff.reset();
        if let Some((since, _)) = self.trouble.take() {
            let endpoint = &self.pace.endpoint;
            tracing::info!(%endpoint, after = ?since.elapsed(), "dead letters are published again");
        }
    }

    /// Says what went wrong, if that is new, and waits for a while.
    async fn wait_after(&mut self, fault: &ClusterFault) {
        let (kind, endpoint) = (mem::discriminant(fault), &self.pace.endpoint);
        let is_new = self.trouble.is_none_or(|(_, told)| told != kind);
        if is_new {
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
enum Stopped {
    Cluster(ClusterFault),
    State(StateFault),
}

/// Sends `batches` one after the other; those that are there are taken out.
async fn send_all(lane: &mut impl Lane, batches: &mut Batches) -> Result<(), ClusterFault> {
    while let Some(batch) = batches.front() {
        lane.add(batch).await?;
        batches.pop_front();
    }
    Ok(())
}

/// Returns once `until` is reached; never if nobody is left to say so.
async fn told(watched: &mut watch::Receiver<Until>, until: Until) {
    let reached = watched.wait_for(|now| *now >= until).await.is_ok();
    if !reached {
        std::future::pending::<()>().await;
    }
}
