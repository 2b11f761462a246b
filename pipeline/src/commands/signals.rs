//! Signals: the first SIGTERM or SIGINT asks the line to stop in good order, the second ends the process at once; SIGHUP
//! has a run read its config again.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    reload::{By, Reload},
    stop::{Level, Stopper},
};

/// Follows the signals in the background of the current runtime.
///
/// The second signal leaves without any cleaning up, and may: whatever was recorded is durable, and whatever was not
/// is read again by the next run.
pub(super) fn follow(stopper: Stopper) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    tokio::spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        tracing::info!("stopping: intake stops, what is on the wire finishes; once more ends at once");
        stopper.ask(Level::Drain);
        either(&mut terminate, &mut interrupt).await;
        tracing::warn!("ended at once: what was on the wire may repeat");
        std::process::exit(1);
    });
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
