//! Look-ups by load, many in one query: whoever asks while a query is on its way is part of the next one.
//!
//! Guarantee: an ask is answered by a query that began after it. If a query fails, the same loads are asked for again, over
//! a new connection, until there is an answer. While the database is away, and only then, what was [`LastKnown`] of a load is
//! the answer if the config wants that.

use std::{collections::VecDeque, fmt, future::pending, mem::take, pin::pin, sync::Arc};

use stages::{Answer, Subscriber, Subscribers};
use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
    time::{Instant, sleep},
};
use topics::Backoff;

use crate::{
    block::{Ask, Block, Found, answer_known},
    counts::{Counts, Link},
    fault::DatabaseFault,
    last_known::LastKnown,
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
            // While the database is away, a broker that was unknown when its load was looked up stays so: who waited for it
            // would hold all others.
            if self.counts.is_bridged() {
                return;
            }
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
    asks: mpsc::Receiver<Ask>,
    counts: Arc<Counts>,
) {
    let mut backoff = Backoff::new(options.backoff_min, options.backoff_max);
    let (mut session, mut block) = (None, Block::default());
    let known = LastKnown::new(options.last_known);
    let mut asked = Asked { asks, waiting: VecDeque::new(), known, counts };
    loop {
        if asked.gather(&block).await.is_err() {
            return;
        }
        block.fill(&mut asked.waiting, options.block_max);
        // While it is away it is tried although nobody waits for it.
        if block.loads().is_empty() && !asked.known.answers() {
            continue;
        }
        let began = Instant::now();
        let counts = asked.counts.clone();
        let Ok(tried) = asked.during(look_up(&database, &mut session, &mut block, &counts)).await else {
            return;
        };
        match tried {
            Ok(found) => {
                backoff.reset();
                asked.known.found(found, began);
                asked.tell();
                if counts.up(Link::Lookups) {
                    tracing::info!("the subscriptions can be looked up");
                }
            }
            Err(fault) => {
                session = None;
                asked.failed(&fault, &mut block);
                if asked.during(sleep(backoff.pause())).await.is_err() {
                    return;
                }
                block.prune();
            }
        }
    }
}

/// Nobody can ask any more.
struct Over;

/// Those who ask and wait, and what may be answered without the database.
struct Asked {
    asks: mpsc::Receiver<Ask>,
    waiting: VecDeque<Ask>,
    known: LastKnown,
    counts: Arc<Counts>,
}

impl Asked {
    /// Takes in whoever asks; waits for the first one if there is nothing else to do.
    async fn gather(&mut self, block: &Block) -> Result<(), Over> {
        if self.waiting.is_empty() && block.loads().is_empty() && !self.known.answers() {
            let first = self.asks.recv().await.ok_or(Over)?;
            self.waiting.push_back(first);
            // Whoever is about to ask, too, becomes part of the block.
            yield_now().await;
        }
        while let Ok(ask) = self.asks.try_recv() {
            self.waiting.push_back(ask);
        }
        if self.known.answers() {
            self.answer_waiting();
        }
        Ok(())
    }

    /// Waits for `work`; meanwhile, if the database is away, answers what is known.
    async fn during<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Over> {
        if !self.known.answers() {
            return Ok(work.await);
        }
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                ask = self.asks.recv() => {
                    self.answer_or_keep(ask.ok_or(Over)?);
                }
            }
        }
    }

    /// Notes a failure, and answers what is known if the database is away.
    fn failed(&mut self, fault: &DatabaseFault, block: &mut Block) {
        let was_bridged = self.known.answers();
        self.known.failed(fault);
        if self.counts.down(Link::Lookups, fault) {
            tracing::warn!(%fault, "the subscriptions cannot be looked up: events wait to be routed");
        }
        if self.known.answers() {
            if !was_bridged {
                let loads = self.known.len();
                tracing::warn!(%fault, loads, "events are routed by what was known last of their loads");
            }
            let (now, known) = (Instant::now(), &self.known);
            self.counts.answered_as_known(block.answer_known(|load| known.of(load, now)));
            self.answer_waiting();
        }
        self.tell();
    }

    /// Answers one more, if its load is known. Those that wait already have been looked at.
    fn answer_or_keep(&mut self, ask: Ask) {
        match self.known.of(&ask.load_id, Instant::now()) {
            Some(found) => {
                // It may not wait any more.
                self.counts.answered_as_known(u64::from(ask.reply.send(found).is_ok()));
            }
            None => self.waiting.push_back(ask),
        }
    }

    fn answer_waiting(&mut self) {
        let (now, known) = (Instant::now(), &self.known);
        let (rest, answered) = answer_known(take(&mut self.waiting), |load| known.of(load, now));
        self.waiting = rest;
        self.counts.answered_as_known(answered);
    }

    fn tell(&self) {
        self.counts.known(self.known.len(), self.known.answers());
    }
}

async fn look_up(
    database: &impl Connect,
    session: &mut Option<Box<dyn Session>>,
    block: &mut Block,
    counts: &Counts,
) -> Result<Vec<(Arc<str>, Found)>, DatabaseFault> {
    let session = match session {
        Some(session) => session,
        none => none.insert(database.connect().await?),
    };
    let (began, loads) = (Instant::now(), block.loads().len());
    let rows = session.subscribers(block.loads()).await?;
    let count = rows.len();
    let found = block.answer(rows)?;
    counts.answered(loads, count, began.elapsed());
    Ok(found)
}
