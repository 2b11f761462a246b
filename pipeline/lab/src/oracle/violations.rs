//! What has been found so far: how many violations there are of each kind, and the first few of each. Memory does not grow
//! with their number; none goes uncounted.

use super::violation::{Kind, Violation};

/// How many violations there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; Kind::COUNT]);

/// What has been found.
#[derive(Debug)]
pub(super) struct Violations {
    counts: Counts,
    listed_per_kind: usize,
    kept: Vec<Violation>,
}

impl Counts {
    /// How many there are of one kind.
    #[must_use]
    pub fn of(&self, kind: Kind) -> u64 {
        self.0[kind as usize]
    }

    /// How many there are in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl Violations {
    pub(super) fn new(listed_per_kind: usize) -> Self {
        Self { counts: Counts::default(), listed_per_kind, kept: Vec::new() }
    }

    pub(super) fn note(&mut self, violation: Violation) {
        let count = &mut self.counts.0[violation.kind() as usize];
        *count += 1;
        if *count <= self.listed_per_kind as u64 {
            self.kept.push(violation);
        }
    }

    /// What was found, the worst first.
    pub(super) fn close(mut self) -> (Counts, Vec<Violation>) {
        self.kept.sort_by_key(Violation::kind);
        (self.counts, self.kept)
    }
}
