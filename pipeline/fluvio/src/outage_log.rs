//! Logs that a partition cannot be read: once when it begins, once more when the reason changes, and once when
//! records come again; each retry only at level debug.
//!
//! A new connection is not the end of an outage: a leader can accept every stream and still not be able to send the
//! next record.

use std::{mem, sync::Arc};

use tokio::time::Instant;

use super::partition::ClusterFault;

/// The log lines about one partition.
pub(super) struct OutageLog {
    source: Arc<str>,
    now: Option<Now>,
}

/// The current outage.
struct Now {
    since: Instant,
    tries: u32,
    /// As it was last logged.
    told: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Cluster(mem::Discriminant<ClusterFault>),
    Batch(mem::Discriminant<ClusterFault>),
    Short,
}

impl OutageLog {
    /// No outage of `source`.
    pub(super) fn new(source: Arc<str>) -> Self {
        Self { source, now: None }
    }

    /// The cluster, or the record at `position`, cannot be read.
    pub(super) fn lost(&mut self, fault: &ClusterFault, position: u64) {
        let which = mem::discriminant(fault);
        let kind = if fault.is_of_a_batch() { Kind::Batch(which) } else { Kind::Cluster(which) };
        let (tries, is_news) = self.note(kind);
        let source = &self.source;
        match kind {
            _ if !is_news => tracing::debug!(%source, position, %fault, tries, "retrying"),
            Kind::Batch(_) => {
                tracing::warn!(%source, position, %fault, tries, "the log cannot be read past this position; retrying");
            }
            _ if tries > 1 => {
                tracing::warn!(%source, position, %fault, tries, "the cluster is still unreachable");
            }
            _ => {
                tracing::warn!(%source, position, %fault, "the cluster is unreachable; retrying until it answers");
            }
        }
    }

    /// The log ends before `position`.
    pub(super) fn short(&mut self, position: u64, end: u64) {
        let (tries, is_news) = self.note(Kind::Short);
        let source = &self.source;
        if is_news {
            tracing::warn!(%source, position, end, "the log ends before the offset to resume at: its leader has not caught up, or it is another log; retrying until it reaches that offset");
        } else {
            tracing::debug!(%source, position, end, tries, "the log still ends before the offset to resume at");
        }
    }

    /// Reading resumes at `position`.
    pub(super) fn over(&mut self, position: u64) {
        let Some(Now { since, tries, told }) = self.now.take() else { return };
        let (source, away) = (&self.source, since.elapsed());
        if let Kind::Cluster(_) = told {
            tracing::info!(%source, position, ?away, tries, "the cluster answers again; reading resumed");
        } else {
            tracing::info!(%source, position, ?away, tries, "reading resumed");
        }
    }

    /// The number of tries, and whether this one is to be logged.
    fn note(&mut self, kind: Kind) -> (u32, bool) {
        let Some(now) = &mut self.now else {
            self.now = Some(Now { since: Instant::now(), tries: 1, told: kind });
            return (1, true);
        };
        now.tries = now.tries.saturating_add(1);
        (now.tries, mem::replace(&mut now.told, kind) != kind)
    }
}
