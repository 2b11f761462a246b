//! Signals: the first SIGTERM or SIGINT asks the line to stop gracefully, the second ends the process at once; SIGHUP
//! reloads the config.

use std::thread;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    exit_now::{exit_now, run_with_limit},
    runtime,
};
use line::stop::{Level, Stopper};
use service::reload::{Reload, ReloadTrigger};

/// Handles the signals on a thread of its own, so that the second one ends the process even if everything else hangs.
///
/// The second signal exits without cleaning up, which is safe: recorded verdicts are durable, and the rest is read
/// again by the next run.
pub(super) fn follow(stopper: Stopper) -> anyhow::Result<()> {
    let runtime = runtime()?;
    let (mut terminate, mut interrupt) = {
        let _context = runtime.enter();
        (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?)
    };
    let follow = async move {
        either(&mut terminate, &mut interrupt).await;
        stopper.ask(Level::Drain);
        run_with_limit(|| {
            tracing::info!(
                "stopping: no more input is read, requests in flight finish; a second signal stops at once"
            );
        });
        either(&mut terminate, &mut interrupt).await;
        exit_now(|| tracing::warn!("stopped at once: requests that were in flight may be repeated"));
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || runtime.block_on(follow))
        .context("thread signals")?;
    Ok(())
}

/// Handles SIGHUP in the background of the current runtime. One during a reload triggers another one.
pub(super) fn reload(reload: Reload) -> anyhow::Result<()> {
    let mut hang_up = listen(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hang_up.recv().await.is_some() {
            // The outcome is logged.
            drop(reload.ask(ReloadTrigger::Signal).await);
        }
    });
    Ok(())
}

/// Receives one kind of signal.
pub(super) fn listen(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("signals cannot be followed")
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! { _ = one.recv() => {}, _ = other.recv() => {} }
}
