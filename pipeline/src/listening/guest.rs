//! One connection and the place it holds: it begins as a stranger and becomes a member once it has shown the token.
//! Where no token is asked for, everyone has the same places, and whoever is idle gives way when all are held.
//!
//! Guarantee: strangers hold none of the members' places.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot},
    time::{self, Instant},
};

use super::{
    Admission, Bounds,
    strangers::{Origin, Room, Strangers},
    tally::Tally,
};

/// How long one that has shown the token waits for a place when all are held: a place is free as soon as another's
/// connection ends, and who cannot wait is told to come again.
const PATIENCE: Duration = Duration::from_secs(5);

/// All places of a listener.
#[derive(Debug)]
pub(super) struct Doors {
    strangers: Mutex<Strangers<oneshot::Sender<()>>>,
    members: Arc<Semaphore>,
    admission: Admission,
    /// Told whenever a place may have become free.
    pub(super) moved: Notify,
    pub(super) tally: Tally,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Guest {
    doors: Arc<Doors>,
    number: u64,
    standing: Mutex<Standing>,
}

#[derive(Debug)]
enum Standing {
    /// It has shown nothing yet.
    Stranger,
    /// It has shown the token and waits for a place.
    Known,
    /// It has one.
    Member { _place: OwnedSemaphorePermit },
    /// Nothing has to be shown.
    Anyone,
}

/// All places are held by others that have shown the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all connections are in use; nothing was accepted, try again later")]
pub(crate) struct Crowded;

impl Doors {
    pub(super) fn new(bounds: &Bounds) -> Arc<Self> {
        let places = match bounds.admission {
            Admission::Anyone => bounds.connections_max,
            Admission::Token { strangers_max, .. } => strangers_max,
        };
        Arc::new(Self {
            strangers: Mutex::new(Strangers::new(places)),
            members: Arc::new(Semaphore::new(bounds.connections_max)),
            admission: bounds.admission,
            moved: Notify::new(),
            tally: Tally::default(),
        })
    }

    pub(super) fn room(&self) -> Room {
        self.strangers.lock().room(Instant::now())
    }

    /// One comes; what it holds, and what tells it that it has to give way.
    pub(super) fn arrive(self: &Arc<Self>, origin: Origin) -> (Arc<Guest>, oneshot::Receiver<()>) {
        let (cut, gives_way) = oneshot::channel();
        let (number, gone) = self.strangers.lock().arrive(Instant::now(), origin, cut);
        if let Some(gone) = gone {
            self.tally.gave_way();
            // One that has just ended needs no telling.
            let _ended = gone.send(()).is_err();
        }
        let standing = match self.admission {
            Admission::Anyone => Standing::Anyone,
            Admission::Token { .. } => Standing::Stranger,
        };
        (Arc::new(Guest { doors: self.clone(), number, standing: Mutex::new(standing) }), gives_way)
    }

    fn keep(&self, number: u64, kept: bool) {
        let mut strangers = self.strangers.lock();
        strangers.keep(number, kept, Instant::now());
        let wanted = !kept && strangers.is_full();
        drop(strangers);
        if wanted {
            self.moved.notify_one();
        }
    }
}

impl Guest {
    /// It has shown the token: from now on it has a member's place. Does nothing where it has one.
    pub(crate) async fn enter(&self) -> Result<(), Crowded> {
        {
            let mut standing = self.standing.lock();
            match *standing {
                Standing::Anyone | Standing::Member { .. } => return Ok(()),
                Standing::Stranger | Standing::Known => *standing = Standing::Known,
            }
        }
        self.doors.keep(self.number, true);
        let place = time::timeout(PATIENCE, self.doors.members.clone().acquire_owned()).await;
        let Ok(Ok(place)) = place else { return Err(Crowded) };
        *self.standing.lock() = Standing::Member { _place: place };
        self.leave();
        Ok(())
    }

    /// It has sent a request without the token.
    pub(crate) fn is_refused(&self) {
        self.doors.tally.without_token();
    }

    /// Whether it has no place to stay in, so that the connection ends behind this answer.
    pub(super) fn has_to_go(&self) -> bool {
        matches!(*self.standing.lock(), Standing::Stranger | Standing::Known)
    }

    /// A request begins, or has been answered: where nothing has to be shown, a place is not taken away meanwhile.
    pub(super) fn is_served(&self, served: bool) {
        if matches!(*self.standing.lock(), Standing::Anyone) {
            self.doors.keep(self.number, served);
        }
    }

    /// Returns when a stranger has had its time, and never for anybody else.
    pub(super) async fn outstays(&self) {
        if let Admission::Token { timeout, .. } = self.doors.admission {
            time::sleep(timeout).await;
            if matches!(*self.standing.lock(), Standing::Stranger) {
                return self.doors.tally.silent();
            }
        }
        std::future::pending::<()>().await;
    }

    fn leave(&self) {
        if self.doors.strangers.lock().leave(self.number) {
            self.doors.moved.notify_one();
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.leave();
    }
}
