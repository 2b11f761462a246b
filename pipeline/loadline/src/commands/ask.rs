//! Finds out who answers for a run: its process if there is one, else its state directory.

use std::{path::PathBuf, time::Duration};

use http::Method;
use serde_json::Value;
use state::{StateFault, Store};

use service::{
    admin::client::{AskFault, ask},
    assemble::store_options,
    config::{AdminListen, Target},
};

/// How often a state directory that is in use without a process that answers is tried again: a starting process locks
/// its directory before it answers.
const TRIES: u32 = 10;
/// The pause between two tries.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// The answer.
pub(super) enum Answered {
    /// The answer of the running process.
    Process(Value),
    /// No process runs; the store is now held open by this command.
    Directory(Box<Store>),
}

/// Nothing has run yet.
#[derive(Debug, thiserror::Error)]
#[error("no run has begun with this config yet: there is no state directory {}", dir.display())]
pub(super) struct NoStateYet {
    dir: PathBuf,
}

/// Asks the process of `target`; opens its state directory if no process runs.
pub(super) async fn process_or_directory(
    target: &Target,
    method: Method,
    path: &str,
) -> anyhow::Result<Answered> {
    let mut looks = 1;
    loop {
        let absent = match ask(&target.admin, method.clone(), path).await {
            Ok(answer) => return Ok(Answered::Process(answer)),
            Err(AskFault::Refused { status, .. }) if status == 503 && looks < TRIES => None,
            Err(absent @ AskFault::NoProcess { .. }) => Some(absent),
            Err(fault) => return Err(fault.into()),
        };
        if let Some(absent) = absent {
            let dir = &target.state.dir;
            // Reading must not create a directory.
            if method == Method::GET && !dir.exists() {
                return Err(NoStateYet { dir: dir.clone() }.into());
            }
            match Store::open(dir, store_options(&target.state)) {
                Ok(store) => return Ok(Answered::Directory(Box::new(store))),
                Err(StateFault::Locked { path })
                    if looks == TRIES || target.admin.listen == AdminListen::Off =>
                {
                    let way_out = match &target.admin.listen {
                        AdminListen::Off => {
                            "admin.listen is \"off\": send it SIGHUP to reload, SIGTERM to stop, or start it with an \
                             endpoint to ask it"
                        }
                        _ => "admin.listen says where it should",
                    };
                    let why = format!(
                        "a process has the state directory {} open, but {absent}; {way_out}",
                        path.display()
                    );
                    anyhow::bail!(why);
                }
                Err(StateFault::Locked { .. }) => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        looks += 1;
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}
