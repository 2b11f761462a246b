//! Whether a run went through what its profile promises: a run in which no fault fired shows nothing, however clean.

use std::ops::Range;

use crate::surge::{
    evidence::{Evidence, Witness},
    stalls::Stalls,
};

use super::{
    Promised, Surge,
    answers::told_in_time,
    docket::Docket,
    ground::Ground,
    violation::{Vacuity, Violation},
};

/// Notes every promise that was not kept.
pub(super) fn check(evidence: &Evidence, ground: &Ground<'_>, promised: &Promised, docket: &mut Docket) {
    let mut note = |vacuity| docket.note(Violation::Vacuous(vacuity));
    let issued = ground.issued();
    if issued.events == 0 {
        note(Vacuity::NothingAppended);
    }
    if promised.duplicates && issued.duplicates == 0 {
        note(Vacuity::NoDuplicates);
    }
    if promised.faulty_records && issued.faulty == 0 {
        note(Vacuity::NoFaultyRecord);
    }
    if let Some(Surge { base, peak }) = &promised.surge {
        let (base, peak) = (rate(ground, base), rate(ground, peak));
        // without a base there is nothing the surge could be compared with
        if base == 0.0 || peak <= 2.0 * base {
            note(Vacuity::NoSurge { base, peak });
        }
    }
    let witness = |place: u16| evidence.brokers.get(usize::from(place));
    for &broker in &promised.faults {
        let failed = |witness: &Witness| !witness.saw.refused.is_empty() || lost_answer(witness);
        if !witness(broker).is_some_and(failed) {
            note(Vacuity::NoFault { broker });
        }
    }
    for &broker in &promised.lost_answers {
        if !witness(broker).is_some_and(lost_answer) {
            note(Vacuity::NoLostAnswer { broker });
        }
    }
    let kills = evidence.kills_ms.len();
    if kills < promised.kills {
        note(Vacuity::TooFewKills { kills, promised: promised.kills });
    }
}

/// Whether one was withheld: a machine that stood still is no fault of the profile's.
fn lost_answer(witness: &Witness) -> bool {
    let none = Stalls::default();
    witness.saw.taken.iter().any(|taking| told_in_time(taking, witness.timeout_ms, &none).is_none())
}

/// New events a second in `time`. Repeats do not count: they are no load that a broker would see.
fn rate(ground: &Ground<'_>, time: &Range<u64>) -> f64 {
    let firsts = (0..ground.events.len() as u32).filter_map(|event| ground.first(event));
    let events = firsts.filter(|place| time.contains(&ground.log[*place].at_ms)).count();
    let seconds = time.end.saturating_sub(time.start) as f64 / 1_000.0;
    if seconds > 0.0 { events as f64 / seconds } else { 0.0 }
}
