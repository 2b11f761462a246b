//! How many dead letters there are, by what they are of. A figure, no judgement.

use serde::Serialize;

/// Dead letters that fit what was issued, by the system's own account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Letters {
    /// Of events for brokers that want them; the broker may have taken the event all the same.
    pub deliveries: u64,
    /// Of those: for brokers that were well. Nobody should need one.
    pub at_well: u64,
    /// Of records that are no events.
    pub garbage: u64,
    /// Of records with other bytes under an event's id.
    pub conflicts: u64,
}
