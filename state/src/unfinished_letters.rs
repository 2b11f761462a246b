//! Dead letters that a commit had written when it was cut off, and whose ledger entries it had not: removed when the state
//! directory is opened.
//!
//! A letter is written before its entry, so that no event is lost between them. Nobody was told of the letter: its event
//! comes again, from the source or from disk, and may be delivered. A letter that stayed would say otherwise.

use crate::{
    commit_marker::BegunCommit,
    fault::StateFault,
    outcome::{LedgerKey, Outcome},
    store::Store,
    trees::DEAD,
};

/// Removes the letters that are new in the commit `begun`, which is not complete, and that no ledger entry stands for.
pub(crate) fn remove(store: &Store, begun: &BegunCommit) -> Result<(), StateFault> {
    let mut unfinished = Vec::new();
    for (_, key, _) in begun.keys.iter().filter(|(tree, _, before)| *tree == DEAD && before.is_none()) {
        let Some(letter) = store.dead.at(key)? else { continue };
        // What never became an event has no entry.
        let (Some(broker), Some(event)) = (&letter.broker, &letter.event_id) else { continue };
        let entry = store.look_up(&LedgerKey::new(broker, event))?;
        if entry.is_none_or(|entry| entry.outcome == Outcome::Spilled) {
            unfinished.push(letter);
        }
    }
    if unfinished.is_empty() {
        return Ok(());
    }
    store.commit(|_now| unfinished.iter().try_for_each(|letter| crate::record::remove_letter(store, letter)))
}
