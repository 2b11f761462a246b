//! Signals: the first SIGTERM or SIGINT asks the line to stop in good order, the second ends the process at once; SIGHUP
//! has a run read its config again.

use std::thread;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    leave::{aside, leave},
    runtime,
};
use crate::{
    reload::{By, Reload},
    stop::{Level, Stopper},
};

/// Follows the signals on a thread of its own, so that the second one ends the process also while everything else hangs.
///
/// The second signal leaves without any cleaning up, and may: whatever was recorded is durable, and whatever was not
/// is read again by the next run.
pub(super) fn follow(stopper: Stopper) -> anyhow::Result<()> {
    let runtime = runtime()?;
    let (mut terminate, mut interrupt) = {
        let _context = runtime.enter();
        (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?)
    };
    let follow = async move {
        either(&mut terminate, &mut interrupt).await;
        stopper.ask(Level::Drain);
        aside(|| {
            tracing::info!("stopping: intake stops, what is on the wire finishes; once more ends at once");
        });
        either(&mut terminate, &mut interrupt).await;
        leave(|| tracing::warn!("ended at once: what was on the wire may repeat"));
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || runtime.block_on(follow))
        .context("thread signals")?;
    Ok(())
}

/// Follows SIGHUP in the background of the current runtime. One that comes during a reload brings another one.
pub(super) fn reload(reload: Reload) -> anyhow::Result<()> {
    let mut hang_up = listen(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hang_up.recv().await.is_some() {
            // The log tells what came of it.
            drop(reload.ask(By::Signal).await);
        }
    });
    Ok(())
}

/// Follows one kind of signal.
pub(super) fn listen(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("signals cannot be followed")
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! { _ = one.recv() => {}, _ = other.recv() => {} }
}
