//! Replays a page of dead letters: letters that are meant enter in the order of their positions, each meets its fate, and
//! counts leave, with the place to go on from.
//!
//! Guarantees: at any moment every letter is still a letter, or its deliveries wait durably on disk, or both; never
//! neither. Those of one broker go to its queue in the order of their letters: where one finds no room, the page ends
//! there, for every later one of that broker.

use serde::{Deserialize, Serialize};
use stages::models::Fault;
use state::{DeadLetter, Record, StateFault, Store, UnixMillis};

use super::{Fate, Kept, LetterId, Page, PageBounds, Planner, ReplayCounts, Selection, page};
use crate::line::{LineFault, Replay, Replayed};

/// Deliveries that are put on disk in one go; they are in memory meanwhile. A record for many brokers may be more.
const BATCH_MAX: usize = 256;

/// Where it is put on record what became of letters.
pub trait Sink: Send {
    /// Puts these on record, in this order, durably.
    fn record(&mut self, records: Vec<Record>) -> impl Future<Output = Result<(), ReplayFault>> + Send;
}

/// Where deliveries of letters go.
pub trait Queues: Sink {
    /// Puts deliveries on their brokers' disk queues, each with the letter that goes with it. Once one of a broker finds
    /// no room, no later one of it does in the same call.
    fn place(
        &mut self,
        replays: Vec<Replay>,
    ) -> impl Future<Output = Result<Vec<Replayed>, ReplayFault>> + Send;
}

/// Why letters cannot be read, replayed or removed; what was done before stands.
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

/// Which letters, and how.
#[derive(Clone, Debug)]
pub struct ReplayRequest {
    /// The letters that are meant.
    pub selection: Selection,
    /// Only those behind this one.
    pub after: Option<LetterId>,
    /// When the replay began: later letters are left alone.
    pub began: UnixMillis,
    /// Say what would become of them, and change nothing.
    pub dry_run: bool,
}

/// What has become of a page of letters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayPage {
    /// In numbers.
    pub counts: ReplayCounts,
    /// Where to go on; the beginning if none.
    pub after: Option<String>,
    /// Whether all letters have been visited.
    pub done: bool,
    /// The broker whose queue on disk has no room; go on from `after` when some has drained.
    pub full: Option<String>,
    /// Whether the line is stopping and takes no more.
    pub stopping: bool,
}

/// Replays the next letters.
///
/// # Errors
/// [`ReplayFault`]; ask again, nothing is lost and nothing goes twice.
pub async fn replay_page(
    store: &Store,
    planner: &Planner,
    queues: &mut impl Queues,
    request: &ReplayRequest,
) -> Result<ReplayPage, ReplayFault> {
    let ReplayRequest { selection, after, began, dry_run } = request.clone();
    let Page { letters, next } = read_page(store, selection, after.clone(), PageBounds::default()).await?;
    let mut told = ReplayPage { done: next.is_none(), after: text(next.as_ref()), ..ReplayPage::default() };
    let mut before = after;
    let mut letters = letters.into_iter();
    loop {
        let (mut batch, mut deliveries) = (Vec::new(), 0);
        while deliveries < BATCH_MAX
            && let Some(letter) = letters.next()
        {
            let fate = planner.plan(store, &letter, began).await?;
            if let Fate::Send { deliveries: these, .. } = &fate {
                deliveries += these.len();
            }
            batch.push(Planned { id: LetterId::from(&letter), letter, fate });
        }
        let Some(last) = batch.last().map(|planned| planned.id.clone()) else { return Ok(told) };
        if dry_run {
            batch.iter().for_each(|planned| planned.count(&mut told.counts));
        } else if let Some(stuck) = carry_out(batch, queues, &mut told.counts).await? {
            let Stuck { behind, broker, stopping } = stuck;
            told.after = text(behind.or(before).as_ref());
            (told.done, told.stopping) = (false, stopping);
            told.full = (!stopping).then_some(broker);
            return Ok(told);
        }
        before = Some(last);
    }
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

/// A letter and its fate.
struct Planned {
    id: LetterId,
    letter: DeadLetter,
    fate: Fate,
}

impl Planned {
    fn count(&self, counts: &mut ReplayCounts) {
        match &self.fate {
            Fate::Send { deliveries, kept } => {
                deliveries.iter().for_each(|delivery| counts.delivery(&delivery.broker.id));
                match kept {
                    None => counts.replayed(),
                    Some(why) => counts.kept(*why),
                }
            }
            Fate::Over => counts.over(),
            Fate::Stays(why) => counts.kept(*why),
            Fate::Changes(_) => counts.kept(Kept::RejectedAgain),
        }
    }

    /// The letter, if it goes in the same commit as its delivery: the only one it stands for.
    fn goes_along(&self) -> Option<DeadLetter> {
        match &self.fate {
            Fate::Send { deliveries, kept: None } if deliveries.len() == 1 => Some(self.letter.clone()),
            _ => None,
        }
    }

    /// What is still to be recorded once its deliveries wait on disk.
    fn ending(self) -> Option<Record> {
        match self.fate {
            Fate::Send { deliveries, kept: None } if deliveries.len() > 1 => {}
            Fate::Over => {}
            Fate::Changes(anew) if *anew != self.letter => {
                return Some(Record::DeadLettered { letter: anew, key: None, spilled: None });
            }
            _ => return None,
        }
        Some(Record::LetterRemoved(Box::new(self.letter)))
    }
}

/// Where a page had to end.
struct Stuck {
    /// The last letter before that place; none if it is the batch's first.
    behind: Option<LetterId>,
    broker: String,
    stopping: bool,
}

async fn carry_out(
    batch: Vec<Planned>,
    queues: &mut impl Queues,
    counts: &mut ReplayCounts,
) -> Result<Option<Stuck>, ReplayFault> {
    let (mut replays, mut owners) = (Vec::new(), Vec::new());
    for (owner, planned) in batch.iter().enumerate() {
        if let Fate::Send { deliveries, .. } = &planned.fate {
            let mut letter = planned.goes_along();
            for delivery in deliveries {
                owners.push((owner, delivery.broker.id.to_string()));
                replays.push(Replay { delivery: delivery.clone(), letter: letter.take() });
            }
        }
    }
    let outcomes = if replays.is_empty() { Vec::new() } else { queues.place(replays).await? };
    let mut placed = vec![true; batch.len()];
    let mut stuck: Option<(usize, String, bool)> = None;
    for ((owner, broker), outcome) in owners.into_iter().zip(outcomes) {
        if outcome != Replayed::Placed {
            placed[owner] = false;
            stuck.get_or_insert((owner, broker, outcome == Replayed::Stopping));
        }
    }
    let end = stuck.as_ref().map_or(batch.len(), |(first, ..)| *first);
    let behind = end.checked_sub(1).and_then(|last| batch.get(last)).map(|planned| planned.id.clone());
    let mut records = Vec::new();
    for (at, (planned, placed)) in batch.into_iter().zip(placed).enumerate() {
        // Behind the place where the page ends, only what is over will not be met again.
        let gone = matches!(planned.fate, Fate::Send { kept: None, .. }) && placed;
        if at < end || gone {
            planned.count(counts);
            records.extend(planned.ending());
        }
    }
    if !records.is_empty() {
        queues.record(records).await?;
    }
    Ok(stuck.map(|(_, broker, stopping)| Stuck { behind, broker, stopping }))
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
