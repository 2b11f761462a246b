//! Reads the brokers' table again and again, and hands what has changed to whoever applies it.
//!
//! Guarantee: a row that was committed before a read began is part of that read, however long its transaction took. Rows are
//! asked for by the transaction that wrote them, from the oldest on that was under way at the read before. Everything is
//! read once in a while, because a row that was deleted has no transaction, and after every lost connection, because the
//! next server may be another one.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, sleep_until},
};
use topics::Backoff;

use crate::{
    counts::{Counts, Link},
    fault::DatabaseFault,
    options::Options,
    session::{BrokerRow, BrokersRead, Connect, Session},
};

/// How often all rows are read.
const WHOLE_EVERY: Duration = Duration::from_secs(60);

/// What was read of the brokers' table.
#[derive(Debug)]
pub struct Change {
    /// The rows, in no order; those that have not changed may be among them.
    pub rows: Vec<BrokerRow>,
    /// Whether these are all: a broker that is not among them is there no more.
    pub whole: bool,
    /// Told once it is applied.
    pub applied: Applied,
}

/// Whoever waits until a change is applied.
#[derive(Debug)]
pub struct Applied(oneshot::Sender<()>);

impl Applied {
    /// It is applied. Dropped without this, everything is read again.
    pub fn tell(self) {
        // Nobody may wait any more.
        let _gone = self.0.send(()).is_err();
    }
}

/// Reads until nobody applies changes any more, or nobody can want one.
pub(crate) async fn poll(
    database: impl Connect,
    options: Options,
    mut wants: mpsc::Receiver<oneshot::Sender<()>>,
    changes: mpsc::Sender<Change>,
    counts: Arc<Counts>,
) {
    let mut backoff = Backoff::new(options.backoff_min, options.backoff_max);
    let (mut session, mut waiting) = (None, Vec::new());
    let (mut since, mut whole_at): (Option<String>, _) = (None, Instant::now());
    loop {
        // Whoever wants it before the read begins is served by it.
        while let Ok(want) = wants.try_recv() {
            waiting.push(want);
        }
        let began = Instant::now();
        if began.duration_since(whole_at) >= WHOLE_EVERY {
            since = None;
        }
        let read = match read(&database, &mut session, since.as_deref()).await {
            Ok(read) => read,
            Err(fault) => {
                (session, since) = (None, None);
                if counts.down(Link::Brokers, &fault) {
                    tracing::warn!(%fault, "the brokers' table cannot be read: the brokers stay as they are");
                }
                if counts.is_bridged() {
                    // Those that are known are the last known, as the subscriptions are.
                    release(&mut waiting);
                }
                tokio::select! {
                    () = sleep(backoff.pause()) => continue,
                    () = changes.closed() => return,
                }
            }
        };
        backoff.reset();
        if counts.up(Link::Brokers) {
            tracing::info!("the brokers' table can be read");
        }
        let is_whole = since.is_none();
        let is_applied = (read.rows.is_empty() && !is_whole) || apply(&changes, read.rows, is_whole).await;
        if is_applied {
            if is_whole {
                whole_at = began;
            }
            since = Some(read.xmin);
            counts.current(began);
            release(&mut waiting);
        } else {
            since = None;
        }
        tokio::select! {
            biased;
            () = changes.closed() => return,
            want = wants.recv() => match want {
                // Not at once if the change before was not applied: it would be refused again.
                Some(want) => {
                    waiting.push(want);
                    if !is_applied {
                        sleep_until(began + options.poll).await;
                    }
                }
                None => return,
            },
            () = sleep_until(began + options.poll) => {}
        }
    }
}

fn release(waiting: &mut Vec<oneshot::Sender<()>>) {
    for want in waiting.drain(..) {
        // It may not wait any more.
        let _gone = want.send(()).is_err();
    }
}

async fn read(
    database: &impl Connect,
    session: &mut Option<Box<dyn Session>>,
    since: Option<&str>,
) -> Result<BrokersRead, DatabaseFault> {
    let session = match session {
        Some(session) => session,
        none => none.insert(database.connect().await?),
    };
    session.brokers(since).await
}

/// Hands a change over and waits until it is applied; false if it was not.
async fn apply(changes: &mpsc::Sender<Change>, rows: Vec<BrokerRow>, whole: bool) -> bool {
    let (reply, applied) = oneshot::channel();
    let change = Change { rows, whole, applied: Applied(reply) };
    changes.send(change).await.is_ok() && applied.await.is_ok()
}
