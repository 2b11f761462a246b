//! Who answers for a run: its process if there is one, else its state directory.

use std::{path::PathBuf, time::Duration};

use http::Method;
use serde_json::Value;
use state::{StateFault, Store};

use crate::{
    admin::client::{AskFault, ask},
    assemble::store_options,
    config::{AdminListen, Place},
};

/// How often a state directory that is in use, with nobody answering yet, is looked at again: a process that starts
/// takes its directory before it answers.
const LOOKS: u32 = 10;
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Who has answered.
pub(super) enum Answered {
    /// The running process, with this.
    Process(Value),
    /// No process runs; the store is open now and belongs to this command.
    Directory(Box<Store>),
}

/// Nothing has run yet.
#[derive(Debug, thiserror::Error)]
#[error("no run has begun with this config yet: there is no state directory {}", dir.display())]
pub(super) struct NothingYet {
    dir: PathBuf,
}

/// Asks the process of `place`; opens its state directory if no process runs.
pub(super) async fn process_or_directory(
    place: &Place,
    method: Method,
    path: &str,
) -> anyhow::Result<Answered> {
    let mut looks = 1;
    loop {
        let nobody = match ask(&place.admin, method.clone(), path).await {
            Ok(answer) => return Ok(Answered::Process(answer)),
            Err(AskFault::Refused { status, .. }) if status == 503 && looks < LOOKS => None,
            Err(nobody @ AskFault::Nobody { .. }) => Some(nobody),
            Err(fault) => return Err(fault.into()),
        };
        if let Some(nobody) = nobody {
            let dir = &place.state.dir;
            // Who only looks must not leave a directory behind.
            if method == Method::GET && !dir.exists() {
                return Err(NothingYet { dir: dir.clone() }.into());
            }
            match Store::open(dir, store_options(&place.state)) {
                Ok(store) => return Ok(Answered::Directory(Box::new(store))),
                Err(StateFault::Locked { path })
                    if looks == LOOKS || place.admin.listen == AdminListen::Off =>
                {
                    let way_out = match &place.admin.listen {
                        AdminListen::Off => {
                            "admin.listen is \"off\": send it SIGHUP to reload, SIGTERM to stop, or start it with an \
                             endpoint to ask it"
                        }
                        _ => "admin.listen says where it should",
                    };
                    let why = format!(
                        "a process has the state directory {} open, but {nobody}; {way_out}",
                        path.display()
                    );
                    anyhow::bail!(why);
                }
                Err(StateFault::Locked { .. }) => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        looks += 1;
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
