//! Removes a page of dead letters, durably: letters that are meant enter, their groups leave, with the place to go on
//! from. A letter that changed since it was read stays.

use serde::{Deserialize, Serialize};
use state::{Record, Store};

use super::{Groups, LetterId, PageBounds, ReplayFault, Selection, Sink, replay::read_page};

/// What was removed, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PurgePage {
    /// By stage and cause.
    pub groups: Groups,
    /// Where to go on; none once all letters have been visited.
    pub next: Option<String>,
}

/// Removes the next letters that `selection` means behind `after`; `dry_run` only says which.
///
/// # Errors
/// [`ReplayFault`]; what was removed before stays so.
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
