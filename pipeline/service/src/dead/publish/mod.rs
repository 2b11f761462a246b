//! Publishes dead letters to a topic, beside the line: in the order in which they were recorded, each as the line of
//! an export, at least once. Nothing is removed from the store.
//!
//! A letter is sent only once it is durable. Progress is recorded after the cluster has accepted the letters; letters
//! that were accepted but not recorded before a crash are sent again. A letter that was removed before its turn is
//! skipped; one that has changed is sent again under the same id.
//!
//! The line never waits for this. A cluster that cannot be reached, or lacks the topic, is retried with growing
//! pauses; the letters wait in the store, and memory holds one page of them.

mod counts;
mod fluvio_topic;
mod kafka_topic;
mod page;
mod publish_loop;
#[cfg(test)]
mod publish_loop_tests;
mod publisher;
#[cfg(test)]
mod scripted_topic;
mod topic;
mod value;

pub use counts::DeadTopicCounts;
pub use publisher::Publisher;
