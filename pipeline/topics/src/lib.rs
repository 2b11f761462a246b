//! What sources over a topic's partitions have in common, whichever cluster the topic is on: counts for status and
//! metrics, marks by which a log is recognised, checkpoints, and pauses between retries. Nothing here talks to a
//! cluster.

mod backoff;
mod checkpoints;
mod connection_state;
mod counts;
mod losses;
mod mark;
mod unread_age;

pub use backoff::Backoff;
pub use checkpoints::Checkpoints;
pub use counts::PartitionCounts;
pub use losses::Losses;
pub use mark::{Mark, RecordMark, is_of, mark};
