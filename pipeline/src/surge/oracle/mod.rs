//! The oracle: the evidence of one system's run enters, the judgement leaves: every violation, the worst first, each
//! with the event's history; and the figures, so that nobody needs to count again.
//!
//! It trusts nobody. What was issued is known from the log, what happened from what the receivers kept. The system's
//! own account (dead letters, deliveries on disk, how far it has settled) only explains what was not delivered, and is
//! checked against both.
//!
//! - **conservation** (`conservation.rs`, `account.rs`): each delivery owed was made, given up, waits, or is lost; a
//!   record nobody may be given has its dead letter, with its bytes.
//! - **what was taken** (`takings.rs`): bytes, order per load, repeats and webhook ids. A repeat is explained if the
//!   sender could not know better (`answers.rs`).
//! - **quota** (`quota.rs`), **signatures**, and whether the run proves anything (`vacuity.rs`).
//!
//! Guaranteed: the judgement is linear in the evidence, in time and memory (quota: *n log n*); no evidence makes it
//! panic; honest runs are never found guilty because of clocks or of what a sender cannot know.

mod account;
mod answers;
mod conservation;
mod docket;
mod finding;
mod ground;
mod history;
mod latency;
mod letters;
mod quota;
mod takings;
mod terms;
#[cfg(test)]
mod tests;
mod vacuity;
mod violation;
mod words;

pub use docket::Counts;
pub use finding::{EventName, Finding};
pub use history::{MOMENTS_MAX, Moment};
pub use latency::{Delay, delays};
pub use letters::Letters;
pub use terms::{Promised, Surge, Terms};
pub use violation::{Contradiction, Kind, Stray, Vacuity, Violation};

use crate::receive::Refusal;

use super::{
    evidence::{Evidence, Witness},
    report::{BrokerFigures, Figures, Issued},
};
use account::Account;
use docket::Docket;
use ground::Ground;

/// What the oracle says of a run.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The first few violations of each kind ([`Terms::told_per_kind`]), the worst kind first.
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
    let mut docket = Docket::new(terms.told_per_kind);
    let ground = Ground::of(evidence);
    check_account(evidence, &mut docket);
    let account = Account::of(evidence, &ground, terms, &mut docket);
    let mut brokers = Vec::with_capacity(evidence.brokers.len());
    for (place, witness) in (0..).zip(&evidence.brokers) {
        let (had, mut figures) = takings::judge(place, evidence, &ground, terms, &mut docket);
        let known = (&ground, &account, &*had);
        conservation::check(place, evidence, known, terms, &mut figures, &mut docket);
        check_signatures(place, witness, &mut docket);
        for excess in quota::excesses(witness, &evidence.kills_ms, &evidence.stalls, terms) {
            let quota::Excess { at_ms, requests } = excess;
            docket.note(Violation::OverQuota { broker: place, at_ms, requests });
        }
        brokers.push(figures);
    }
    vacuity::check(evidence, &ground, &terms.promised, &mut docket);
    let (counts, findings) = docket.close(evidence);
    let figures = sum(evidence, &brokers);
    Judgement { findings, counts, brokers, figures, issued: ground.issued(), letters: account.figures }
}

fn check_account(evidence: &Evidence, docket: &mut Docket) {
    let Evidence { appended, settled_to, done, .. } = *evidence;
    let log = evidence.traffic.log.len();
    if appended > log {
        docket.note(Violation::Contradiction(Contradiction::AppendedBeyondLog { appended, log }));
    }
    if settled_to > appended {
        docket.note(Violation::Contradiction(Contradiction::SettledBeyondAppended { settled_to, appended }));
    }
    let held = evidence.spilled.len();
    if done && held > 0 {
        docket.note(Violation::Contradiction(Contradiction::HeldThoughDone { held }));
    }
}

fn check_signatures(broker: u16, witness: &Witness, docket: &mut Docket) {
    let unsigned = |why| matches!(why, Refusal::Unsigned | Refusal::Stale | Refusal::WrongSignature);
    let mut refused = witness.saw.refused.iter().filter(|refused| unsigned(refused.why));
    if let Some(first) = refused.next() {
        let requests = 1 + refused.count() as u64;
        docket.note(Violation::BadSignature { broker, at_ms: first.at_ms, requests, why: first.why });
    }
}

fn sum(evidence: &Evidence, brokers: &[BrokerFigures]) -> Figures {
    let all = |figure: fn(&BrokerFigures) -> u64| brokers.iter().map(figure).sum();
    let requests = |count: fn(&Witness) -> usize| evidence.brokers.iter().map(count).sum::<usize>() as u64;
    Figures {
        taken: requests(|witness| witness.saw.taken.len()),
        refused: requests(|witness| witness.saw.refused.len()),
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
