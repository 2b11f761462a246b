//! Members over scripted topics: what one has appended is what the next is given.

mod appending;
mod claiming;

use std::{collections::BTreeMap, pin::Pin, sync::Arc};

use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use state::{
    Horizon, LedgerEntry, Outcome, PartitionChange, PartitionLog, PartitionLogFault, Position, Restored,
};

use super::{
    FollowFault, FollowOptions,
    follower::{Follower, RestoredStream},
    port::StateTopic,
    record::{Said, StateValue},
    scripted::{ScriptedConsumer, ScriptedLogs},
    shared_topics::{ClaimRequest, Stamp},
    testing::{entry, options, waiting},
};
use crate::name_of;

/// One member, and what it was told.
struct Site {
    logs: ScriptedLogs,
    follower: Follower<ScriptedConsumer, ScriptedLogs>,
    told: Arc<Told>,
}

#[derive(Default)]
struct Told {
    superseded: Mutex<Vec<String>>,
    late: Mutex<Vec<Restored>>,
}

/// An append under way.
type Appending = Pin<Box<dyn Future<Output = Result<(), PartitionLogFault>> + Send>>;

/// What was restored.
#[derive(Debug, Default, PartialEq)]
struct Given {
    outcomes: BTreeMap<String, LedgerEntry>,
    left: Option<Option<Horizon>>,
    waiting: Vec<u64>,
    /// Those of them that may have been sent.
    repeats: Vec<u64>,
}

impl Site {
    fn new(logs: ScriptedLogs, seed: u64) -> Self {
        let [ledger, waiting] = logs.consumers();
        let follower = Follower::new(FollowOptions { seed, ..options() }, ledger, waiting, logs.clone());
        let told = Arc::new(Told::default());
        let (superseded, late) = (Arc::clone(&told), Arc::clone(&told));
        follower.on_superseded(Box::new(move |source| superseded.superseded.lock().push(source.to_owned())));
        follower.on_late(Box::new(move |_, restored| late.late.lock().push(restored)));
        Self { logs, follower, told }
    }

    fn claim_with(&self, committed_under: Option<u64>, from: Option<Stamp>) -> RestoredStream {
        self.follower.claim(ClaimRequest { partition: 0, committed_under, from })
    }

    /// Claims partition 0 and takes everything.
    async fn claim(&self) -> Given {
        restored(self.claim_with(None, None)).await.unwrap()
    }

    /// Appends to partition 0; what comes of it.
    fn append(&self, changes: Vec<PartitionChange>) -> Appending {
        self.follower.append(&name_of("t", 0), changes)
    }

    async fn appended(&self, changes: Vec<PartitionChange>) {
        self.append(changes).await.unwrap();
    }
}

async fn restored(mut stream: RestoredStream) -> Result<Given, FollowFault> {
    let mut given = Given::default();
    while let Some(item) = stream.next().await {
        match item? {
            Restored::Outcome { event_id, entry, .. } => {
                assert!(given.left.is_none(), "outcomes come first");
                given.outcomes.insert(event_id.to_string(), entry);
            }
            Restored::Left(left) => assert!(given.left.replace(left).is_none()),
            Restored::Waiting(delivery) => {
                let at = delivery.event.position.offset;
                given.waiting.push(at);
                given.repeats.extend(delivery.may_repeat.then_some(at));
            }
        }
    }
    assert!(given.left.is_some(), "complete");
    Ok(given)
}

fn outcome(event: u64, outcome: Outcome) -> PartitionChange {
    let entry = entry(outcome, 1_000 + event);
    PartitionChange::Outcome { broker: "b".into(), event_id: format!("e{event}").into(), entry }
}

fn waits(load: &str, event: u64) -> PartitionChange {
    PartitionChange::Waiting(Box::new(waiting("b", load, event, b"{}")))
}

fn done(event: u64) -> PartitionChange {
    PartitionChange::Done { broker: "b".into(), position: Position::new(name_of("t", 0), 0, event) }
}

fn horizon(offset: u64) -> Option<Horizon> {
    Some(Horizon { epoch: 0, offset })
}

/// Lets everything happen that can.
async fn settle() {
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
}
