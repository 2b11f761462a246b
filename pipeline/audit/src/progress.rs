//! How far an audit is, for whoever waits for it.

/// How far an audit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Bytes read of the logs.
    pub bytes: u64,
    /// Bytes there are, as far as is known.
    pub bytes_all: u64,
    /// Lines read, or loads judged.
    pub lines: u64,
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Logs are read and sorted in parts.
    Reading,
    /// The parts are merged, and loads judged.
    Judging,
}
