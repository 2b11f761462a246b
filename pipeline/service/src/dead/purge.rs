//! Removes a page of dead letters durably. A letter that has changed since it was read stays.

use serde::{Deserialize, Serialize};
use state::{Record, Store};

use super::{Groups, LetterId, PageBounds, ReplayFault, Selection, Sink, replay::read_page};

/// The letters that were removed, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PurgePage {
    /// By stage and cause.
    pub groups: Groups,
    /// Where to continue; none once all letters have been read.
    pub next: Option<String>,
}

/// Removes the next letters in `selection` behind `after`; with `dry_run` only counts them.
///
/// # Errors
/// [`ReplayFault`]; letters removed before stay removed.
pub async fn purge_page(
    store: &Store,
    sink: &mut impl Sink,
    selection: Selection,
    after: Option<LetterId>,
    dry_run: bool,
) -> Result<PurgePage, ReplayFault> {
    let page = read_page(store, selection, after, PageBounds::default()).await?;
    let mut groups = Groups::default();
    page.letters.iter().for_each(|letter| groups.add(letter));
    let next = page.next.map(|next| next.to_string());
    if !dry_run && !page.letters.is_empty() {
        let removed = page.letters.into_iter().map(|letter| Record::LetterRemoved(Box::new(letter)));
        sink.record(removed.collect()).await?;
    }
    Ok(PurgePage { groups, next })
}
