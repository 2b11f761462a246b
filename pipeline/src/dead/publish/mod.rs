//! Copies dead letters to a topic, beside the line: letters leave the store in the order in which they were recorded, each
//! as the line that an export writes, at least once. The store stays the truth: nothing is removed from it here.
//!
//! A letter goes out only once it is durable. How far letters went is recorded when the cluster has them; what it had
//! and was not recorded before a crash goes out again. A letter that is gone before its turn is passed over, one that
//! has changed goes out again under the same id.
//!
//! The line never waits for this. A cluster that is away, or has no such topic, is tried again with growing pauses; the
//! letters wait in the store, and memory holds one page of them.

mod cluster;
mod counts;
mod page;
mod publisher;
#[cfg(test)]
mod script;
mod topic;
mod value;
mod work;
#[cfg(test)]
mod work_tests;

pub use counts::PublishCounts;
pub use publisher::Publisher;
