//! The seams of a member at which faults are planted: the log that its ledger appends to, and what it is given of a
//! partition.

use std::{fmt, sync::Arc, time::Duration};

use futures::{StreamExt, stream::BoxStream};
use line::{SourceFault, SourcePartition};
use state::{Appended, Ledger, LedgerKey, PartitionChange, PartitionLog, Restored};
use tokio::time::sleep;

use super::Group;
use crate::planted::Planted;

/// The log that a member appends to, with a fault if one is planted.
pub(crate) struct TamperedLog {
    log: Arc<dyn PartitionLog>,
    group: Arc<Group>,
    member: usize,
}

impl fmt::Debug for TamperedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TamperedLog").field("member", &self.member).finish_non_exhaustive()
    }
}

impl TamperedLog {
    pub(crate) fn new(log: Arc<dyn PartitionLog>, group: &Arc<Group>, member: usize) -> Arc<Self> {
        Arc::new(Self { log, group: group.clone(), member })
    }

    /// Removes what is done from the topic at once.
    fn remove_early(&self, source: &str, changes: &[PartitionChange]) {
        let partition = source.rsplit_once('/').and_then(|(_, partition)| partition.parse().ok());
        let Some((partition, member)) = partition.zip(self.group.member(self.member)) else { return };
        for change in changes {
            if let PartitionChange::Done { broker, position } = change {
                member.client.remove_now(partition, broker, position);
            }
        }
    }
}

impl PartitionLog for TamperedLog {
    fn append(&self, source: &Arc<str>, mut changes: Vec<PartitionChange>) -> Appended {
        match self.group.world.planted() {
            Some(Planted::SettledBeforeTopic) => {
                drop(tokio::spawn(self.log.append(source, changes)));
                return Box::pin(std::future::ready(Ok(())));
            }
            Some(Planted::RemovedBeforeOutcome) => self.remove_early(source, &changes),
            Some(Planted::ParkedForgotten) => changes.retain(
                |change| !matches!(change, PartitionChange::Waiting(waiting) if waiting.history.attempts > 0),
            ),
            _ => {}
        }
        self.log.append(source, changes)
    }
}

/// A partition as a member is given it, with a fault if one is planted.
pub(crate) fn tampered<S>(
    mut partition: SourcePartition<S>,
    planted: Option<Planted>,
    ledger: &Ledger,
) -> SourcePartition<S> {
    let ledger = ledger.clone();
    partition.restored = partition.restored.map(|restored| -> BoxStream<'static, _> {
        match planted {
            Some(Planted::WaitingNotRestored) => {
                restored.filter(|item| std::future::ready(!matches!(item, Ok(Restored::Waiting(_))))).boxed()
            }
            Some(Planted::DoubtNotRestored) => restored.map(|item| item.map(without_doubt)).boxed(),
            Some(Planted::ReadBeforeRestored) => {
                restored.filter_map(move |item| std::future::ready(later(item, &ledger))).boxed()
            }
            _ => restored,
        }
    });
    partition
}

fn without_doubt(restored: Restored) -> Restored {
    match restored {
        Restored::Left(_) => Restored::Left(None),
        other => other,
    }
}

/// Puts an outcome into the ledger when reading has long begun.
fn later(item: Result<Restored, SourceFault>, ledger: &Ledger) -> Option<Result<Restored, SourceFault>> {
    let Ok(Restored::Outcome { broker, event_id, entry }) = item else { return Some(item) };
    let (ledger, key) = (ledger.clone(), LedgerKey::new(&broker, &event_id));
    drop(tokio::spawn(async move {
        sleep(Duration::from_millis(500)).await;
        let _merged = ledger.restore(vec![(key, entry)]).await.is_ok();
    }));
    None
}
