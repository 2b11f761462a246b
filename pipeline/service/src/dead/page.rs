//! Reads dead letters a page at a time: the next selected ones behind a position. A page reads a bounded number of
//! letters and bytes, whether many are selected or none.

use state::{StateFault, Store};

use super::{LetterId, Selection};

/// The bounds of a page.
#[derive(Clone, Copy, Debug)]
pub struct PageBounds {
    /// Selected letters.
    pub letters_max: usize,
    /// Letters, selected or not. Reading one costs some microseconds.
    pub visited_max: usize,
    /// Bytes of their bodies; the last letter may go beyond, so that one always fits.
    pub bytes_max: usize,
}

impl Default for PageBounds {
    /// Ten or twenty milliseconds of reading, some megabytes of memory.
    fn default() -> Self {
        Self { letters_max: 256, visited_max: 4_096, bytes_max: 4 << 20 }
    }
}

/// Letters that are meant.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// In the order of source, epoch, offset and broker.
    pub letters: Vec<state::DeadLetter>,
    /// Where to continue; none once all have been read.
    pub next: Option<LetterId>,
}

/// The letters in `selection` behind `after`, or from the beginning.
///
/// # Errors
/// A fault of the store, or [`StateFault::Undecodable`].
pub fn page(
    store: &Store,
    selection: &Selection,
    after: Option<&LetterId>,
    bounds: PageBounds,
) -> Result<Page, StateFault> {
    let letters = store.dead_letters();
    if bounds.letters_max == 0 {
        return Ok(Page::default());
    }
    if let Some(id) = &selection.id {
        // A single letter is looked up by its key; there is no further one.
        let found = if after.is_none() { letters.get(&id.position, id.broker.as_deref())? } else { None };
        let found = found.filter(|letter| selection.matches(letter));
        return Ok(Page { letters: found.into_iter().collect(), next: None });
    }
    match after {
        Some(id) => read(letters.after(&id.position, id.broker.as_deref()), selection, bounds),
        None => read(letters.iter(), selection, bounds),
    }
}

fn read(
    letters: impl Iterator<Item = Result<state::DeadLetter, StateFault>>,
    selection: &Selection,
    bounds: PageBounds,
) -> Result<Page, StateFault> {
    let mut page = Page::default();
    let mut bytes = 0;
    for (visited, letter) in letters.enumerate() {
        let letter = letter?;
        bytes += letter.body.len();
        let id = LetterId::from(&letter);
        if selection.matches(&letter) {
            page.letters.push(letter);
        }
        if visited + 1 >= bounds.visited_max
            || bytes >= bounds.bytes_max
            || page.letters.len() >= bounds.letters_max
        {
            page.next = Some(id);
            break;
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead::testing::{ledger, letter, put};

    fn walk(store: &Store, selection: &Selection, bounds: PageBounds) -> (Vec<String>, usize) {
        let (mut ids, mut pages, mut after) = (Vec::new(), 0, None);
        loop {
            let page = page(store, selection, after.as_ref(), bounds).unwrap();
            pages += 1;
            assert!(page.letters.len() <= bounds.letters_max);
            ids.extend(page.letters.iter().map(|letter| LetterId::from(letter).to_string()));
            match page.next {
                Some(next) => after = Some(next),
                None => return (ids, pages),
            }
        }
    }

    #[tokio::test]
    async fn pages_of_any_bound_make_up_the_whole_and_none_visits_more_than_its_bound() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = ledger(dir.path());
        let brokers = [Some("acme"), None, Some("birch")];
        put(&ledger, (0..60).map(|offset| letter(offset, brokers[offset as usize % 3]))).await;
        let store = ledger.store();
        let acme = Selection { broker: Some("acme".to_owned()), ..Selection::default() };
        let wide = PageBounds::default();
        let (all, pages) = walk(store, &Selection::default(), wide);
        assert_eq!((all.len(), pages), (60, 1));
        let bytes = letter(0, None).body.len();
        for (bounds, pages_of_all) in [
            (PageBounds { letters_max: 1, ..wide }, 61),
            (PageBounds { letters_max: 7, ..wide }, 9),
            (PageBounds { visited_max: 10, ..wide }, 7),
            (PageBounds { bytes_max: 1, ..wide }, 61),
            (PageBounds { bytes_max: 5 * bytes, ..wide }, 13),
        ] {
            let (ids, pages) = walk(store, &Selection::default(), bounds);
            assert_eq!(ids, all, "{bounds:?}");
            assert!(pages <= pages_of_all, "{bounds:?}: {pages} pages");
            let (ids, _) = walk(store, &acme, bounds);
            assert_eq!(ids.len(), 20, "{bounds:?}");
        }
        let few = PageBounds { visited_max: 10, ..wide };
        assert_eq!(walk(store, &acme, few).1, 7, "what is not meant is visited within the bound too");
        let one = Selection::of("test@0:31".parse().unwrap());
        assert_eq!(walk(store, &one, few), (vec!["test@0:31".to_owned()], 1));
        assert_eq!(walk(store, &Selection::of("test@0:99".parse().unwrap()), few).0.len(), 0);
    }
}
