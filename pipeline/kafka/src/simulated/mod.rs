//! A cluster in memory with a source topic, its state topics and a group (feature `testing`): what real members decide,
//! claim and commit is simulated over it. No sockets, no threads; time is tokio's.
//!
//! Guarantees: what was acknowledged stays; a process that dies leaves any beginning of what it had on its way to each
//! topic, and nothing of it is acknowledged any more; a commit counts only of the partition's owner.

mod client;
mod connection;
mod member;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use state::{Outcome, UnixMillis};

pub use self::{client::SimulatedClient, member::SimulatedMember};
use crate::{
    consumer::Offset,
    follow::{
        Claim, Said, StateRecord, StateTopic, StateValue,
        scripted::{ScriptedLogs, ScriptedTopic},
    },
};

/// The topic's name.
pub const TOPIC: &str = "t";

/// What is wrong with a cluster, on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// What a process writes counts, whoever has claimed the partition since.
    pub heeds_zombies: bool,
    /// Members do not see the claims of others.
    pub hides_claims: bool,
    /// The group knows one record more than was committed.
    pub commits_ahead: bool,
}

/// The cluster. A clone is the same.
#[derive(Clone)]
pub struct SimulatedCluster(Arc<Shared>);

struct Shared {
    source: ScriptedTopic,
    state: ScriptedLogs,
    partitions: i32,
    faults: Faults,
    group: Mutex<Group>,
}

/// What the group and the state topics say of partitions.
#[derive(Default)]
struct Group {
    committed: BTreeMap<i32, Offset>,
    owners: BTreeMap<i32, Arc<str>>,
    claims: BTreeMap<i32, LastClaim>,
}

/// The last claim of a partition, as its ledger topic has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastClaim {
    /// Where it stands.
    pub offset: u64,
    /// Whose it is.
    pub member: Arc<str>,
    /// How many claims of the partition there were, this one included, before which it had not been given up in good order.
    pub disorders: u64,
}

/// An outcome in a ledger topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Where it stands.
    pub offset: u64,
    /// The broker.
    pub broker: Arc<str>,
    /// The event.
    pub event_id: Arc<str>,
    /// What became of it.
    pub outcome: Outcome,
}

impl SimulatedCluster {
    /// One whose topic has so many partitions.
    #[must_use]
    pub fn new(partitions: i32, faults: Faults) -> Self {
        let (source, state, group) = (ScriptedTopic::default(), ScriptedLogs::default(), Mutex::default());
        Self(Arc::new(Shared { source, state, partitions, faults, group }))
    }

    /// A process that begins, of this name, which no other has had; its claims are told apart by `seed`.
    #[must_use]
    pub fn client(&self, name: Arc<str>, seed: u64) -> SimulatedClient {
        SimulatedClient::new(self.clone(), name, seed)
    }

    /// Puts a record at the end of a partition of the source's topic.
    pub fn produce(&self, partition: i32, at: UnixMillis, value: Bytes) {
        self.0.source.append_value(partition, Some(at), None, Some(value));
    }

    /// From now on the group says that a partition is this member's.
    pub fn give(&self, partition: i32, member: &Arc<str>) {
        self.0.group.lock().owners.insert(partition, Arc::clone(member));
    }

    /// Whose a partition is, as the group says.
    #[must_use]
    pub fn owner(&self, partition: i32) -> Option<Arc<str>> {
        self.0.group.lock().owners.get(&partition).cloned()
    }

    /// Up to where the group has committed a partition.
    #[must_use]
    pub fn committed(&self, partition: i32) -> Option<u64> {
        self.0.group.lock().committed.get(&partition).map(|offset| offset.offset)
    }

    /// The last claim of a partition.
    #[must_use]
    pub fn claim(&self, partition: i32) -> Option<LastClaim> {
        self.0.group.lock().claims.get(&partition).cloned()
    }

    /// All outcomes that a partition's ledger topic has, whoever has written them.
    #[must_use]
    pub fn outcomes(&self, partition: i32) -> Vec<Written> {
        let mut written = Vec::new();
        self.0.state.ledger.change(partition, |log| {
            for record in &log.records {
                let value = record.value.as_deref().and_then(|value| StateValue::decode(value).ok());
                if let Some(StateValue { said: Said::Outcome { broker, event_id, entry }, .. }) = value {
                    written.push(Written {
                        offset: record.offset(),
                        broker,
                        event_id,
                        outcome: entry.outcome,
                    });
                }
            }
        });
        written
    }

    /// Removes from a partition's waiting topic what has been replaced, as compaction does; tombstones too.
    pub fn compact(&self, partition: i32) {
        self.0.state.compact(partition);
    }

    /// A record of a state topic arrives.
    fn land(&self, mut record: StateRecord) {
        let partition = record.partition;
        let mut group = self.0.group.lock();
        if record.topic == StateTopic::Ledger {
            let next = self.0.state.ledger.change(partition, |log| log.next);
            let value = record.value.as_deref().and_then(|value| StateValue::decode(value).ok());
            if let Some(StateValue { said: Said::Claim(Claim { member, .. }), .. }) = &value {
                let before = group.claims.get(&partition).map_or(0, |claim| claim.disorders);
                let disorders = before + u64::from(!self.is_released(partition));
                let claim = LastClaim { offset: next, member: Arc::clone(member), disorders };
                group.claims.insert(partition, claim);
            } else if self.0.faults.heeds_zombies
                && let (Some(mut value), Some(claim)) = (value, group.claims.get(&partition))
            {
                value.epoch = claim.offset + 1;
                record.value = value.encode().ok();
            }
        }
        match record.topic {
            StateTopic::Ledger => self.0.state.ledger.append(&record),
            StateTopic::Waiting => self.0.state.waiting.append(&record),
        }
    }

    /// Whether the last owner of a partition has given it up in good order, or there was none.
    fn is_released(&self, partition: i32) -> bool {
        self.0.state.ledger.change(partition, |log| {
            let said = log.records.iter().rev().filter_map(|record| {
                StateValue::decode(record.value.as_deref()?).ok().map(|value| value.said)
            });
            let last = { said }.find(|said| matches!(said, Said::Claim(_) | Said::Released(_)));
            !matches!(last, Some(Said::Claim(_)))
        })
    }
}
