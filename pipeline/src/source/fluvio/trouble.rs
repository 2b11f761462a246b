//! What is told of a partition that cannot be read: what goes wrong enters, lines of the log leave. Once when it begins,
//! once more when the reason changes, and once when records come again; each try only at level debug.
//!
//! A connection that comes about is not the end of it: a leader that takes every stream and then cannot give what stands
//! next is tried again and again without reading getting on.

use std::{mem, sync::Arc};

use tokio::time::Instant;

use super::partition::ClusterFault;

/// What is told of one partition.
pub(super) struct Trouble {
    source: Arc<str>,
    now: Option<Now>,
}

/// What goes wrong now.
struct Now {
    since: Instant,
    tries: u32,
    /// As it was last told.
    told: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Cluster(mem::Discriminant<ClusterFault>),
    Batch(mem::Discriminant<ClusterFault>),
    Short,
}

impl Trouble {
    /// Nothing goes wrong with `source`.
    pub(super) fn new(source: Arc<str>) -> Self {
        Self { source, now: None }
    }

    /// The cluster, or the record at `position`, is at fault.
    pub(super) fn lost(&mut self, fault: &ClusterFault, position: u64) {
        let which = mem::discriminant(fault);
        let kind = if fault.is_of_a_batch() { Kind::Batch(which) } else { Kind::Cluster(which) };
        let (tries, is_news) = self.note(kind);
        let source = &self.source;
        match kind {
            _ if !is_news => tracing::debug!(%source, position, %fault, tries, "it is tried again"),
            Kind::Batch(_) => {
                tracing::warn!(%source, position, %fault, tries, "the log cannot be read on; it is tried again until it can");
            }
            _ if tries > 1 => tracing::warn!(%source, position, %fault, tries, "the cluster is still lost"),
            _ => {
                tracing::warn!(%source, position, %fault, "the cluster is lost; it is tried again until it is back");
            }
        }
    }

    /// The log ends before `position`.
    pub(super) fn short(&mut self, position: u64, end: u64) {
        let (tries, is_news) = self.note(Kind::Short);
        let source = &self.source;
        if is_news {
            tracing::warn!(%source, position, end, "the log ends before the place to go on at: its leader does not know all that was committed, or it is another log; it is asked again until it reaches it");
        } else {
            tracing::debug!(%source, position, end, tries, "the log still ends before the place to go on at");
        }
    }

    /// Reading goes on, from `position`.
    pub(super) fn over(&mut self, position: u64) {
        let Some(Now { since, tries, told }) = self.now.take() else { return };
        let (source, away) = (&self.source, since.elapsed());
        if let Kind::Cluster(_) = told {
            tracing::info!(%source, position, ?away, tries, "the cluster is back; reading goes on");
        } else {
            tracing::info!(%source, position, ?away, tries, "reading goes on");
        }
    }

    /// How often it has been tried, and whether this is to be told.
    fn note(&mut self, kind: Kind) -> (u32, bool) {
        let Some(now) = &mut self.now else {
            self.now = Some(Now { since: Instant::now(), tries: 1, told: kind });
            return (1, true);
        };
        now.tries = now.tries.saturating_add(1);
        (now.tries, mem::replace(&mut now.told, kind) != kind)
    }
}
