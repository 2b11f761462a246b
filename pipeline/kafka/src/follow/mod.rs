//! State that follows its partition: what the ledger records of a partition is also appended to two topics beside the
//! source's, from which whoever reads the partition next restores it.
//!
//! A third topic, `…-control` (compacted), is the group's: see [`control`].
//!
//! `…-ledger` (deleted by age) has outcomes, horizons, claims and releases; `…-waiting` (compacted) has the deliveries that
//! wait, with their bodies, each under its broker and the place of its event. Both have as many partitions as the source,
//! and a partition's state is in the partition of the same number.
//!
//! Guarantees: what was acknowledged is given back to the next claimant, deliveries of one load in the order of the
//! source. After a claim nothing that an earlier owner writes counts but deliveries that were made. Nothing is removed
//! from the topic of waiting deliveries before its final outcome stands in the other, with no claim before it.

mod appends;
pub mod control;
mod fence;
mod follower;
mod member;
mod options;
mod plan;
mod port;
mod reader;
mod record;
mod restoring;
#[cfg(any(test, feature = "testing"))]
#[cfg_attr(not(test), allow(dead_code, reason = "simulations use a part of it"))]
pub(crate) mod scripted;
mod sending;
mod setup;
mod shared_topics;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tombstones;
mod topics;
mod waiting_order;

#[cfg(any(test, feature = "testing"))]
pub(crate) use follower::Follower;
pub use follower::RestoredStream;
pub(crate) use member::PartitionState;
pub use options::FollowOptions;
#[cfg(feature = "client")]
pub(crate) use plan::AROUND_A_BODY;
pub(crate) use plan::{TopicFacts, TopicPlan};
#[cfg(feature = "client")]
pub(crate) use port::StateTopic;
#[cfg(all(feature = "testing", not(feature = "client")))]
pub(crate) use port::StateTopic;
pub(crate) use port::{StateAdmin, StateRecord, StateWriter};
#[cfg(feature = "testing")]
pub(crate) use record::{Claim, Said};
#[cfg(any(feature = "testing", feature = "fuzzing"))]
pub(crate) use record::{StateValue, WaitingKey};
pub use shared_topics::{ClaimRequest, OnLate, OnSuperseded, Stamp};
pub use topics::StateTopics;

pub use crate::fault::FollowFault;

/// Reads `bytes` as a record of either topic and as a name of a delivery; panics if one that is read is not written as the
/// same.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
#[allow(clippy::panic, reason = "a fuzz target fails by a panic")]
pub fn decode_any(bytes: &[u8]) {
    control::decode_any(bytes);
    if let Ok(value) = StateValue::decode(bytes) {
        let again = value.encode().ok().and_then(|bytes| StateValue::decode(&bytes).ok());
        assert!(again.as_ref() == Some(&value), "{value:?} is not written as it was read");
    }
    if let Some(key) = WaitingKey::of_bytes(bytes) {
        assert_eq!(key.as_bytes(), bytes);
    }
}
