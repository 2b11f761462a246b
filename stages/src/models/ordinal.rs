//! The number of an attempt among those of its delivery, as its receiver gets it in headers.

/// The number of an attempt and whether it may be a repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ordinal {
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// Whether the receiver may have taken an earlier one.
    pub may_repeat: bool,
}
