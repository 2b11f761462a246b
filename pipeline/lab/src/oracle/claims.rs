//! The system's own account of what it did not deliver, its dead letters and its deliveries on disk, checked against what
//! was issued. It is believed only where it explains something, and never where it contradicts the log.

use std::collections::hash_map::Entry;

use crate::BodyDigest;
use rustc_hash::{FxHashMap, FxHashSet};

use super::evidence::{DeadClaim, Evidence};

use super::{
    Terms,
    expected::{Expected, Record},
    letters::Letters,
    violation::{Stray, Violation},
    violations::Violations,
};

/// The account, ready to look things up in.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Dead letters of events for brokers that want them; the first such claim's place.
    given_up: FxHashMap<(u16, u32), usize>,
    /// Deliveries on disk.
    held: FxHashSet<(u16, u32)>,
    /// Dead letters by whom they are for and what their bytes are.
    letters: FxHashMap<(Option<u16>, BodyDigest), u64>,
    /// The figures.
    pub figures: Letters,
}

/// Records with the same bytes, none of which anybody may be given.
#[derive(Clone, Copy, Debug)]
struct Faulty {
    what: Record,
    first: usize,
    records: u64,
    settled: u64,
}

/// The faulty records by their bytes.
type FaultyRecords = FxHashMap<BodyDigest, Faulty>;

impl Claims {
    /// Reads the account and notes what in it cannot be, and which faulty records it does not account for.
    pub(super) fn of(
        evidence: &Evidence,
        expected: &Expected<'_>,
        terms: &Terms,
        violations: &mut Violations,
    ) -> Self {
        let mut account = Self::default();
        let faulty = faulty_records(evidence, expected, terms);
        for (letter, claim) in evidence.dead.iter().enumerate() {
            if let Err(why) = account.read_letter(letter, claim, evidence, expected, &faulty) {
                let (broker, event) = (claim.broker, claim.event);
                violations.note(Violation::StrayLetter { broker, event, letter, why });
            }
        }
        for &(broker, event) in &evidence.spilled {
            match owed(broker, event, evidence, expected) {
                Ok(()) => _ = account.held.insert((broker, event)),
                Err(why) => violations.note(Violation::StraySpill { broker, event, why }),
            }
        }
        account.check_events(evidence, expected, violations);
        let mut faulty: Vec<_> = faulty.into_iter().collect();
        faulty.sort_by_key(|(_, faulty)| faulty.first);
        for (digest, faulty) in faulty {
            account.check_faulty(digest, faulty, expected, violations);
        }
        account
    }

    /// The dead letter of an event for a broker, by its place among the claims.
    pub(super) fn given_up(&self, broker: u16, event: u32) -> Option<usize> {
        self.given_up.get(&(broker, event)).copied()
    }

    /// Whether the event waits on disk for the broker.
    pub(super) fn holds(&self, broker: u16, event: u32) -> bool {
        self.held.contains(&(broker, event))
    }

    fn read_letter(
        &mut self,
        letter: usize,
        claim: &DeadClaim,
        evidence: &Evidence,
        expected: &Expected<'_>,
        faulty: &FaultyRecords,
    ) -> Result<(), Stray> {
        if claim.broker.is_some_and(|broker| usize::from(broker) >= evidence.brokers.len()) {
            return Err(Stray::NoSuchBroker);
        }
        let named = claim.event.and_then(|event| Some((event, expected.event(event)?)));
        if let Some((event, _)) = named.filter(|(_, sim)| sim.digest == claim.digest) {
            let broker = claim.broker.ok_or(Stray::Sound)?;
            owed(broker, event, evidence, expected)?;
            self.given_up.entry((broker, event)).or_insert(letter);
            self.figures.deliveries += 1;
            self.figures.at_well += u64::from(evidence.brokers[usize::from(broker)].well);
        } else {
            let what = faulty.get(&claim.digest).ok_or(Stray::NoSuchBytes)?.what;
            match (what, claim.broker, claim.event) {
                (Record::Garbage, _, Some(_)) => return Err(Stray::OtherEvent),
                (Record::Garbage, Some(_), None) => return Err(Stray::NoEvent),
                (Record::Garbage, None, None) => self.figures.garbage += 1,
                (Record::Genuine(real) | Record::Conflict(real), broker, event) => {
                    if event.is_some_and(|event| event != real) {
                        return Err(Stray::OtherEvent);
                    }
                    if broker.is_some_and(|broker| !expected.wants(broker, real)) {
                        return Err(Stray::NotWanted);
                    }
                    self.figures.conflicts += 1;
                }
            }
        }
        *self.letters.entry((claim.broker, claim.digest)).or_default() += 1;
        Ok(())
    }

    /// An event can be given up once for each time it was appended: no record has two dead letters for one broker.
    fn check_events(&self, evidence: &Evidence, expected: &Expected<'_>, violations: &mut Violations) {
        let mut given_up: Vec<_> = self.given_up.iter().map(|(key, letter)| (*letter, *key)).collect();
        given_up.sort_unstable();
        for (letter, (broker, event)) in given_up {
            let key = (Some(broker), evidence.dead[letter].digest);
            let letters = self.letters.get(&key).copied().unwrap_or(0);
            let (records, record) = (expected.records(event), expected.first(event).unwrap_or(0));
            if letters > records {
                let (broker, event) = (Some(broker), Some(event));
                violations.note(Violation::LettersTooMany { broker, event, record, letters, records });
            }
        }
    }

    fn check_faulty(
        &self,
        digest: BodyDigest,
        faulty: Faulty,
        expected: &Expected<'_>,
        violations: &mut Violations,
    ) {
        let Faulty { what, first: record, records, settled } = faulty;
        let letters = |broker| self.letters.get(&(broker, digest)).copied().unwrap_or(0);
        match what {
            Record::Garbage => {
                let letters = letters(None);
                if letters > records {
                    let (broker, event) = (None, None);
                    violations.note(Violation::LettersTooMany { broker, event, record, letters, records });
                } else if letters < settled {
                    violations.note(Violation::GarbageVanished { record, letters, records: settled });
                }
            }
            Record::Genuine(event) | Record::Conflict(event) => {
                for &broker in expected.event(event).iter().flat_map(|event| &event.wanted_by) {
                    let letters = letters(Some(broker));
                    if letters > records {
                        let (broker, event) = (Some(broker), Some(event));
                        violations.note(Violation::LettersTooMany {
                            broker,
                            event,
                            record,
                            letters,
                            records,
                        });
                    } else if letters < settled && !self.holds(broker, event) {
                        // behind an event that waits on disk its conflicts wait, too: those were passed over
                        let records = settled;
                        violations.note(Violation::ConflictVanished {
                            broker,
                            event,
                            record,
                            letters,
                            records,
                        });
                    }
                }
            }
        }
    }
}

/// Whether the broker was to be given the event at all.
fn owed(broker: u16, event: u32, evidence: &Evidence, expected: &Expected<'_>) -> Result<(), Stray> {
    if usize::from(broker) >= evidence.brokers.len() {
        return Err(Stray::NoSuchBroker);
    }
    expected.first(event).ok_or(Stray::NoSuchEvent)?;
    if expected.wants(broker, event) { Ok(()) } else { Err(Stray::NotWanted) }
}

fn faulty_records(evidence: &Evidence, expected: &Expected<'_>, terms: &Terms) -> FaultyRecords {
    let mut all = FaultyRecords::default();
    for &place in &expected.faulty {
        let body = &expected.log[place].body;
        let kept = &body[..body.len().min(terms.letter_bytes_max)];
        if kept.is_empty() {
            // an empty line is no record: there is nothing that could be kept of it
            continue;
        }
        let settled = u64::from(place < evidence.settled_to);
        match all.entry(BodyDigest::of(kept)) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.records += 1;
                known.settled += settled;
            }
            Entry::Vacant(new) => {
                let what = expected.record(place);
                new.insert(Faulty { what, first: place, records: 1, settled });
            }
        }
    }
    all
}
