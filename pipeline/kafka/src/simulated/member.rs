//! A member of the group over a simulated cluster, as a client's polling thread drives it.

use std::sync::Arc;

use state::{Clock, Restored};
use topics::Checkpoints;

use super::connection::{ClientConsumer, Topics};
use crate::{
    connect, drain::PartitionDrain, fault::KafkaFault, follow::PartitionState, given::AssignedPartitions,
    lease::MemberLease, member::Member, options::KafkaOptions,
};

/// A member of the group.
pub struct SimulatedMember<K: Checkpoints> {
    member: Arc<Member<ClientConsumer, K>>,
    follower: Arc<Topics>,
}

impl<K: Checkpoints> SimulatedMember<K> {
    pub(super) fn new(
        consumer: ClientConsumer,
        options: KafkaOptions,
        checkpoints: K,
        clock: Clock,
        follower: &Arc<Topics>,
        lease: MemberLease,
    ) -> Self {
        let state = Some(follower.clone() as Arc<dyn PartitionState>);
        let member = Arc::new(Member::new(consumer, options, checkpoints, clock, state, Some(lease)));
        follower.on_superseded(connect::lose(&member));
        Self { member, follower: Arc::clone(follower) }
    }

    /// The partitions for the line, as they come.
    #[must_use]
    pub fn partitions(&self) -> AssignedPartitions {
        self.member.given.clone()
    }

    /// Asks `line` from now on how far partitions are settled, and to give them up.
    pub fn attach(&self, line: impl PartitionDrain) {
        self.member.attach(Arc::new(line));
    }

    /// Gives what others have delivered and told late from now on.
    pub fn on_late(&self, tell: impl Fn(&Arc<str>, Restored) + Send + Sync + 'static) {
        self.follower.on_late(Box::new(tell));
    }

    /// Commits what is settled, as often as the options say, and keeps the lease; never ends.
    pub async fn commit_on(&self) {
        futures::join!(self.member.commit_on(), self.member.renew_on());
    }

    /// The group gives these partitions.
    ///
    /// # Errors
    /// What is wrong with their places, or a fault of the state.
    pub async fn assign(&self, partitions: &[i32]) -> Result<(), KafkaFault> {
        self.member.assign(partitions).await
    }

    /// The group takes these partitions, or has already if they are `lost`.
    pub async fn revoke(&self, partitions: &[i32], lost: bool) {
        self.member.revoke(partitions, lost).await;
    }

    /// Commits what is settled and gives everything up, when the line has ended.
    pub async fn finish(&self) {
        self.member.finish().await;
    }
}
