//! This process's part in a consumer group, as the status shows it.

use kafka_engine::GroupCounts;
use serde::{Deserialize, Serialize};

/// A member of a consumer group at one moment. Counts are of this run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupStatus {
    /// The group's name.
    pub name: String,
    /// Partitions that the topic has.
    pub partitions: u64,
    /// Those of them that are read here now.
    pub assigned: u64,
    /// Times partitions were given to this process or taken from it.
    pub rebalances: u64,
    /// Partitions that another member had before they were given up here.
    pub lost: u64,
    /// Commits that the cluster has taken.
    pub commits: u64,
    /// Commits that it has refused.
    pub commits_refused: u64,
    /// The whole group's lag, over all partitions and members: offsets in the log that are not committed, so at least as
    /// many as events. None until the cluster has told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_events: Option<u64>,
}

impl GroupStatus {
    pub(crate) fn new(name: &str, counts: &GroupCounts) -> Self {
        Self {
            name: name.to_owned(),
            partitions: counts.partitions(),
            assigned: counts.assigned(),
            rebalances: counts.rebalances(),
            lost: counts.lost(),
            commits: counts.commits(),
            commits_refused: counts.commits_refused(),
            lag_events: counts.lag(),
        }
    }

    /// What to know of a member that is well.
    pub(super) fn notes(&self) -> Vec<String> {
        let Self { name, partitions, assigned, lost, .. } = self;
        let mut notes = Vec::new();
        if *assigned == 0 && *partitions > 0 {
            notes.push(format!(
                "group {name} gives this member none of the topic's {partitions} partitions: others read them, or a \
                 rebalance is going on"
            ));
        }
        if *lost > 0 {
            let were =
                if *lost == 1 { "1 partition was".to_owned() } else { format!("{lost} partitions were") };
            notes.push(format!(
                "{were} lost to other members of group {name} before this one had given them up: what was under way may \
                 have been sent twice, under the same webhook-id"
            ));
        }
        notes
    }
}
