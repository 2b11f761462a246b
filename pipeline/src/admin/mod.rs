//! The admin endpoint: requests of an operator, a scraper or a supervisor enter, what the running line knows of itself
//! leaves; brokers are paused, resumed, disabled and enabled, dead letters replayed and removed, and the config is read
//! again.
//!
//! | request | answer |
//! |---|---|
//! | `GET /status` | the [`Status`](crate::status::Status) as JSON |
//! | `GET /metrics` | the same as Prometheus text, format 0.0.4 |
//! | `GET /healthz` | 200 while the process and its ledger thread live, else 503 |
//! | `GET /readyz` | 200 while the source is open, the state can be written and nothing is stopping, else 503 |
//! | `GET /dead?…` | a page of the dead letters that the query selects; `after` goes on behind one |
//! | `GET /dead/summary?…` | the same, counted by stage and cause |
//! | `POST /dead/replay?…`, `POST /dead/purge?…` | the next page of them is sent again, or removed; `dry_run` only counts |
//! | `POST /brokers/NAME/pause`, `resume`, `disable`, `enable` | 200 once it is on record |
//! | `POST /reload` | 200 once it is in force; 422 with all problems if it is refused |
//!
//! It cannot hold up the line: it has a thread and a runtime of its own, reads atomics, and looks at the disk and at
//! earlier moments ten times a second at most, however often it is asked.

mod act;
pub mod client;
mod dead;
mod desk;
mod fault;
mod growth;
mod metrics;
mod observe;
mod place;
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

pub use act::Act;
pub use fault::AdminFault;

use self::{desk::Desk, observe::Observer, place::Bound};
use crate::{
    assemble::Parts,
    config::{AdminListen, Config},
    dead::Planner,
    engine::View,
    reload::Reload,
    source::Token,
    stop::Stop,
};

/// A running endpoint. Dropping it ends it too, without waiting.
#[derive(Debug)]
pub struct Admin {
    desk: Arc<Desk>,
    end: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
    /// The socket's path, to be removed at the end.
    socket: Option<PathBuf>,
}

impl Admin {
    /// Starts answering where `config` says; none if that is nowhere. `/readyz` says no, and `/status` that it is too
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
        let bound = match place::bind(listen) {
            Ok(Some(bound)) => bound,
            Ok(None) => return Ok(None),
            Err(fault @ AdminFault::TooLong { .. }) => {
                // Only a default can be too long here, and a default is nobody's mistake.
                tracing::warn!(%fault, "the admin endpoint is off");
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
        let by_address = matches!(bound, Bound::Address(_));
        let planner = Planner::new(&parts.front, parts.brokers.clone(), config, parts.clock.clone());
        let brokers = parts.brokers.clone();
        let desk = Arc::new(Desk::new(observer, brokers, planner, reload, token, by_address, stop));
        let fault = |error| AdminFault::Thread { error };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fault)?;
        let (end, ended) = oneshot::channel();
        let serving = serve::serve(bound, desk.clone(), ended);
        let pulse = parts.ledger.pulse().clone();
        let body = move || {
            // A run that nobody can ask or steer any more is no healthy one.
            let served = panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(serving)));
            if let Err(payload) = served {
                pulse.fail(StateFault::panicked("the admin endpoint", &*payload));
            }
        };
        let thread = thread::Builder::new().name("admin".to_owned()).spawn(body).map_err(fault)?;
        tracing::info!(at = %listen, "the admin endpoint answers");
        Ok(Some(Self { desk, end, thread, socket }))
    }

    /// From now on `view` is what is told of.
    pub fn watch(&self, view: View) {
        self.desk.watch(view);
    }

    /// Ends it: returns once nothing of it holds the state any more.
    pub async fn end(self) {
        let Self { desk, end, thread, socket } = self;
        drop((desk, end));
        // It catches its own panics.
        let _joined = tokio::task::spawn_blocking(move || thread.join()).await;
        if let Some(path) = socket {
            // The next run removes what is left.
            let _gone = std::fs::remove_file(path).is_err();
        }
    }
}
