//! What a client tells by itself: the other direction of the port. Called on the thread that polls.

use crate::fault::ClusterFault;

/// Follows a client's events.
pub(crate) trait Events: Send + Sync {
    /// The group gives these partitions; they are assigned when this returns.
    fn assigned(&self, partitions: Vec<i32>);

    /// The group takes these partitions, or has already if they are `lost`; nothing of them is going on, and they are
    /// unassigned, when this returns.
    fn revoked(&self, partitions: Vec<i32>, lost: bool);

    /// Something is in the way of the client, which tries on.
    fn trouble(&self, fault: ClusterFault);

    /// The client cannot go on; `taken` if another process has this member's name.
    fn failed(&self, detail: String, taken: bool);
}
