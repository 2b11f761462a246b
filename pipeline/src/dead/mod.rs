//! Dead letters as an operator works with them: selected, told, counted by cause, replayed and removed. The same for the
//! commands, which work on a state directory, and for the admin endpoint, which works on a running line.

mod counts;
mod groups;
mod id;
mod lines;
pub mod moment;
mod page;
mod plan;
mod publish;
mod purge;
mod queues;
mod replay;
mod select;
#[cfg(test)]
mod testing;
mod told;

pub use counts::{Kept, ReplayCounts};
pub use groups::{Group, Groups, write_groups};
pub use id::{IdError, LetterId};
pub use lines::{write_line, write_whole};
pub use page::{Page, PageBounds, page};
pub use plan::{Fate, Planner};
pub use publish::{PublishCounts, Publisher};
pub use purge::{PurgePage, purge_page};
pub use queues::{DiskQueues, LineQueues};
pub use replay::{Queues, ReplayFault, ReplayPage, ReplayRequest, Sink, read_page, replay_page};
pub use select::{SelectError, Selection, stage_of};
pub use told::{Told, ToldAttempt, is_cut};

/// So many dead letters, in words.
#[must_use]
pub fn counted(letters: u64) -> String {
    if letters == 1 { "1 dead letter".to_owned() } else { format!("{letters} dead letters") }
}
