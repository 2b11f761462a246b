//! Dead letters over the endpoint: returns a page of them as JSON, or replays or removes one.
//!
//! Every request is bounded in letters and in bytes and says where to continue. The store is read where blocking is
//! allowed; writes go through the ledger thread and the shards, like all writes of a running line.

use http::request::Parts;
use serde_json::{Value, json};
use state::{Clock, Ledger, UnixMillis};
use url::form_urlencoded;

use crate::dead::{
    DeadLetterJson, Groups, LetterId, LineQueues, PageBounds, Planner, ReplayFault, ReplayRequest,
    SelectError, Selection, purge_page, read_page, replay_page,
};
use line::LineHandle;

/// A request about dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeadRequest {
    List,
    Summary,
    Replay,
    Purge,
}

/// Why it was refused.
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

/// A query: the selection and its options.
#[derive(Debug, Default)]
struct Query {
    selection: Selection,
    after: Option<LetterId>,
    max: Option<usize>,
    began: Option<UnixMillis>,
    all: bool,
    dry_run: bool,
    force: bool,
}

impl DeadRequest {
    /// The request of this path.
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

    /// Answers it. The caller must serialise changes.
    pub(super) async fn answer(
        self,
        head: &Parts,
        ledger: &Ledger,
        watch: Option<LineHandle>,
        planner: &Planner,
    ) -> Result<Value, DeadRefusal> {
        let query = Query::read(head.uri.query().unwrap_or_default())?;
        if self.changes() && query.selection.is_everything() && !query.all && !query.dry_run {
            return Err(DeadRefusal::Everything);
        }
        let store = ledger.store();
        let Query { selection, after, max, began, dry_run, force, .. } = query;
        let mut bounds = PageBounds::default();
        bounds.letters_max = bounds.letters_max.min(max.unwrap_or(usize::MAX));
        let mut queues = LineQueues { ledger: ledger.clone(), watch };
        Ok(match self {
            Self::List => {
                let page = read_page(store, selection, after, bounds).await.map_err(ReplayFault::State)?;
                let letters = page.letters.into_iter().map(|letter| DeadLetterJson::of(letter, store));
                let letters = letters.collect::<Result<Vec<_>, _>>().map_err(ReplayFault::State)?;
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
                    tracing::warn!(letters, "dead letters purged by an operator");
                }
                json!(purged)
            }
            Self::Replay if queues.watch.is_none() => return Err(DeadRefusal::Early),
            Self::Replay => {
                let began = began.unwrap_or_else(|| Clock::System.now());
                let request = ReplayRequest { selection, after, began, dry_run, force };
                let replayed = replay_page(store, planner, &mut queues, &request).await?;
                if replayed.counts.letters > 0 && !dry_run {
                    let counts = &replayed.counts;
                    tracing::info!(
                        letters = counts.letters,
                        replayed = counts.replayed,
                        "dead letters replayed by an operator"
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
                "force" => query.force = value.parse().map_err(|_| bad("force"))?,
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
