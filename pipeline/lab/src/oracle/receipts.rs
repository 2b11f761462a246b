//! What one broker took, in the order in which it took it: bytes, times, order, repeats and webhook ids are judged, and for
//! every event it is known afterwards whether the broker has it.

use rustc_hash::FxHashMap;

use super::{evidence::Evidence, observation::Observation};
use crate::report::BrokerFigures;

use super::{
    Terms,
    expected::Expected,
    repeats::{answered_in_time, free_to_repeat},
    violation::Violation,
    violations::Violations,
};

/// What a broker has of one event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Had {
    /// The first receipt, by its place; none if it never took the event.
    pub first: Option<u32>,
    /// Whether the sender was told of every receipt, in time.
    pub told: bool,
    /// From when on a repeat is explained, by the receipts so far; [`NEVER`] if it is not.
    free_ms: u64,
}

const NEVER: u64 = u64::MAX;
const NOT_YET: Had = Had { first: None, told: true, free_ms: 0 };

/// The judgement of one broker's receipts, under way.
struct ReceiptCheck<'a, 'd> {
    broker: u16,
    expected: &'a Expected<'a>,
    taken: &'a [Observation],
    terms: &'a Terms,
    violations: &'d mut Violations,
    had: Vec<Had>,
    /// For each load, the newest event taken, and where it first stands in the log.
    newest: Vec<Option<(usize, u32)>>,
    /// Whose each webhook id is.
    owners: FxHashMap<&'a str, u32>,
    figures: BrokerFigures,
}

/// Judges what the broker at `place` took; gives what it has of each event, and the counts of what it took.
pub(super) fn judge(
    place: u16,
    evidence: &Evidence,
    expected: &Expected<'_>,
    terms: &Terms,
    violations: &mut Violations,
) -> (Vec<Had>, BrokerFigures) {
    let Some(witness) = evidence.brokers.get(usize::from(place)) else { return Default::default() };
    let mut check = ReceiptCheck {
        broker: place,
        expected,
        taken: &witness.received.taken,
        terms,
        violations,
        had: vec![NOT_YET; expected.events.len()],
        newest: vec![None; expected.load_count],
        owners: FxHashMap::default(),
        figures: BrokerFigures::default(),
    };
    for (number, receipt) in (0..).zip(&witness.received.taken) {
        let Some((event, first)) = check.whose(receipt) else { continue };
        check.check_id(event, number, receipt);
        check.check_order(event, first, receipt);
        check.check_repeat(event, receipt);
        let had = &mut check.had[event as usize];
        had.first.get_or_insert(number);
        had.told &= answered_in_time(receipt, witness.timeout_ms, &evidence.stalls).is_some();
        let (kills_ms, stalls) = (&evidence.kills_ms, &evidence.stalls);
        let free_ms = free_to_repeat(receipt, witness.timeout_ms, kills_ms, stalls).unwrap_or(NEVER);
        // the sender needs an excuse for every single one
        had.free_ms = had.free_ms.max(free_ms);
    }
    (check.had, check.figures)
}

impl ReceiptCheck<'_, '_> {
    /// The event that was taken and the place of its first record, if it was one for this broker.
    fn whose(&mut self, receipt: &Observation) -> Option<(u32, usize)> {
        let (broker, at_ms) = (self.broker, receipt.at_ms);
        let Some(event) = receipt.event.filter(|event| self.expected.event(*event).is_some()) else {
            self.violations.note(Violation::Forged { broker, at_ms, webhook_id: receipt.webhook_id.clone() });
            return None;
        };
        if !self.expected.wants(broker, event) {
            self.violations.note(Violation::Unwanted { broker, event, at_ms });
            return None;
        }
        let first = self.expected.first(event);
        let appended_ms = first.map(|place| self.expected.log[place].at_ms);
        if appended_ms.is_none_or(|appended_ms| at_ms.saturating_add(self.terms.clock_ms) < appended_ms) {
            self.violations.note(Violation::TooEarly { broker, event, at_ms, appended_ms });
        }
        Some((event, first?))
    }

    fn check_id(&mut self, event: u32, number: u32, receipt: &Observation) {
        if !self.terms.webhook_ids {
            return;
        }
        let (broker, at_ms) = (self.broker, receipt.at_ms);
        let first = self.had[event as usize].first.unwrap_or(number);
        let first = &self.taken[first as usize].webhook_id;
        if *first != receipt.webhook_id {
            let (first, then) = (first.clone(), receipt.webhook_id.clone());
            self.violations.note(Violation::TwoIds { broker, event, at_ms, first, then });
        }
        let Some(id) = &self.taken[number as usize].webhook_id else {
            self.violations.note(Violation::MissingId { broker, event, at_ms });
            return;
        };
        let other = *self.owners.entry(id).or_insert(event);
        if other != event {
            let id = id.clone();
            self.violations.note(Violation::SharedId { broker, event, at_ms, other, id });
        }
    }

    fn check_order(&mut self, event: u32, first: usize, receipt: &Observation) {
        let newest = &mut self.newest[self.expected.load(event)];
        if let Some((_, newer)) = newest.filter(|(place, _)| *place > first) {
            self.figures.out_of_order += 1;
            let repeat = self.had[event as usize].first.is_some();
            let (broker, at_ms) = (self.broker, receipt.at_ms);
            self.violations.note(Violation::OutOfOrder { broker, event, at_ms, newer, repeat });
        }
        *newest = (*newest).max(Some((first, event)));
    }

    fn check_repeat(&mut self, event: u32, receipt: &Observation) {
        let had = &self.had[event as usize];
        if had.first.is_none() {
            return;
        }
        self.figures.duplicates += 1;
        if had.free_ms <= receipt.at_ms {
            self.figures.explained_duplicates += 1;
        } else {
            self.violations.note(Violation::Duplicate { broker: self.broker, event, at_ms: receipt.at_ms });
        }
    }
}
