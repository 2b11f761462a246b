//! Conservation: every delivery owed to a broker was made, given up, waits, or is lost.

use super::evidence::{BrokerEvidence, Evidence};
use crate::report::BrokerFigures;

use super::{
    Terms, claims::Claims, expected::Expected, receipts::Had, violation::Violation, violations::Violations,
};

/// Accounts for everything owed to the broker at `place`: each delivery is counted in exactly one of `delivered`,
/// `dead_letters`, `waiting` and `lost`, the first that fits.
pub(super) fn check(
    place: u16,
    evidence: &Evidence,
    (expected, account, had): (&Expected<'_>, &Claims, &[Had]),
    terms: &Terms,
    figures: &mut BrokerFigures,
    violations: &mut Violations,
) {
    let Some(witness) = evidence.brokers.get(usize::from(place)) else { return };
    for (event, record) in expected.owed(place) {
        figures.owed += 1;
        let had = had[event as usize];
        let letter = account.given_up(place, event);
        if let Some(letter) = letter {
            let appended_ms = expected.log[record].at_ms.saturating_sub(terms.clock_ms);
            if witness.well && had.told && !refused_since(witness, appended_ms) {
                violations.note(Violation::GivenUpThoughWell { broker: place, event, letter });
            }
        }
        if had.first.is_some() {
            figures.delivered += 1;
        } else if letter.is_some() {
            figures.dead_letters += 1;
        } else if account.holds(place, event) {
            figures.waiting += 1;
            if witness.well && was_idle(witness, evidence.ended_ms) {
                violations.note(Violation::HeldThoughWell { broker: place, event });
            }
        } else if record >= evidence.settled_to {
            figures.waiting += 1;
        } else {
            figures.lost += 1;
            violations.note(Violation::Lost { broker: place, event });
        }
    }
}

/// How long a broker may have been asked nothing at the end of a run before what is held for it is held for nothing:
/// several breaker pauses and retries of any profile.
const IDLE_MAX_MS: u64 = 5_000;

/// Whether nobody had asked anything of the broker for long when the run was ended at `ended_ms`. One that was still
/// being served may have been given more than it can take.
fn was_idle(witness: &BrokerEvidence, ended_ms: u64) -> bool {
    let taken = witness.received.taken.last().map(|taken| taken.at_ms);
    let refused = witness.received.refused.last().map(|refused| refused.at_ms);
    let last = taken.max(refused).unwrap_or_default();
    ended_ms.saturating_sub(last) > IDLE_MAX_MS
}

fn refused_since(witness: &BrokerEvidence, from_ms: u64) -> bool {
    // they are in the order of arrival
    witness.received.refused.last().is_some_and(|refused| refused.at_ms >= from_ms)
}

#[cfg(test)]
mod tests {
    use super::super::observation::{ReceiverLog, RefusedRequest};
    use super::*;
    use crate::receiver::Refusal;

    #[test]
    fn a_broker_that_was_asked_to_the_end_was_not_idle() {
        let refused = vec![RefusedRequest { at_ms: 10_000, why: Refusal::Throttled }];
        let received = ReceiverLog { taken: Vec::new(), refused };
        let witness =
            BrokerEvidence { id: String::new(), rate: 1.0, burst: 1, timeout_ms: 1, well: true, received };
        assert!(!was_idle(&witness, 15_000) && was_idle(&witness, 15_001));
    }
}
