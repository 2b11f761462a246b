//! Replays a page of dead letters, in the order of their positions.
//!
//! Guarantees: at any time every letter is still a letter, or its deliveries wait durably on disk, or both; never
//! neither. Letters of one broker go to its queue in their order: if one finds no room, the page ends there, for
//! every later one of that broker.

use serde::{Deserialize, Serialize};
use stages::models::Fault;
use state::{DeadLetter, Record, StateFault, Store, UnixMillis};

use super::{
    LetterId, Overtaking, Page, PageBounds, Planner, ReplayCounts, ReplayOutcome, Selection, SkipReason, page,
};
use line::{LineFault, Replay, Replayed};

/// The most deliveries put on disk at once, which are in memory meanwhile. A record for many brokers may have more.
const BATCH_MAX: usize = 256;

/// Records the outcomes of letters.
pub trait Sink: Send {
    /// Records these durably, in this order.
    fn record(&mut self, records: Vec<Record>) -> impl Future<Output = Result<(), ReplayFault>> + Send;
}

/// The disk queues for deliveries of letters.
pub trait Queues: Sink {
    /// Puts deliveries on their brokers' disk queues, each with the letter that goes with it. Once one of a broker finds
    /// no room, no later one of it does in the same call.
    fn place(
        &mut self,
        replays: Vec<Replay>,
    ) -> impl Future<Output = Result<Vec<Replayed>, ReplayFault>> + Send;
}

/// Why letters cannot be read, replayed or removed. What was done before stays done.
#[derive(Debug, thiserror::Error)]
pub enum ReplayFault {
    /// The state failed.
    #[error(transparent)]
    State(#[from] StateFault),
    /// The line has ended with a fault.
    #[error(transparent)]
    Line(#[from] LineFault),
}

impl From<Fault> for ReplayFault {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::State(fault) => Self::State(fault),
        }
    }
}

/// A request to replay letters.
#[derive(Clone, Debug)]
pub struct ReplayRequest {
    /// The selected letters.
    pub selection: Selection,
    /// Only letters behind this one.
    pub after: Option<LetterId>,
    /// When the replay began: later letters are not replayed.
    pub began: UnixMillis,
    /// Only reports what a replay would do.
    pub dry_run: bool,
    /// Whether to send what later events of its load have passed.
    pub force: bool,
}

/// The result of a page of letters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayPage {
    /// The counts.
    pub counts: ReplayCounts,
    /// Where to continue; the beginning if none.
    pub after: Option<String>,
    /// Whether all letters have been read.
    pub done: bool,
    /// The broker whose disk queue is full; continue from `after` when some of it has drained.
    pub full: Option<String>,
    /// Whether the line is stopping and accepts no more.
    pub stopping: bool,
}

/// Replays the next letters.
///
/// # Errors
/// [`ReplayFault`]; it can be repeated: nothing is lost or sent twice.
pub async fn replay_page(
    store: &Store,
    planner: &Planner,
    queues: &mut impl Queues,
    request: &ReplayRequest,
) -> Result<ReplayPage, ReplayFault> {
    let ReplayRequest { selection, after, began, dry_run, force } = request.clone();
    let Page { letters, next } = read_page(store, selection, after.clone(), PageBounds::default()).await?;
    let mut replayed =
        ReplayPage { done: next.is_none(), after: text(next.as_ref()), ..ReplayPage::default() };
    let mut before = after;
    let mut letters = letters.into_iter();
    loop {
        let (mut batch, mut deliveries) = (Vec::new(), 0);
        while deliveries < BATCH_MAX
            && let Some(letter) = letters.next()
        {
            let outcome = planner.plan(store, &letter, began, force).await?;
            if let ReplayOutcome::Send { deliveries: these, .. } = &outcome {
                deliveries += these.len();
            }
            let id = LetterId::from(&letter);
            let overtaking = overtaking(store, &id, &letter, &outcome)?;
            batch.push(Planned { id, letter, outcome, overtaking });
        }
        let Some(last) = batch.last().map(|planned| planned.id.clone()) else { return Ok(replayed) };
        if dry_run {
            batch.iter().for_each(|planned| planned.count(&mut replayed.counts));
        } else if let Some(interrupted) = apply(batch, queues, &mut replayed.counts).await? {
            let Interrupted { behind, broker, stopping } = interrupted;
            replayed.after = text(behind.or(before).as_ref());
            (replayed.done, replayed.stopping) = (false, stopping);
            replayed.full = (!stopping).then_some(broker);
            return Ok(replayed);
        }
        before = Some(last);
    }
}

/// What has passed `letter`, if that is why it stays.
fn overtaking(
    store: &Store,
    id: &LetterId,
    letter: &DeadLetter,
    outcome: &ReplayOutcome,
) -> Result<Option<Overtaking>, StateFault> {
    let (ReplayOutcome::Skipped(why) | ReplayOutcome::Send { skipped: Some(why), .. }) = outcome else {
        return Ok(None);
    };
    if *why != SkipReason::Overtaken {
        return Ok(None);
    }
    Ok(store.overtaken().of(letter)?.map(|newer| Overtaking {
        letter: id.to_string(),
        event_id: letter.event_id.clone(),
        passed_by: newer.into(),
    }))
}

fn text(id: Option<&LetterId>) -> Option<String> {
    id.map(ToString::to_string)
}

/// Reads a page where blocking is allowed.
///
/// # Errors
/// As [`page`].
pub async fn read_page(
    store: &Store,
    selection: Selection,
    after: Option<LetterId>,
    bounds: PageBounds,
) -> Result<Page, StateFault> {
    let store = store.clone();
    let read = tokio::task::spawn_blocking(move || page(&store, &selection, after.as_ref(), bounds));
    read.await.unwrap_or_else(|error| Err(StateFault::interrupted(error)))
}

/// A letter and its outcome.
struct Planned {
    id: LetterId,
    letter: DeadLetter,
    outcome: ReplayOutcome,
    /// What has passed it, if it stays for that.
    overtaking: Option<Overtaking>,
}

impl Planned {
    fn count(&self, counts: &mut ReplayCounts) {
        if let Some(overtaking) = &self.overtaking {
            counts.overtaken_by(overtaking.clone());
        }
        match &self.outcome {
            ReplayOutcome::Send { deliveries, skipped } => {
                deliveries.iter().for_each(|delivery| counts.delivery(&delivery.broker.id));
                match skipped {
                    None => counts.replayed(),
                    Some(why) => counts.skipped(*why),
                }
            }
            ReplayOutcome::AlreadyDelivered => counts.delivered_since(),
            ReplayOutcome::Skipped(why) => counts.skipped(*why),
            ReplayOutcome::RejectedAgain(_) => counts.skipped(SkipReason::RejectedAgain),
        }
    }

    /// The letter, if it is removed in the same commit as its only delivery.
    fn removed_with_delivery(&self) -> Option<DeadLetter> {
        match &self.outcome {
            ReplayOutcome::Send { deliveries, skipped: None } if deliveries.len() == 1 => {
                Some(self.letter.clone())
            }
            _ => None,
        }
    }

    /// What is recorded after its deliveries wait on disk.
    fn final_record(self) -> Option<Record> {
        match self.outcome {
            ReplayOutcome::Send { deliveries, skipped: None } if deliveries.len() > 1 => {}
            ReplayOutcome::AlreadyDelivered => {}
            ReplayOutcome::RejectedAgain(updated) if *updated != self.letter => {
                return Some(Record::DeadLettered { letter: updated, key: None, spilled: None });
            }
            _ => return None,
        }
        Some(Record::LetterRemoved(Box::new(self.letter)))
    }
}

/// Where a page ended early.
struct Interrupted {
    /// The last letter before that place; none if it is the batch's first.
    behind: Option<LetterId>,
    broker: String,
    stopping: bool,
}

async fn apply(
    batch: Vec<Planned>,
    queues: &mut impl Queues,
    counts: &mut ReplayCounts,
) -> Result<Option<Interrupted>, ReplayFault> {
    let (mut replays, mut owners) = (Vec::new(), Vec::new());
    for (owner, planned) in batch.iter().enumerate() {
        if let ReplayOutcome::Send { deliveries, .. } = &planned.outcome {
            let mut letter = planned.removed_with_delivery();
            for delivery in deliveries {
                owners.push((owner, delivery.broker.id.to_string()));
                replays.push(Replay { delivery: delivery.clone(), letter: letter.take() });
            }
        }
    }
    let outcomes = if replays.is_empty() { Vec::new() } else { queues.place(replays).await? };
    let mut placed = vec![true; batch.len()];
    let mut interrupted: Option<(usize, String, bool)> = None;
    for ((owner, broker), outcome) in owners.into_iter().zip(outcomes) {
        if outcome != Replayed::Placed {
            placed[owner] = false;
            interrupted.get_or_insert((owner, broker, outcome == Replayed::Stopping));
        }
    }
    let end = interrupted.as_ref().map_or(batch.len(), |(first, ..)| *first);
    let behind = end.checked_sub(1).and_then(|last| batch.get(last)).map(|planned| planned.id.clone());
    let mut records = Vec::new();
    for (at, (planned, placed)) in batch.into_iter().zip(placed).enumerate() {
        // Behind the end of the page, only finished outcomes count: the other letters will be read again.
        let is_replayed = matches!(planned.outcome, ReplayOutcome::Send { skipped: None, .. }) && placed;
        if at < end || is_replayed {
            planned.count(counts);
            records.extend(planned.final_record());
        }
    }
    if !records.is_empty() {
        queues.record(records).await?;
    }
    Ok(interrupted.map(|(_, broker, stopping)| Interrupted { behind, broker, stopping }))
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
