//! Reads a tree of which some pages may be damaged: what can be read is given, and reading goes on behind a page that
//! cannot.

use std::{borrow::Cow, path::Path};

use crate::{
    envelope,
    fault::StateFault,
    parts::Parts,
    storage::{Tree, guarded, guarded_items},
};

/// Calls `on` with every entry of `tree` that can be read: without its envelope, and whole if it stands in parts. Returns
/// the faults of reading and those that `on` returned.
pub(crate) fn for_each_readable(
    path: &Path,
    tree: &Tree,
    (name, parts): (&'static str, Option<&Parts>),
    mut on: impl FnMut(&[u8], &[u8]) -> Result<(), StateFault>,
) -> Vec<StateFault> {
    let (mut faults, mut from, mut last) = (Vec::new(), Some(Vec::new()), Vec::new());
    while let Some(start) = from.take() {
        for item in guarded_items(path, tree.range(start..)) {
            match item {
                Ok((key, stored)) => {
                    let bare = match parts {
                        Some(parts) => parts.whole(&key, &stored),
                        None => {
                            envelope::open(name, &key, &stored).map(|begin| Cow::Borrowed(&stored[begin..]))
                        }
                    };
                    faults.extend(bare.and_then(|bare| on(&key, &bare)).err());
                    last = key.to_vec();
                }
                Err(fault) => {
                    faults.push(fault);
                    from = next_readable(path, tree, &last);
                }
            }
        }
    }
    faults
}

/// How many keys are tried for each length of a key.
const TRIES: u8 = 32;

/// The nearest key behind `last` from which the tree can be read again, found by trying keys at growing distances; none
/// if there is none.
fn next_readable(path: &Path, tree: &Tree, last: &[u8]) -> Option<Vec<u8>> {
    let last = if last.is_empty() { &[0][..] } else { last };
    for len in (1..=last.len()).rev() {
        let mut key = last[..len].to_vec();
        for _ in 0..TRIES {
            let byte = key.last_mut()?;
            let Some(next) = byte.checked_add(1) else { break };
            *byte = next;
            match guarded(path, || tree.range(key.clone()..).next().transpose()) {
                Ok(Some(_)) => return Some(key),
                Ok(None) => return None,
                Err(_) => {}
            }
        }
    }
    None
}
