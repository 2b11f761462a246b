//! What status and metrics read of a run while it goes on.

use std::{fmt, net::SocketAddr, sync::Arc};

use stages::Tally;
use state::LedgerStatus;

use crate::{dead::DeadTopicCounts, group::GroupHandle, telemetry::SpanCounts};
use kafka_engine::GroupCounts;
use line::{LineHandle, Roster};
use sources::FileCounts;
use subscriptions::Counts;
use topics::{Losses, PartitionCounts};

/// Counts of the partitions that are read of a topic.
#[derive(Clone)]
pub struct TopicView {
    partitions: Arc<dyn Fn() -> Vec<Arc<PartitionCounts>> + Send + Sync>,
    group: Option<(Arc<str>, Arc<GroupCounts>)>,
    members: Option<GroupHandle>,
    losses: Arc<Losses>,
}

impl Default for TopicView {
    fn default() -> Self {
        Self::of(Vec::new())
    }
}

impl fmt::Debug for TopicView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.partitions()).finish()
    }
}

impl TopicView {
    /// Of partitions that stay for the whole run.
    pub(super) fn of(partitions: Vec<Arc<PartitionCounts>>) -> Self {
        Self {
            partitions: Arc::new(move || partitions.clone()),
            group: None,
            members: None,
            losses: Arc::default(),
        }
    }

    /// Of partitions that come and go, as `partitions` tells; `group` is the consumer group's name and this member's part,
    /// `losses` what the log no longer had.
    pub(super) fn assigned(
        partitions: impl Fn() -> Vec<Arc<PartitionCounts>> + Send + Sync + 'static,
        group: Option<(Arc<str>, Arc<GroupCounts>)>,
        losses: Arc<Losses>,
    ) -> Self {
        Self { partitions: Arc::new(partitions), group, members: None, losses }
    }

    /// The same, whose state follows its partitions: with all members of the group.
    pub(super) fn with_members(self, members: Option<GroupHandle>) -> Self {
        Self { members, ..self }
    }

    /// All members of the group, if state follows its partition.
    #[must_use]
    pub fn members(&self) -> Option<&GroupHandle> {
        self.members.as_ref()
    }

    /// What the log no longer had, in the whole run.
    #[must_use]
    pub fn losses(&self) -> &Arc<Losses> {
        &self.losses
    }

    /// Counts of the partitions that are read now.
    #[must_use]
    pub fn partitions(&self) -> Vec<Arc<PartitionCounts>> {
        (self.partitions)()
    }

    /// The consumer group's name, and this member's part in it.
    #[must_use]
    pub fn group(&self) -> Option<(&Arc<str>, &GroupCounts)> {
        self.group.as_ref().map(|(name, counts)| (name, &**counts))
    }
}

/// What can be read of a line while it runs.
#[derive(Clone, Debug)]
pub struct View {
    /// The line's own counts.
    pub line: LineHandle,
    /// All brokers, including those that are added while it runs.
    pub brokers: Roster,
    /// Counts of records that never became deliveries.
    pub tally: Arc<Tally>,
    /// The offset at which the run resumed its source, if an earlier run had left a checkpoint.
    pub resumed_at: Option<u64>,
    /// The address producers post to, if the source is `http`.
    pub listening: Option<SocketAddr>,
    /// Counts of the partitions, if the source is a topic.
    pub topic: TopicView,
    /// Counts of the file, if the source is one.
    pub file: Option<Arc<FileCounts>>,
    /// Counts of the database with brokers and subscriptions, if there is one.
    pub subscriptions: Option<Arc<Counts>>,
    /// Counts of exported spans, if traces are configured.
    pub spans: Option<Arc<SpanCounts>>,
    /// Counts of published dead letters, if a topic for them is configured.
    pub letters: Option<Arc<DeadTopicCounts>>,
    /// Reports a fault that ends the run.
    pub ledger_status: LedgerStatus,
}
