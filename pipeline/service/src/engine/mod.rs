//! A whole run: makes the parts, runs the line over its source until that ends or the run is stopped, and closes what is
//! open. Nothing recorded is lost when a run fails: the next one reads the rest again.

mod closing;
mod fault;
mod line_run;
mod open_source;

pub use fault::RunFault;

use std::sync::Arc;

use state::StateFault;

use crate::{
    admin::Admin,
    assemble,
    config::{Config, SubscriptionsConfig},
    dead::Publisher,
    reload::Requests,
    summary::{SourceLosses, Summary},
    view::{self, View},
};
use closing::{Closing, timed_out};
use line::stop::Stop;
use line_run::LineRun;
use subscriptions::DatabaseFault;

/// Runs the line that `config` describes until its source ends or `stop` is asked. `started` is given a view into it.
///
/// # Errors
/// [`RunFault`]; nothing recorded is lost, and the next run reads the rest again.
pub async fn run(config: &Config, stop: Stop, started: impl FnOnce(View)) -> Result<Summary, RunFault> {
    run_reloading(config, Requests::none(), false, stop, started).await
}

/// As [`run`], and reloads the config when `requests` ask for it. With `fail_fast` a source that cannot be reached at the
/// start is a fault, instead of waited for; so is a database of subscriptions.
///
/// # Errors
/// As [`run`].
pub async fn run_reloading(
    config: &Config,
    mut requests: Requests,
    fail_fast: bool,
    stop: Stop,
    started: impl FnOnce(View),
) -> Result<Summary, RunFault> {
    look_at_database(config, fail_fast, stop.clone()).await?;
    let parts = assemble::parts(config)?;
    let admin = Admin::start(config, &parts, requests.handle(), stop.clone())?;
    let publisher =
        config.dead_topic.as_ref().map(|topic| Publisher::start(topic, &parts.ledger)).transpose()?;
    let letters = publisher.as_ref().map(Publisher::counts);
    let mut closing_stop = stop.clone();
    let run = LineRun { config, parts: &parts, requests: &mut requests, letters, fail_fast, stop };
    let mut losses = SourceLosses::default();
    let outcome = run.open_and_run(|view| {
        losses = SourceLosses { file: view.file.clone(), topic: Some(Arc::clone(view.topic.losses())) };
        if let Some(admin) = &admin {
            admin.watch(view.clone());
        }
        started(view);
    });
    let outcome = outcome.await;
    parts.ack.log_suppressed(true);
    // Whoever waits for a reload gets the answer that there is none.
    drop(requests);
    let ledger_status = parts.ledger.status().clone();
    let (report, fault) = match outcome {
        Ok(report) => (Some(report), None),
        Err(fault) => (None, Some(fault)),
    };
    if fault.as_ref().and_then(RunFault::of_state).is_some_and(StateFault::keeps_open) {
        parts.ledger.store().never_close();
    }
    let closing = Closing { parts, admin, publisher, losses, stop: &mut closing_stop };
    let ended = tokio::select! {
        ended = closing.end(report) => ended,
        fault = timed_out(&ledger_status, fault.is_some()) => Err(fault.into()),
    };
    fault.map_or(ended, Err).map_err(|fault| fault.caused_by(&ledger_status))
}

/// Tries the database of subscriptions once. What no waiting would mend ends the run before anything is opened; otherwise the
/// line begins without the database, and what it reads waits for it.
async fn look_at_database(config: &Config, fail_fast: bool, mut stop: Stop) -> Result<(), DatabaseFault> {
    let Some(SubscriptionsConfig { options, .. }) = &config.subscriptions else { return Ok(()) };
    let tried = tokio::select! {
        tried = subscriptions::try_connect(options) => tried,
        _ = stop.asked() => Ok(()),
    };
    match tried {
        Err(fault) if fail_fast || fault.is_definite() => Err(fault),
        Err(fault) => {
            tracing::warn!(%fault, "the database of subscriptions is away: events wait until it is there");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
