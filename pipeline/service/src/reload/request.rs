//! Requests for a reload, from a signal or the admin endpoint. The run carries them out one after the other and
//! answers each.

use std::path::PathBuf;

use tokio::sync::{mpsc, oneshot};

use super::{Outcome, Refused};

/// How many requests may be queued; further ones wait.
const WAITING_MAX: usize = 8;

/// What triggered a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadTrigger {
    /// The signal SIGHUP; its outcome is only logged.
    Signal,
    /// The admin endpoint.
    Admin,
}

impl ReloadTrigger {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "SIGHUP",
            Self::Admin => "admin",
        }
    }
}

/// Requests reloads of a run's config.
#[derive(Clone, Debug)]
pub struct Reload(mpsc::Sender<Request>);

/// The receiver of requests.
#[derive(Debug)]
pub struct Requests {
    /// The config file, if there is one.
    path: Option<PathBuf>,
    pub(super) inbox: mpsc::Receiver<Request>,
    reload: Reload,
}

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) by: ReloadTrigger,
    pub(super) reply: oneshot::Sender<Result<Outcome, Refused>>,
}

impl Requests {
    /// Reads `path` again, as it was given when the run was started.
    #[must_use]
    pub fn of(path: PathBuf) -> Self {
        Self::new(Some(path))
    }

    /// For a run without a config file; refuses all requests.
    #[must_use]
    pub fn none() -> Self {
        Self::new(None)
    }

    fn new(path: Option<PathBuf>) -> Self {
        let (asks, inbox) = mpsc::channel(WAITING_MAX);
        Self { path, inbox, reload: Reload(asks) }
    }

    /// The config file, if there is one.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        self.path.clone()
    }

    /// A handle for requests.
    #[must_use]
    pub fn handle(&self) -> Reload {
        self.reload.clone()
    }
}

impl Reload {
    /// Requests a reload and waits for its outcome. A request before the run has begun is carried out at its
    /// beginning.
    ///
    /// # Errors
    /// [`Refused`]: nothing has changed.
    pub async fn ask(&self, by: ReloadTrigger) -> Result<Outcome, Refused> {
        let (reply, told) = oneshot::channel();
        self.0.send(Request { by, reply }).await.map_err(|_| Refused::Stopping)?;
        told.await.map_err(|_| Refused::Stopping)?
    }
}
