//! Entry points for the fuzz targets (feature `fuzzing`): stored values and envelopes without a store.

use std::fmt;

use crate::{
    Checkpoint, DeadLetter, Disabled, History, Horizon, KnownFile, LedgerEntry, Paused, TraceParent,
    codec::Layout, envelope,
};

/// The name of the tree.
const TREE: &str = "fuzz";

/// Reads `bytes` as a stored value of each kind; panics if one that is read is not written as the same.
pub fn decode_any(bytes: &[u8]) {
    one::<History>(bytes);
    one::<LedgerEntry>(bytes);
    one::<Checkpoint>(bytes);
    one::<Horizon>(bytes);
    one::<DeadLetter>(bytes);
    one::<TraceParent>(bytes);
    one::<Disabled>(bytes);
    one::<Paused>(bytes);
    one::<KnownFile>(bytes);
}

/// The stored form of a dead letter, as a first input.
///
/// # Errors
/// As the codec's.
pub fn encode_letter(letter: &DeadLetter) -> Result<Vec<u8>, crate::StateFault> {
    letter.to_layout(TREE)
}

/// `value` in its envelope.
#[must_use]
pub fn seal(key: &[u8], value: &[u8]) -> Vec<u8> {
    envelope::seal(TREE, key, value)
}

/// The value in an envelope; none if it has changed. Bytes without an envelope are returned as they are.
#[must_use]
pub fn open<'s>(key: &[u8], stored: &'s [u8]) -> Option<&'s [u8]> {
    envelope::open(TREE, key, stored).ok().and_then(|at| stored.get(at..))
}

fn one<T: Layout + PartialEq + fmt::Debug>(bytes: &[u8]) {
    let Ok(value) = T::from_layout(TREE, bytes) else { return };
    let again = value.to_layout(TREE).and_then(|bytes| T::from_layout(TREE, &bytes));
    assert!(again.is_ok_and(|again| again == value), "{value:?} is not written as it was read");
}
