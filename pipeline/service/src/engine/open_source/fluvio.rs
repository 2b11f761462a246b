//! The line over the partitions of a Fluvio topic.

use std::convert::Infallible;

use futures::future::join_all;

use crate::engine::{
    fault::RunFault,
    line_run::{LineRun, OpenSource},
    view::{TopicView, View},
};
use fluvio_engine::{Connected, FluvioOptions, FluvioSource, PartitionClient, check_ownership, connect};
use line::{LineReport, fixed};

impl LineRun<'_> {
    pub(super) async fn over_fluvio(
        self,
        options: &FluvioOptions,
        started: impl FnOnce(View),
    ) -> Result<LineReport, RunFault> {
        let Some(Connected { sources, growth }) = self.connect(options).await? else {
            return Ok(LineReport::default());
        };
        let topic = TopicView::of(sources.iter().map(FluvioSource::counts).collect());
        let final_offset_reports: Vec<_> =
            sources.iter().filter_map(FluvioSource::final_offset_report).collect();
        let source = fixed(sources.into_iter().map(FluvioSource::into_partition));
        let source = OpenSource { topic, ..OpenSource::new(source) };
        let report = tokio::select! {
            report = Box::pin(self.over(source, started)) => report,
            never = growth => match never {},
        };
        // The last attempts have been settled since the partitions last told the cluster.
        if report.is_ok() {
            join_all(final_offset_reports).await;
        }
        report
    }

    /// The partitions to read; none if the run was stopped before the cluster could be reached.
    async fn connect(
        &self,
        options: &FluvioOptions,
    ) -> Result<Option<Connected<PartitionClient, impl Future<Output = Infallible> + use<>>>, RunFault> {
        let ledger = self.parts.ledger.clone();
        check_ownership(ledger.store(), options)?;
        let mut stop = self.stop.clone();
        tokio::select! {
            connected = connect(options, ledger, self.fail_fast, self.parts.clock.clone()) => Ok(Some(connected?)),
            _ = stop.asked() => Ok(None),
        }
    }
}
