//! Runs the line over an open source, and reloads the config beside it.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use stages::Ack;
use tokio::{sync::oneshot, time::sleep};
use tokio_stream::Stream;

use super::{
    fault::RunFault,
    view::{TopicView, View},
};
use crate::{
    assemble::Parts,
    config::Config,
    dead::DeadTopicCounts,
    reload::{Reloader, Requests},
    telemetry::Telemetry,
};
use line::{LineHandle, LineReport, SourceFault, SourcePartition, SourceRecord, ingest, stop::Stop};
use sources::FileCounts;

/// How often the log is given the count of dead letters that had no line of their own.
const SUPPRESSED_EVERY: Duration = Duration::from_secs(5);

/// A run whose parts are made and whose source is not open yet.
pub(super) struct LineRun<'r> {
    pub(super) config: &'r Config,
    pub(super) parts: &'r Parts,
    pub(super) requests: &'r mut Requests,
    pub(super) letters: Option<Arc<DeadTopicCounts>>,
    pub(super) fail_fast: bool,
    pub(super) stop: Stop,
}

/// An open source, and what a [`View`] shows of it.
pub(super) struct OpenSource<P> {
    /// Its partitions, as they come: see [`ingest`].
    pub(super) source: P,
    pub(super) resumed_at: Option<u64>,
    pub(super) listening: Option<SocketAddr>,
    pub(super) topic: TopicView,
    pub(super) file: Option<Arc<FileCounts>>,
}

impl<P> OpenSource<P> {
    pub(super) fn new(source: P) -> Self {
        Self { source, resumed_at: None, listening: None, topic: TopicView::default(), file: None }
    }
}

impl LineRun<'_> {
    /// Runs the line over `source` until it ends or the run is stopped. One task runs the line and the reloads, so that
    /// a reload comes between two records.
    pub(super) async fn over<P, S, F>(
        self,
        source: OpenSource<P>,
        started: impl FnOnce(View),
    ) -> Result<LineReport, RunFault>
    where
        P: Stream<Item = Result<SourcePartition<S>, F>> + Send + 'static,
        S: Stream<Item = Result<SourceRecord, F>> + Send + 'static,
        F: Into<SourceFault> + Send + 'static,
    {
        let Self { config, parts, requests, letters, stop, .. } = self;
        let OpenSource { source, resumed_at, listening, topic, file } = source;
        let records = ingest(source, &parts.ledger, config.limits.unsettled_max)?;
        let (brokers, tally) = (parts.brokers.clone(), parts.ack.tally());
        let subscriptions = parts.database.as_ref().map(|database| database.counts.clone());
        let spans = parts.telemetry.as_ref().map(Telemetry::counts);
        let ledger_status = parts.ledger.status().clone();
        let (send_handle, handle) = oneshot::channel::<LineHandle>();
        let line = parts.line(config).run(records, stop, |line| {
            // `reloads` below receives it.
            drop(send_handle.send(line.clone()));
            started(View {
                line,
                brokers,
                tally,
                resumed_at,
                listening,
                topic,
                file,
                subscriptions,
                spans,
                letters,
                ledger_status,
            });
        });
        let reloads = async {
            match handle.await {
                Ok(line) => Reloader::new(parts, line, config.clone(), requests.path()).serve(requests).await,
                // The line could not be started, and reports that itself.
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            report = line => Ok(report?),
            never = reloads => match never {},
            never = log_suppressed(&parts.ack) => match never {},
        }
    }
}

async fn log_suppressed(ack: &Ack) -> Infallible {
    loop {
        sleep(SUPPRESSED_EVERY).await;
        ack.log_suppressed(false);
    }
}
