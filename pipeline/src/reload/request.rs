//! Asking for a reload: a signal or the admin endpoint asks, the run carries out one after the other, whoever asked is told
//! what came of it.

use std::path::PathBuf;

use tokio::sync::{mpsc, oneshot};

use super::{Outcome, Refused};

/// Reloads that may wait their turn; whoever asks for one more waits.
const WAITING_MAX: usize = 8;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The signal SIGHUP, which nobody waits for: the log alone tells what came of it.
    Signal,
    /// The admin endpoint.
    Admin,
}

impl By {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "SIGHUP",
            Self::Admin => "admin",
        }
    }
}

/// Asks a run to read its config again.
#[derive(Clone, Debug)]
pub struct Reload(mpsc::Sender<Request>);

/// Where a run takes up what is asked of it.
#[derive(Debug)]
pub struct Requests {
    /// The file to read again; none if there is none.
    path: Option<PathBuf>,
    pub(super) inbox: mpsc::Receiver<Request>,
    reload: Reload,
}

/// Somebody asks.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) by: By,
    pub(super) reply: oneshot::Sender<Result<Outcome, Refused>>,
}

impl Requests {
    /// Reads `path` again, as it was given when the run was started.
    #[must_use]
    pub fn of(path: PathBuf) -> Self {
        Self::new(Some(path))
    }

    /// For a run without a config file: it refuses.
    #[must_use]
    pub fn none() -> Self {
        Self::new(None)
    }

    fn new(path: Option<PathBuf>) -> Self {
        let (asks, inbox) = mpsc::channel(WAITING_MAX);
        Self { path, inbox, reload: Reload(asks) }
    }

    /// The file that is read again, if there is one.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        self.path.clone()
    }

    /// Asks here.
    #[must_use]
    pub fn handle(&self) -> Reload {
        self.reload.clone()
    }
}

impl Reload {
    /// Asks for a reload and waits until it has been carried out; one that is asked for before the run has begun is
    /// carried out then.
    ///
    /// # Errors
    /// [`Refused`]: nothing has changed.
    pub async fn ask(&self, by: By) -> Result<Outcome, Refused> {
        let (reply, told) = oneshot::channel();
        self.0.send(Request { by, reply }).await.map_err(|_| Refused::Stopping)?;
        told.await.map_err(|_| Refused::Stopping)?
    }
}
