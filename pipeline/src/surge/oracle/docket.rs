//! What has been found so far: violations enter, one by one; what leaves is how many there are of each kind, and the
//! first few of each with names and histories.
//!
//! Guaranteed: memory does not grow with the number of violations; none goes uncounted.

use crate::surge::evidence::Evidence;

use super::{
    finding::Finding,
    violation::{Kind, Violation},
};

/// How many violations there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; Kind::COUNT]);

/// What has been found.
#[derive(Debug)]
pub(super) struct Docket {
    counts: Counts,
    told_per_kind: usize,
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

impl Docket {
    pub(super) fn new(told_per_kind: usize) -> Self {
        Self { counts: Counts::default(), told_per_kind, kept: Vec::new() }
    }

    pub(super) fn note(&mut self, violation: Violation) {
        let count = &mut self.counts.0[violation.kind() as usize];
        *count += 1;
        if *count <= self.told_per_kind as u64 {
            self.kept.push(violation);
        }
    }

    /// What was found, the worst first, each with its history.
    pub(super) fn close(mut self, evidence: &Evidence) -> (Counts, Vec<Finding>) {
        self.kept.sort_by_key(Violation::kind);
        let findings = self.kept.into_iter().map(|violation| Finding::of(violation, evidence)).collect();
        (self.counts, findings)
    }
}
