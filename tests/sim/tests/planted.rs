//! Faults planted on purpose: the simulation finds each of them, as a broken promise of the right kind, and finds it again
//! at the same step.

#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used, reason = "a test fails by panicking")]

use sim::{Planted, Promise, simulate};

/// The most seeds that it may take to find one.
const SEEDS: u64 = 300;

/// The promises that a fault may be seen to break first.
fn breaks(planted: Planted) -> &'static [Promise] {
    use Promise::{GoesOn, InOrder, NoFault, NothingLost, OnRecord, Once, RepeatsMarked};
    match planted {
        Planted::OneDropped | Planted::SpilledForgotten => &[OnRecord, NothingLost],
        Planted::TwoSwapped => &[InOrder],
        Planted::FlushesIgnored => &[NoFault, OnRecord, InOrder, RepeatsMarked],
        Planted::LookUpSkipped => &[Once, InOrder, RepeatsMarked],
        Planted::OneLoadProbed => &[GoesOn],
        Planted::CheckpointAhead => &[OnRecord],
        Planted::RepeatsUnmarked => &[RepeatsMarked],
    }
}

#[test]
fn each_planted_fault_is_found_and_found_again_at_the_same_step() {
    for planted in Planted::ALL {
        let found =
            (0..SEEDS).map(|seed| simulate(seed, Some(planted))).find(|found| found.violation.is_some());
        let found = found.unwrap_or_else(|| panic!("{planted:?} is not found in {SEEDS} seeds"));
        let violation = found.violation.as_ref().unwrap();
        println!("{planted:?}: seed {}, {violation}", found.seed);
        assert!(breaks(planted).contains(&violation.promise), "{planted:?} breaks {violation}");
        assert_eq!(simulate(found.seed, Some(planted)), found);
    }
}
