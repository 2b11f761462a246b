//! What one broker took, in the order in which it took it: bytes, times, order, repeats and webhook ids are judged.
//! What leaves is, for every event, whether the broker has it, and the counts.

use rustc_hash::FxHashMap;

use crate::surge::{evidence::Evidence, report::BrokerFigures, sighting::Sighting};

use super::{
    Terms,
    answers::{free_to_repeat, told_in_time},
    docket::Docket,
    ground::Ground,
    violation::Violation,
};

/// What a broker has of one event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Had {
    /// The first taking, by its place; none if it never took the event.
    pub first: Option<u32>,
    /// Whether the sender was told of every taking, in time.
    pub told: bool,
    /// From when on a repeat is explained, by the takings so far; [`NEVER`] if it is not.
    free_ms: u64,
}

const NEVER: u64 = u64::MAX;
const NOT_YET: Had = Had { first: None, told: true, free_ms: 0 };

/// The judgement of one broker's takings, under way.
struct Bench<'a, 'd> {
    broker: u16,
    ground: &'a Ground<'a>,
    taken: &'a [Sighting],
    terms: &'a Terms,
    docket: &'d mut Docket,
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
    ground: &Ground<'_>,
    terms: &Terms,
    docket: &mut Docket,
) -> (Vec<Had>, BrokerFigures) {
    let Some(witness) = evidence.brokers.get(usize::from(place)) else { return Default::default() };
    let mut bench = Bench {
        broker: place,
        ground,
        taken: &witness.saw.taken,
        terms,
        docket,
        had: vec![NOT_YET; ground.events.len()],
        newest: vec![None; ground.load_count],
        owners: FxHashMap::default(),
        figures: BrokerFigures::default(),
    };
    for (number, taking) in (0..).zip(&witness.saw.taken) {
        let Some((event, first)) = bench.whose(taking) else { continue };
        bench.check_id(event, number, taking);
        bench.check_order(event, first, taking);
        bench.check_repeat(event, taking);
        let had = &mut bench.had[event as usize];
        had.first.get_or_insert(number);
        had.told &= told_in_time(taking, witness.timeout_ms, &evidence.stalls).is_some();
        let (kills_ms, stalls) = (&evidence.kills_ms, &evidence.stalls);
        let free_ms = free_to_repeat(taking, witness.timeout_ms, kills_ms, stalls).unwrap_or(NEVER);
        // the sender needs an excuse for every single one
        had.free_ms = had.free_ms.max(free_ms);
    }
    (bench.had, bench.figures)
}

impl Bench<'_, '_> {
    /// The event that was taken and the place of its first record, if it was one for this broker.
    fn whose(&mut self, taking: &Sighting) -> Option<(u32, usize)> {
        let (broker, at_ms) = (self.broker, taking.at_ms);
        let Some(event) = taking.event.filter(|event| self.ground.event(*event).is_some()) else {
            self.docket.note(Violation::Forged { broker, at_ms, webhook_id: taking.webhook_id.clone() });
            return None;
        };
        if !self.ground.wants(broker, event) {
            self.docket.note(Violation::Unwanted { broker, event, at_ms });
            return None;
        }
        let first = self.ground.first(event);
        let appended_ms = first.map(|place| self.ground.log[place].at_ms);
        if appended_ms.is_none_or(|appended_ms| at_ms.saturating_add(self.terms.clock_ms) < appended_ms) {
            self.docket.note(Violation::TooEarly { broker, event, at_ms, appended_ms });
        }
        Some((event, first?))
    }

    fn check_id(&mut self, event: u32, number: u32, taking: &Sighting) {
        if !self.terms.webhook_ids {
            return;
        }
        let (broker, at_ms) = (self.broker, taking.at_ms);
        let first = self.had[event as usize].first.unwrap_or(number);
        let first = &self.taken[first as usize].webhook_id;
        if *first != taking.webhook_id {
            let (first, then) = (first.clone(), taking.webhook_id.clone());
            self.docket.note(Violation::TwoIds { broker, event, at_ms, first, then });
        }
        let Some(id) = &self.taken[number as usize].webhook_id else {
            self.docket.note(Violation::MissingId { broker, event, at_ms });
            return;
        };
        let other = *self.owners.entry(id).or_insert(event);
        if other != event {
            let id = id.clone();
            self.docket.note(Violation::SharedId { broker, event, at_ms, other, id });
        }
    }

    fn check_order(&mut self, event: u32, first: usize, taking: &Sighting) {
        let newest = &mut self.newest[self.ground.load(event)];
        if let Some((_, newer)) = newest.filter(|(place, _)| *place > first) {
            self.figures.out_of_order += 1;
            let repeat = self.had[event as usize].first.is_some();
            let (broker, at_ms) = (self.broker, taking.at_ms);
            self.docket.note(Violation::OutOfOrder { broker, event, at_ms, newer, repeat });
        }
        *newest = (*newest).max(Some((first, event)));
    }

    fn check_repeat(&mut self, event: u32, taking: &Sighting) {
        let had = &self.had[event as usize];
        if had.first.is_none() {
            return;
        }
        self.figures.duplicates += 1;
        if had.free_ms <= taking.at_ms {
            self.figures.explained_duplicates += 1;
        } else {
            self.docket.note(Violation::Duplicate { broker: self.broker, event, at_ms: taking.at_ms });
        }
    }
}
