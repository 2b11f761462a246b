//! Turns failed calls into the database into faults: sled reports most damage as an error and panics on some of it.

use std::{
    any::Any,
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::Once,
};

use super::{Result as DatabaseResult, fault::database_fault};
use crate::fault::StateFault;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// The result of `call`.
///
/// # Errors
/// The fault that sled's error is, or [`StateFault::Damaged`] for a panic.
pub(crate) fn guarded<T>(path: &Path, call: impl FnOnce() -> DatabaseResult<T>) -> Result<T, StateFault> {
    catch_panic(path, call)?.map_err(|error| database_fault(path, error))
}

/// As [`guarded`], for a caller that handles sled's errors itself.
pub(crate) fn catch_panic<T>(path: &Path, call: impl FnOnce() -> T) -> Result<T, StateFault> {
    silence();
    let before = GUARDED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(before);
    result.map_err(|payload| {
        let detail = format!("the database cannot read it: {}", words(payload.as_ref()));
        StateFault::Damaged { path: path.to_owned(), detail }
    })
}

/// The items of a sled iterator, up to and including the first fault: later items are not reliable.
pub(crate) fn guarded_items<Item>(
    path: &Path,
    items: impl DoubleEndedIterator<Item = DatabaseResult<Item>>,
) -> impl DoubleEndedIterator<Item = Result<Item, StateFault>> {
    Guarded { path, items, over: false }
}

struct Guarded<'p, Items> {
    path: &'p Path,
    items: Items,
    over: bool,
}

impl<Item, Items: DoubleEndedIterator<Item = DatabaseResult<Item>>> Guarded<'_, Items> {
    fn step(
        &mut self,
        step: impl FnOnce(&mut Items) -> Option<DatabaseResult<Item>>,
    ) -> Option<Result<Item, StateFault>> {
        if self.over {
            return None;
        }
        let items = &mut self.items;
        let item = guarded(self.path, || step(items).transpose()).transpose();
        self.over = !matches!(item, Some(Ok(_)));
        item
    }
}

impl<Item, Items: DoubleEndedIterator<Item = DatabaseResult<Item>>> Iterator for Guarded<'_, Items> {
    type Item = Result<Item, StateFault>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(Iterator::next)
    }
}

impl<Item, Items: DoubleEndedIterator<Item = DatabaseResult<Item>>> DoubleEndedIterator
    for Guarded<'_, Items>
{
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(DoubleEndedIterator::next_back)
    }
}

/// Keeps guarded panics from being printed: the fault has their message.
fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let otherwise = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                otherwise(info);
            }
        }));
    });
}

fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    // A message can hold a whole page.
    text.map_or("it panicked".to_owned(), |text| text.chars().take(200).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_fault_that_names_the_directory_and_ends_the_items() {
        let path = Path::new("/var/lib/x");
        let fault = guarded::<()>(path, || panic!("no page {}", 7)).unwrap_err();
        assert!(matches!(fault, StateFault::Damaged { .. }), "{fault}");
        assert!(
            fault.to_string().contains("/var/lib/x") && fault.to_string().contains("no page 7"),
            "{fault}"
        );
        let items = (0..5).map(|n| if n == 2 { panic!("two") } else { Ok(n) });
        let found: Vec<_> = guarded_items(path, items).collect();
        assert_eq!(found.len(), 3);
        assert!(found[2].is_err());
    }
}
