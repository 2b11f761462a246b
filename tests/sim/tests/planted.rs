//! Faults planted on purpose: the simulation finds each of them, as a broken promise of the right kind, and finds it again
//! at the same step.

#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used, reason = "a test fails by panicking")]

use sim::{Kind, Planted, Promise, simulate};

/// The most seeds that it may take to find one.
const SEEDS: u64 = 300;

/// Where the search begins: a fault that few seeds show is looked for where it was found last.
fn first(planted: Planted) -> u64 {
    match planted {
        Planted::SettledBeforeTopic => 95,
        Planted::RemovedBeforeOutcome => 46,
        _ => 0,
    }
}

/// The promises that a fault may be seen to break first.
fn breaks(planted: Planted) -> &'static [Promise] {
    use Promise::{
        GoesOn, InOrder, NoFault, NothingLost, OnRecord, Once, OwnPartition, RepeatsCounted, RepeatsMarked,
        RightEvent,
    };
    match planted {
        Planted::OneDropped | Planted::SpilledForgotten => &[OnRecord, NothingLost],
        Planted::TwoSwapped => &[InOrder, RightEvent],
        Planted::FlushesIgnored => &[NoFault, OnRecord, InOrder, RepeatsMarked],
        Planted::LookUpSkipped => &[Once, InOrder, RepeatsMarked],
        Planted::OneLoadProbed => &[GoesOn],
        Planted::CheckpointAhead => &[OnRecord],
        Planted::RepeatsUnmarked => &[RepeatsMarked],
        Planted::ReloadUnrouted => &[RightEvent, OnRecord, NothingLost, GoesOn],
        Planted::ReplayForgotten => &[OnRecord, NothingLost],
        Planted::SettledBeforeTopic => &[NothingLost, GoesOn, InOrder],
        Planted::WaitingNotRestored | Planted::RemovedBeforeOutcome | Planted::ParkedForgotten => {
            &[NothingLost, GoesOn]
        }
        Planted::DoubtNotRestored => &[RepeatsMarked, RepeatsCounted],
        Planted::ReadBeforeRestored => &[Once, InOrder],
        Planted::LeaseIgnored => &[OwnPartition],
    }
}

fn each_is_found(kind: Kind, faults: &[Planted]) {
    for planted in faults.iter().copied() {
        let seeds = first(planted)..first(planted) + SEEDS;
        let found =
            seeds.map(|seed| simulate(kind, seed, Some(planted))).find(|found| found.violation.is_some());
        let found = found.unwrap_or_else(|| panic!("{planted:?} is not found in {SEEDS} seeds"));
        let violation = found.violation.as_ref().unwrap();
        println!("{planted:?}: seed {}, {violation}", found.seed);
        assert!(breaks(planted).contains(&violation.promise), "{planted:?} breaks {violation}");
        assert_eq!(simulate(kind, found.seed, Some(planted)), found);
    }
}

#[test]
fn each_planted_fault_is_found_and_found_again_at_the_same_step() {
    each_is_found(Kind::Process, &Planted::ALL);
}

#[test]
fn each_planted_fault_of_a_group_is_found_and_found_again_at_the_same_step() {
    each_is_found(Kind::Group, &Planted::OF_GROUPS);
}
