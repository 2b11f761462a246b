//! Dead letters for operators: selecting, listing, counting by cause, replaying and removing. Shared by the commands,
//! which work on a state directory, and the admin endpoint, which works on a running line.

mod counts;
mod groups;
mod id;
mod json;
mod page;
mod plan;
mod publish;
mod purge;
mod queues;
mod replay;
mod select;
#[cfg(test)]
mod testing;
mod text;

pub use counts::{Overtaking, ReplayCounts, SkipReason};
pub use groups::{Group, Groups, write_groups};
pub use id::{IdError, LetterId};
pub use json::{AttemptJson, DeadLetterJson, PassedByJson, is_cut};
pub use page::{Page, PageBounds, page};
pub use plan::{Planner, ReplayOutcome};
pub use publish::{DeadTopicCounts, Publisher};
pub use purge::{PurgePage, purge_page};
pub use queues::{DiskQueues, LineQueues};
pub use replay::{Queues, ReplayFault, ReplayPage, ReplayRequest, Sink, read_page, replay_page};
pub use select::{SelectError, Selection, stage_of};
pub use text::{write_line, write_whole};

/// So many dead letters, in words.
#[must_use]
pub fn counted(letters: u64) -> String {
    if letters == 1 { "1 dead letter".to_owned() } else { format!("{letters} dead letters") }
}
