//! What an answer can mean.

/// What an answer means for its event and its broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The event was taken.
    Success,
    /// Try again later.
    Retry,
    /// The endpoint refuses whatever comes, as during a deploy or with an expired token: the broker is left alone, and
    /// its events wait.
    Pause,
    /// The receiver wants nothing more: the broker is disabled.
    Disable,
    /// This event will never be taken.
    Final,
    /// The receiver has the event if an earlier attempt may have arrived, and will never take it otherwise.
    Conflict,
}
