//! A change to a tree.

/// A key and its new value; none to remove it.
pub(crate) type Change = (Vec<u8>, Option<Vec<u8>>);
