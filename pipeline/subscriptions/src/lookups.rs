//! Look-ups by load, many in one query: whoever asks while a query is on its way is part of the next one.
//!
//! Guarantee: an ask is answered by a query that began after it. If a query fails, the same loads are asked for again, over
//! a new connection, until there is an answer.

use std::{collections::VecDeque, fmt, future::pending, sync::Arc};

use stages::{Answer, Subscriber, Subscribers};
use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
    time::{Instant, sleep},
};
use topics::Backoff;

use crate::{
    block::{Ask, Block},
    counts::{Counts, Link},
    fault::DatabaseFault,
    options::Options,
    session::{Connect, Session},
};

/// Answers who subscribes to a load.
pub struct Lookups {
    asks: mpsc::Sender<Ask>,
    wants: mpsc::Sender<oneshot::Sender<()>>,
    counts: Arc<Counts>,
}

impl fmt::Debug for Lookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookups").field("counts", &self.counts).finish_non_exhaustive()
    }
}

impl Lookups {
    pub(crate) fn new(
        asks: mpsc::Sender<Ask>,
        wants: mpsc::Sender<oneshot::Sender<()>>,
        counts: Arc<Counts>,
    ) -> Self {
        Self { asks, wants, counts }
    }
}

impl Subscribers for Lookups {
    fn of_load<'a>(&'a self, load_id: &'a Arc<str>) -> Answer<'a, Arc<[Subscriber]>> {
        Box::pin(async move {
            // No text of the server's has this character, so nobody subscribes; and a query with it would fail for all.
            if load_id.contains('\0') {
                return Arc::default();
            }
            let _waits = self.counts.wait();
            let (reply, answer) = oneshot::channel();
            let sent = self.asks.send(Ask { load_id: load_id.clone(), reply }).await;
            match (sent, answer.await) {
                (Ok(()), Ok(found)) => found,
                // The run is ending.
                _ => pending().await,
            }
        })
    }

    fn brokers_now(&self) -> Answer<'_, ()> {
        Box::pin(async {
            let _waits = self.counts.wait();
            let (reply, answer) = oneshot::channel();
            if self.wants.send(reply).await.is_err() || answer.await.is_err() {
                // The run is ending.
                pending::<()>().await;
            }
        })
    }

    fn unknown(&self, subscriber: &Subscriber) {
        self.counts.found_unknown();
        let Subscriber { broker, row, .. } = subscriber;
        tracing::debug!(%broker, row, "a subscription names a broker that is not in force: it gets nothing");
    }
}

/// Answers `asks` until nobody can ask any more.
pub(crate) async fn answer(
    database: impl Connect,
    options: Options,
    mut asks: mpsc::Receiver<Ask>,
    counts: Arc<Counts>,
) {
    let mut backoff = Backoff::new(options.backoff_min, options.backoff_max);
    let mut session = None;
    let (mut waiting, mut block) = (VecDeque::new(), Block::default());
    loop {
        if waiting.is_empty() && block.loads().is_empty() {
            let Some(first) = asks.recv().await else { return };
            waiting.push_back(first);
            // Whoever is about to ask, too, becomes part of the block.
            yield_now().await;
        }
        while let Ok(ask) = asks.try_recv() {
            waiting.push_back(ask);
        }
        block.fill(&mut waiting, options.block_max);
        if block.loads().is_empty() {
            continue;
        }
        match look_up(&database, &mut session, &mut block, &counts).await {
            Ok(()) => {
                backoff.reset();
                if counts.up(Link::Lookups) {
                    tracing::info!("the subscriptions can be looked up");
                }
            }
            Err(fault) => {
                session = None;
                if counts.down(Link::Lookups, &fault) {
                    tracing::warn!(%fault, "the subscriptions cannot be looked up: events wait to be routed");
                }
                sleep(backoff.pause()).await;
                block.prune();
            }
        }
    }
}

async fn look_up(
    database: &impl Connect,
    session: &mut Option<Box<dyn Session>>,
    block: &mut Block,
    counts: &Counts,
) -> Result<(), DatabaseFault> {
    let session = match session {
        Some(session) => session,
        none => none.insert(database.connect().await?),
    };
    let (began, loads) = (Instant::now(), block.loads().len());
    let rows = session.subscribers(block.loads()).await?;
    let count = rows.len();
    block.answer(rows)?;
    counts.answered(loads, count, began.elapsed());
    Ok(())
}
