//! The admin endpoint, for operators, scrapers and supervisors: shows status and metrics of the running line; pauses,
//! resumes, disables and enables brokers; replays and removes dead letters; reloads the config.
//!
//! | request | answer |
//! |---|---|
//! | `GET /status` | the [`Status`](crate::status::Status) as JSON |
//! | `GET /group` | all members of the group as a [`GroupPicture`](crate::status::GroupPicture), if state follows its partition |
//! | `GET /metrics` | the same as Prometheus text, format 0.0.4 |
//! | `GET /healthz` | 200 while the process and its ledger thread live, else 503 |
//! | `GET /readyz` | 200 while the source is open, the state can be written and nothing is stopping, else 503 |
//! | `GET /dead?…` | a page of the dead letters that the query selects; `after` continues behind one |
//! | `GET /dead/summary?…` | the same, counted by stage and cause |
//! | `POST /dead/replay?…`, `POST /dead/purge?…` | the next page of them is sent again, or removed; `dry_run` only counts |
//! | `POST /brokers/NAME/pause`, `resume`, `disable`, `enable` | 200 once it is recorded |
//! | `POST /reload` | 200 once it is in force; 422 with all problems if it is refused |
//!
//! It cannot slow the line: it has a thread and a runtime of its own, reads atomics, and reads the disk and earlier samples
//! ten times a second at most, however often it is asked.

mod bind;
pub mod client;
mod dead;
mod fault;
mod growth;
mod handler;
mod metrics;
mod observe;
mod samples;
mod serve;
mod trend;

use std::{
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
    sync::Arc,
    thread,
};

use state::StateFault;
use tokio::sync::oneshot;

pub use crate::broker_command::BrokerCommand;
pub use fault::AdminFault;

use self::{bind::BoundListener, handler::Handler, observe::Observer};
use crate::{
    assemble::Parts,
    config::{AdminListen, Config},
    dead::Planner,
    reload::Reload,
    view::View,
};
use line::stop::Stop;
use sources::Token;

/// A running endpoint. Dropping it ends it too, without waiting.
#[derive(Debug)]
pub struct Admin {
    handler: Arc<Handler>,
    end: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
    /// The socket's path, to be removed at the end.
    socket: Option<PathBuf>,
}

impl Admin {
    /// Starts answering where `config` says; none if it is off. `/readyz` says no, and `/status` that it is too
    /// early, until [`watch`](Self::watch).
    ///
    /// # Errors
    /// [`AdminFault`]: it cannot listen, or the thread cannot be started.
    pub fn start(
        config: &Config,
        parts: &Parts,
        reload: Reload,
        stop: Stop,
    ) -> Result<Option<Self>, AdminFault> {
        let listen = &config.admin.listen;
        let bound = match bind::bind(listen) {
            Ok(Some(bound)) => bound,
            Ok(None) => return Ok(None),
            Err(fault @ AdminFault::TooLong { .. }) => {
                // Only the default path can be too long here, which is not the user's mistake.
                tracing::warn!(%fault, "admin endpoint disabled");
                return Ok(None);
            }
            Err(fault) => return Err(fault),
        };
        let socket = match listen {
            AdminListen::Socket(path) => Some(path.clone()),
            AdminListen::Address(_) | AdminListen::Off => None,
        };
        let token = config.admin.token.as_ref().map(|token| Token::new(token.expose()));
        let observer = Observer::new(config, parts.ledger.clone());
        let by_address = matches!(bound, BoundListener::Address(_));
        let planner = Planner::new(&parts.front, parts.brokers.clone(), config, parts.clock.clone());
        let brokers = parts.brokers.clone();
        let handler = Arc::new(Handler::new(observer, brokers, planner, reload, token, by_address, stop));
        let fault = |error| AdminFault::Thread { error };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fault)?;
        let (end, ended) = oneshot::channel();
        let serving = serve::serve(bound, handler.clone(), ended);
        let ledger_status = parts.ledger.status().clone();
        let body = move || {
            // The run ends, too: it could no longer be queried or controlled.
            let served = panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(serving)));
            if let Err(payload) = served {
                ledger_status.fail(StateFault::panicked("the admin endpoint", &*payload));
            }
        };
        let thread = thread::Builder::new().name("admin".to_owned()).spawn(body).map_err(fault)?;
        tracing::info!(at = %listen, "admin endpoint listening");
        Ok(Some(Self { handler, end, thread, socket }))
    }

    /// Sets the view to show from now on.
    pub fn watch(&self, view: View) {
        self.handler.watch(view);
    }

    /// Ends it; returns once it no longer holds the state.
    pub async fn end(self) {
        let Self { handler, end, thread, socket } = self;
        drop((handler, end));
        // The thread catches its own panics.
        let _joined = tokio::task::spawn_blocking(move || thread.join()).await;
        if let Some(path) = socket {
            // The next run removes what is left.
            let _gone = std::fs::remove_file(path).is_err();
        }
    }
}
