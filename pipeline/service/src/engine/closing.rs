//! What happens after the line has ended: the last dead letters are published, the admin endpoint ends, the summary is
//! made, and the state closes. The order matters: whoever has the state directory open ends before it is closed.

use std::time::Duration;

use state::{LedgerStatus, StateFault};
use tokio::time::sleep;

use super::fault::RunFault;
use crate::{
    admin::Admin,
    assemble::Parts,
    dead::Publisher,
    summary::{SourceLosses, Summary},
};
use line::{LineReport, stop::Stop};

/// How long, after a fault, the rest may take to close.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What has to be closed when the line has ended.
pub(super) struct Closing<'r> {
    pub(super) parts: Parts,
    pub(super) admin: Option<Admin>,
    pub(super) publisher: Option<Publisher>,
    pub(super) losses: SourceLosses,
    pub(super) stop: &'r mut Stop,
}

impl Closing<'_> {
    /// Publishes, answers and writes what is left, closes the state, and sums up. There is no report after a fault: then
    /// there is no summary, and the next run publishes what is left.
    pub(super) async fn end(self, report: Option<LineReport>) -> Result<Summary, RunFault> {
        let Self { parts, admin, publisher, losses, stop } = self;
        // First, while the admin endpoint still shows its progress.
        let unpublished = match publisher.filter(|_| report.is_some()) {
            Some(publisher) => Some(publisher.finish(stop).await),
            None => None,
        };
        // Before the state is closed, which the endpoint holds open.
        if let Some(admin) = admin {
            admin.end().await;
        }
        let summary = report.map(|report| {
            Summary::new(&report, &parts.ack.tally(), &parts.brokers.all(), &parts.ledger)
                .map(|summary| Summary { unpublished, ..summary.with_losses(&losses) })
        });
        let Parts { ledger, thread, ack, telemetry, .. } = parts;
        if let Some(telemetry) = telemetry {
            telemetry.end().await;
        }
        drop((ledger, ack));
        // The thread ends when the last handle on the ledger is gone: all of them were the line's or are dropped above.
        let ended = tokio::task::spawn_blocking(|| thread.join()).await;
        ended.map_err(StateFault::interrupted)??;
        // Without a report there was a fault, and the caller returns that one.
        Ok(summary.ok_or(StateFault::Closed)??)
    }
}

/// Returns when closing has had [`CLOSE_TIMEOUT`] after a fault; never while there is no fault.
pub(super) async fn timed_out(ledger_status: &LedgerStatus, failed: bool) -> StateFault {
    if !failed {
        ledger_status.failed().await;
    }
    sleep(CLOSE_TIMEOUT).await;
    ledger_status.fault().unwrap_or(StateFault::Closed)
}
