//! Whether a run went through what its profile promises: a run in which no fault fired shows nothing, however clean.

use std::ops::Range;

use super::{
    evidence::{BrokerEvidence, Evidence},
    stalls::Stalls,
};

use super::{
    Promised, Surge,
    expected::Expected,
    repeats::answered_in_time,
    violation::{Vacuity, Violation},
    violations::Violations,
};

/// Notes every promise that was not kept.
pub(super) fn check(
    evidence: &Evidence,
    expected: &Expected<'_>,
    promised: &Promised,
    violations: &mut Violations,
) {
    let mut note = |vacuity| violations.note(Violation::Vacuous(vacuity));
    let issued = expected.issued();
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
        let (base, peak) = (rate(expected, base), rate(expected, peak));
        // without a base there is nothing the surge could be compared with
        if base == 0.0 || peak <= 2.0 * base {
            note(Vacuity::NoSurge { base, peak });
        }
    }
    let witness = |place: u16| evidence.brokers.get(usize::from(place));
    for &broker in &promised.faults {
        let failed = |witness: &BrokerEvidence| !witness.received.refused.is_empty() || lost_answer(witness);
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
fn lost_answer(witness: &BrokerEvidence) -> bool {
    let none = Stalls::default();
    witness
        .received
        .taken
        .iter()
        .any(|receipt| answered_in_time(receipt, witness.timeout_ms, &none).is_none())
}

/// New events a second in `time`. Repeats do not count: they are no load that a broker would see.
fn rate(expected: &Expected<'_>, time: &Range<u64>) -> f64 {
    let firsts = (0..expected.events.len() as u32).filter_map(|event| expected.first(event));
    let events = firsts.filter(|place| time.contains(&expected.log[*place].at_ms)).count();
    let seconds = time.end.saturating_sub(time.start) as f64 / 1_000.0;
    if seconds > 0.0 { events as f64 / seconds } else { 0.0 }
}
