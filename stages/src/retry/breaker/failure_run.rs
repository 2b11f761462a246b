//! A run of failures with no success between them. It is as long as the number of different loads that failed: one load
//! that fails again and again adds one.

use std::num::NonZeroU32;

/// What a failure says of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Nothing of the request reached it.
    Unreached,
    /// A delivery of the load with this hash failed.
    Load(u64),
    /// Nothing: the broker has taken other loads since this load failed before.
    Nothing,
}

/// The effect of a failure on a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunChange {
    /// Its load is in the run already, or it says nothing of the broker.
    Unchanged,
    /// The run is longer now.
    Longer,
    /// The run has reached the given length, and begins again.
    Complete,
}

/// Failures with no success between them; each load counts once.
#[derive(Debug, Default)]
pub(crate) struct FailureRun {
    /// At most as many as open the breaker.
    loads: Vec<u64>,
    unreached: u32,
}

impl FailureRun {
    /// Adds a failure to a run that is complete at `most`.
    pub(crate) fn add(&mut self, evidence: Evidence, most: NonZeroU32) -> RunChange {
        match evidence {
            Evidence::Unreached => self.unreached = self.unreached.saturating_add(1),
            Evidence::Load(load) if !self.loads.contains(&load) => self.loads.push(load),
            Evidence::Load(_) | Evidence::Nothing => return RunChange::Unchanged,
        }
        let loads = u32::try_from(self.loads.len()).unwrap_or(u32::MAX);
        if loads.saturating_add(self.unreached) < most.get() {
            return RunChange::Longer;
        }
        self.clear();
        RunChange::Complete
    }

    /// To be called after a success.
    pub(crate) fn clear(&mut self) {
        self.loads.clear();
        self.unreached = 0;
    }
}
