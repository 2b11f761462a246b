//! The oracle judges one system's run by its evidence: every violation, the worst first, each with the event's history; and
//! the figures, so that nobody needs to count again. It uses no code of the product, and a test sees to that.
//!
//! It trusts nobody. What was issued is known from the log, what happened from what the receivers kept. The system's
//! own account (dead letters, deliveries on disk, how far it has settled) only explains what was not delivered, and is
//! checked against both.
//!
//! - **conservation** (`conservation.rs`, `claims.rs`): each delivery owed was made, given up, waits, or is lost; a
//!   record nobody may be given has its dead letter, with its bytes.
//! - **what was taken** (`receipts.rs`): bytes, order per load, repeats and webhook ids. A repeat is explained if the
//!   sender could not know better (`repeats.rs`).
//! - **quota** (`quota.rs`), **signatures**, and whether the run proves anything (`vacuity.rs`).
//!
//! Guaranteed: the judgement is linear in the evidence, in time and memory (quota: *n log n*); no evidence makes it
//! panic; honest runs are never found guilty because of clocks or of what a sender cannot know.

mod claims;
mod conservation;
mod evidence;
mod expected;
mod finding;
mod history;
mod latency;
mod letters;
mod messages;
mod observation;
mod observer;
mod quota;
mod receipts;
mod repeats;
mod stalls;
mod terms;
#[cfg(test)]
mod tests;
mod vacuity;
mod violation;
mod violations;

pub use evidence::{BrokerEvidence, DeadClaim, Evidence};
pub use finding::{EventName, Finding};
pub use history::{MOMENTS_MAX, Moment};
pub use latency::{Delay, delays};
pub use letters::Letters;
pub use observation::{Answer, Observation, ReceiverLog, RefusedRequest};
pub use observer::{EventIndex, Observer, index_events};
pub use stalls::Stalls;
pub use terms::{Promised, Surge, Terms};
pub use violation::{Contradiction, Kind, Stray, Vacuity, Violation};
pub use violations::Counts;

use crate::{
    receiver::Refusal,
    report::{BrokerFigures, Figures, Issued},
};
use claims::Claims;
use expected::Expected;
use violations::Violations;

/// What the oracle says of a run.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The first few violations of each kind ([`Terms::listed_per_kind`]), the worst kind first.
    pub findings: Vec<Finding>,
    /// How many there are of each kind.
    pub counts: Counts,
    /// Each broker's share, in the brokers' order; without latencies.
    pub brokers: Vec<BrokerFigures>,
    /// The sums over all brokers, and what was taken and refused; all else is zero.
    pub figures: Figures,
    /// What was issued, as far as it was appended.
    pub issued: Issued,
    /// The dead letters.
    pub letters: Letters,
}

impl Judgement {
    /// Whether nothing is held against the run.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.counts.total() == 0
    }
}

/// Judges a run.
#[must_use]
pub fn judge(evidence: &Evidence, terms: &Terms) -> Judgement {
    let (violations, judgement) = examine(evidence, terms);
    let findings = violations.into_iter().map(|violation| Finding::of(violation, evidence)).collect();
    Judgement { findings, ..judgement }
}

/// As [`judge`], with the violations alone: a history for each takes long where there are thousands. The judgement has
/// no findings.
#[must_use]
pub fn examine(evidence: &Evidence, terms: &Terms) -> (Vec<Violation>, Judgement) {
    let mut violations = Violations::new(terms.listed_per_kind);
    let expected = Expected::of(evidence);
    check_account(evidence, &mut violations);
    let claims = Claims::of(evidence, &expected, terms, &mut violations);
    let mut brokers = Vec::with_capacity(evidence.brokers.len());
    for (place, broker) in (0..).zip(&evidence.brokers) {
        let (had, mut figures) = receipts::judge(place, evidence, &expected, terms, &mut violations);
        let known = (&expected, &claims, &*had);
        conservation::check(place, evidence, known, terms, &mut figures, &mut violations);
        check_signatures(place, broker, &mut violations);
        for excess in quota::excesses(broker, &evidence.kills_ms, &evidence.stalls, terms) {
            let quota::Excess { at_ms, requests } = excess;
            violations.note(Violation::OverQuota { broker: place, at_ms, requests });
        }
        brokers.push(figures);
    }
    vacuity::check(evidence, &expected, &terms.promised, &mut violations);
    let (counts, violations) = violations.close();
    let (figures, issued, letters) = (sum(evidence, &brokers), expected.issued(), claims.figures);
    (violations, Judgement { findings: Vec::new(), counts, brokers, figures, issued, letters })
}

fn check_account(evidence: &Evidence, violations: &mut Violations) {
    let Evidence { appended, settled_to, done, .. } = *evidence;
    let log = evidence.traffic.log.len();
    if appended > log {
        violations.note(Violation::Contradiction(Contradiction::AppendedBeyondLog { appended, log }));
    }
    if settled_to > appended {
        violations
            .note(Violation::Contradiction(Contradiction::SettledBeyondAppended { settled_to, appended }));
    }
    let held = evidence.spilled.len();
    if done && held > 0 {
        violations.note(Violation::Contradiction(Contradiction::HeldThoughDone { held }));
    }
}

fn check_signatures(broker: u16, witness: &BrokerEvidence, violations: &mut Violations) {
    let unsigned = |why| matches!(why, Refusal::Unsigned | Refusal::Stale | Refusal::WrongSignature);
    let mut refused = witness.received.refused.iter().filter(|refused| unsigned(refused.why));
    if let Some(first) = refused.next() {
        let requests = 1 + refused.count() as u64;
        violations.note(Violation::BadSignature { broker, at_ms: first.at_ms, requests, why: first.why });
    }
}

fn sum(evidence: &Evidence, brokers: &[BrokerFigures]) -> Figures {
    let all = |figure: fn(&BrokerFigures) -> u64| brokers.iter().map(figure).sum();
    let requests =
        |count: fn(&BrokerEvidence) -> usize| evidence.brokers.iter().map(count).sum::<usize>() as u64;
    Figures {
        taken: requests(|witness| witness.received.taken.len()),
        refused: requests(|witness| witness.received.refused.len()),
        delivered: all(|broker| broker.delivered),
        duplicates: all(|broker| broker.duplicates),
        explained_duplicates: all(|broker| broker.explained_duplicates),
        out_of_order: all(|broker| broker.out_of_order),
        lost: all(|broker| broker.lost),
        dead_letters: all(|broker| broker.dead_letters),
        waiting: all(|broker| broker.waiting),
        ..Figures::default()
    }
}
