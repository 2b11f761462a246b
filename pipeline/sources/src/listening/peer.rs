//! One connection and its slot: a stranger's at first, an authenticated client's once it has shown the token. Without
//! a token all connections share the same slots, and an idle one is closed when all are held.
//!
//! Strangers never hold a slot of authenticated clients.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot},
    time::{self, Instant},
};

use super::{
    Admission, Bounds,
    rejected::RejectedCounts,
    strangers::{Origin, Strangers, Vacancy},
};

/// How long an authenticated client waits for a slot when all are held, before it is refused.
const SLOT_WAIT: Duration = Duration::from_secs(5);

/// All slots of a listener.
#[derive(Debug)]
pub(super) struct Slots {
    strangers: Mutex<Strangers<oneshot::Sender<()>>>,
    members: Arc<Semaphore>,
    admission: Admission,
    /// Notified whenever a slot may have become free.
    pub(super) freed: Notify,
    pub(super) rejected: RejectedCounts,
}

/// A connection.
#[derive(Debug)]
pub struct Peer {
    slots: Arc<Slots>,
    number: u64,
    access: Mutex<Access>,
}

#[derive(Debug)]
enum Access {
    /// It has not shown the token.
    Unauthenticated,
    /// It has shown the token and waits for a slot.
    Waiting,
    /// It holds a slot of authenticated clients.
    Authenticated { _permit: OwnedSemaphorePermit },
    /// No token is required.
    NoToken,
}

/// Authenticated clients hold all slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all connections are in use; nothing was accepted, try again later")]
pub struct ConnectionsFull;

impl Slots {
    pub(super) fn new(bounds: &Bounds) -> Arc<Self> {
        let slots = match bounds.admission {
            Admission::Anyone => bounds.connections_max,
            Admission::Token { strangers_max, .. } => strangers_max,
        };
        Arc::new(Self {
            strangers: Mutex::new(Strangers::new(slots)),
            members: Arc::new(Semaphore::new(bounds.connections_max)),
            admission: bounds.admission,
            freed: Notify::new(),
            rejected: RejectedCounts::default(),
        })
    }

    pub(super) fn vacancy(&self) -> Vacancy {
        self.strangers.lock().vacancy(Instant::now())
    }

    /// Gives a new connection a slot, and a receiver that fires when it must make room for a newer one.
    pub(super) fn accept(self: &Arc<Self>, origin: Origin) -> (Arc<Peer>, oneshot::Receiver<()>) {
        let (close, replaced) = oneshot::channel();
        let (number, evicted) = self.strangers.lock().insert(Instant::now(), origin, close);
        if let Some(evicted) = evicted {
            self.rejected.replaced();
            // It may just have ended.
            let _ended = evicted.send(()).is_err();
        }
        let access = match self.admission {
            Admission::Anyone => Access::NoToken,
            Admission::Token { .. } => Access::Unauthenticated,
        };
        (Arc::new(Peer { slots: self.clone(), number, access: Mutex::new(access) }), replaced)
    }

    fn set_busy(&self, number: u64, busy: bool) {
        let mut strangers = self.strangers.lock();
        strangers.set_busy(number, busy, Instant::now());
        let wanted = !busy && strangers.is_full();
        drop(strangers);
        if wanted {
            self.freed.notify_one();
        }
    }
}

impl Peer {
    /// The client has shown the token: it gets an authenticated client's slot, if it has none yet.
    ///
    /// # Errors
    /// [`ConnectionsFull`] if no slot becomes free in time.
    pub async fn authenticated(&self) -> Result<(), ConnectionsFull> {
        {
            let mut access = self.access.lock();
            match *access {
                Access::NoToken | Access::Authenticated { .. } => return Ok(()),
                Access::Unauthenticated | Access::Waiting => *access = Access::Waiting,
            }
        }
        self.slots.set_busy(self.number, true);
        let permit = time::timeout(SLOT_WAIT, self.slots.members.clone().acquire_owned()).await;
        let Ok(Ok(permit)) = permit else { return Err(ConnectionsFull) };
        *self.access.lock() = Access::Authenticated { _permit: permit };
        self.release();
        Ok(())
    }

    /// Counts a request without the token.
    pub fn count_without_token(&self) {
        self.slots.rejected.without_token();
    }

    /// Whether the connection must close after this answer, because it has no lasting slot.
    pub(super) fn must_close(&self) -> bool {
        matches!(*self.access.lock(), Access::Unauthenticated | Access::Waiting)
    }

    /// Sets whether a request is being answered. Without a token, a busy connection keeps its slot.
    pub(super) fn set_busy(&self, busy: bool) {
        if matches!(*self.access.lock(), Access::NoToken) {
            self.slots.set_busy(self.number, busy);
        }
    }

    /// Returns when a stranger's time is over; never for an authenticated client.
    pub(super) async fn token_timeout(&self) {
        if let Admission::Token { timeout, .. } = self.slots.admission {
            time::sleep(timeout).await;
            if matches!(*self.access.lock(), Access::Unauthenticated) {
                return self.slots.rejected.timed_out();
            }
        }
        std::future::pending::<()>().await;
    }

    fn release(&self) {
        if self.slots.strangers.lock().remove(self.number) {
            self.slots.freed.notify_one();
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.release();
    }
}
