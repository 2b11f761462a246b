//! One consumer of the group: it handles the messages of its partitions one after another, for ever. A malformed message
//! crashes it, and after a while it begins again at what is committed.

use std::{
    convert::Infallible,
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{sync::watch, task::spawn_blocking};

use super::{LegacyFault, event::Malformed, group::Group, partition::Place, service::Service};

/// What the consumers, the reader of the log and the timers have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) group: Mutex<Group>,
    /// Told whenever there is more to take.
    pub(super) grown: watch::Sender<()>,
    pub(super) path: PathBuf,
    /// The log, from its first record on.
    pub(super) log: OnceLock<Arc<File>>,
    pub(super) service: Service,
    pub(super) poison_restart: Duration,
    pub(super) poison_max: u32,
    pub(super) held_max: u64,
}

/// Consumes these partitions until it is dropped; what it was handling is abandoned then.
pub(super) async fn consume(of: Range<usize>, shared: Arc<Shared>) -> Result<Infallible, LegacyFault> {
    let mut grown = shared.grown.subscribe();
    loop {
        grown.mark_unchanged();
        let taken = shared.group.lock().take(&of);
        let Some(taken) = taken else {
            if grown.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            continue;
        };
        let message = read(&shared, taken.place).await?;
        match shared.service.handle(message, || shared.group.lock().retry()).await {
            Ok(()) => shared.group.lock().finish(taken),
            Err(Malformed) => {
                tracing::debug!(record = taken.place.record, "malformed message, consumer crashed");
                shared.group.lock().crash(&of, taken, shared.poison_max);
                tokio::time::sleep(shared.poison_restart).await;
            }
        }
    }
}

/// The record's bytes. They are read when they are needed: a backlog is held as places only.
async fn read(shared: &Shared, place: Place) -> Result<Bytes, LegacyFault> {
    let fault = |detail| LegacyFault::Log { path: shared.path.clone(), at: place.at, detail };
    let log = shared.log.get().ok_or_else(|| fault(io::ErrorKind::NotFound.into()))?;
    let (log, mut bytes) = (Arc::clone(log), vec![0; place.len as usize]);
    let work = move || log.read_exact_at(&mut bytes, place.at).map(|()| bytes);
    Ok(spawn_blocking(work).await?.map_err(fault)?.into())
}
