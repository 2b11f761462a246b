//! Dead letters over the endpoint: requests for a page of them enter, JSON leaves; or a page is replayed or removed.
//!
//! Every request is bounded in letters and in bytes and says where to go on. The store is read where blocking is allowed;
//! what is written goes through the ledger thread and the shards, as everything does that a running line writes.

use http::request::Parts;
use serde_json::{Value, json};
use state::{Clock, Ledger, UnixMillis};
use url::form_urlencoded;

use crate::{
    dead::{
        Groups, LetterId, LineQueues, PageBounds, Planner, ReplayFault, ReplayRequest, SelectError,
        Selection, Told, purge_page, read_page, replay_page,
    },
    line::Watch,
};

/// What is asked of dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeadAsk {
    List,
    Summary,
    Replay,
    Purge,
}

/// Why it is not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeadRefusal {
    #[error(transparent)]
    Select(#[from] SelectError),
    #[error("every letter is meant; give a condition, or all=true")]
    Everything,
    #[error("the run is only starting; ask again in a moment")]
    Early,
    #[error("{0}")]
    Fault(#[from] ReplayFault),
}

/// What a query says besides the selection.
#[derive(Debug, Default)]
struct Query {
    selection: Selection,
    after: Option<LetterId>,
    max: Option<usize>,
    began: Option<UnixMillis>,
    all: bool,
    dry_run: bool,
}

impl DeadAsk {
    /// What is asked at this path.
    pub(super) fn at(path: &str) -> Option<Self> {
        match path {
            "/dead" => Some(Self::List),
            "/dead/summary" => Some(Self::Summary),
            "/dead/replay" => Some(Self::Replay),
            "/dead/purge" => Some(Self::Purge),
            _ => None,
        }
    }

    /// Whether it changes anything.
    pub(super) fn changes(self) -> bool {
        matches!(self, Self::Replay | Self::Purge)
    }

    /// Answers it. The caller sees to it that changes come one at a time.
    pub(super) async fn answer(
        self,
        head: &Parts,
        ledger: &Ledger,
        watch: Option<Watch>,
        planner: &Planner,
    ) -> Result<Value, DeadRefusal> {
        let query = Query::read(head.uri.query().unwrap_or_default())?;
        if self.changes() && query.selection.is_everything() && !query.all && !query.dry_run {
            return Err(DeadRefusal::Everything);
        }
        let store = ledger.store();
        let Query { selection, after, max, began, dry_run, .. } = query;
        let mut bounds = PageBounds::default();
        bounds.letters_max = bounds.letters_max.min(max.unwrap_or(usize::MAX));
        let mut queues = LineQueues { ledger: ledger.clone(), watch };
        Ok(match self {
            Self::List => {
                let page = read_page(store, selection, after, bounds).await.map_err(ReplayFault::State)?;
                let letters: Vec<_> = page.letters.into_iter().map(Told::from).collect();
                json!({ "letters": letters, "next": page.next.map(|next| next.to_string()) })
            }
            Self::Summary => {
                let page = read_page(store, selection, after, bounds).await.map_err(ReplayFault::State)?;
                let mut groups = Groups::default();
                page.letters.iter().for_each(|letter| groups.add(letter));
                json!({ "groups": groups, "next": page.next.map(|next| next.to_string()) })
            }
            Self::Purge => {
                let purged = purge_page(store, &mut queues, selection, after, dry_run).await?;
                let letters = purged.groups.letters();
                if letters > 0 && !dry_run {
                    tracing::warn!(letters, "an operator has removed dead letters");
                }
                json!(purged)
            }
            Self::Replay if queues.watch.is_none() => return Err(DeadRefusal::Early),
            Self::Replay => {
                let began = began.unwrap_or_else(|| Clock::System.now());
                let request = ReplayRequest { selection, after, began, dry_run };
                let replayed = replay_page(store, planner, &mut queues, &request).await?;
                if replayed.counts.letters > 0 && !dry_run {
                    let counts = &replayed.counts;
                    tracing::info!(
                        letters = counts.letters,
                        replayed = counts.replayed,
                        "an operator sends dead letters again"
                    );
                }
                json!(replayed)
            }
        })
    }
}

impl Query {
    fn read(text: &str) -> Result<Self, SelectError> {
        let mut query = Self::default();
        for (key, value) in form_urlencoded::parse(text.as_bytes()) {
            let bad = |key| SelectError::Value { key, value: value.clone().into_owned() };
            match &*key {
                "after" => query.after = Some(value.parse().map_err(|_| bad("after"))?),
                "max" => query.max = Some(value.parse().map_err(|_| bad("max"))?),
                "began" => query.began = Some(value.parse().map_err(|_| bad("began"))?),
                "all" => query.all = value.parse().map_err(|_| bad("all"))?,
                "dry_run" => query.dry_run = value.parse().map_err(|_| bad("dry_run"))?,
                _ => query.selection.take(&key, &value)?,
            }
        }
        Ok(query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_that_is_not_understood_in_every_part_is_refused() {
        let query = Query::read("broker=acme&after=e%401%3A2%2Facme&max=5&began=7&dry_run=true").unwrap();
        assert_eq!(query.selection.broker.as_deref(), Some("acme"));
        assert_eq!(
            (query.after.unwrap().to_string(), query.max, query.began),
            ("e@1:2/acme".to_owned(), Some(5), Some(7))
        );
        assert!(query.dry_run && !query.all);
        for wrong in ["all", "all=yes", "dryrun=true", "dry_run=1", "after=x", "max=-1", "stage=all"] {
            assert!(Query::read(wrong).is_err(), "{wrong}");
        }
    }
}
