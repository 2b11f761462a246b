//! Honest runs made at random, which must be found clean, with everything an honest system does: repeats it could not avoid,
//! dead letters, deliveries on disk, open records, a kill.

use crate::BodyDigest;
use bytes::Bytes;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

use super::super::{
    Terms, delays,
    evidence::{BrokerEvidence, DeadClaim, Evidence},
    judge,
    observation::Observation,
    stalls::Stalls,
};
use super::{
    planting::{FAULTS, plant},
    run::{event, letter, receipt, refused, told, witness},
};
use crate::{
    receiver::Refusal,
    traffic::{Entry, Form, SimEvent, Traffic},
};

type Dice = Xoshiro256PlusPlus;

/// A log of `events` events of some loads for `brokers` brokers, with repeats, conflicts and garbage among them.
fn traffic(rng: &mut Dice, events: u32, brokers: u16) -> Traffic {
    let loads = rng.random_range(1..6);
    let mut made: Vec<SimEvent> = Vec::new();
    let mut log: Vec<Entry> = Vec::new();
    let mut at_ms = 100;
    for place in 0..events {
        // a load's events are wanted by the same brokers, as they are in life
        let load: u16 = rng.random_range(0..loads);
        let wanted: Vec<_> =
            (0..brokers).filter(|broker| *broker == 0 || !(broker + load).is_multiple_of(3)).collect();
        made.push(event(place, &format!("LD-{load}"), &wanted));
        at_ms += rng.random_range(0..30);
        let mut append = |event: Option<u32>, form, body: &Bytes| {
            log.push(Entry { at_ms, event, form, body: body.clone() });
        };
        append(Some(place), Form::First, &made[place as usize].body);
        let old = rng.random_range(0..=place);
        match rng.random_range(0..10) {
            0 => append(Some(old), Form::ProducerRetry, &made[old as usize].body),
            1 => append(Some(old), Form::Replay, &made[old as usize].body),
            2 => append(Some(old), Form::Conflict, &format!("other bytes {place}").into()),
            3 => append(None, Form::Garbage, &format!("garbage {place}").into()),
            _ => {}
        }
    }
    Traffic { events: made, log }
}

/// Someone who delivers one load's events to one broker, honestly.
struct Sender<'a> {
    rng: &'a mut Dice,
    place: u16,
    kill_ms: Option<u64>,
    now_ms: u64,
    witness: &'a mut BrokerEvidence,
    dead: &'a mut Vec<DeadClaim>,
}

impl Sender<'_> {
    fn deliver(&mut self, event: u32, sim: &SimEvent) {
        self.now_ms += self.rng.random_range(1..30);
        let trouble = if self.witness.well { 9 } else { self.rng.random_range(0..10) };
        if trouble < 2 {
            for _ in 0..=trouble {
                self.witness.received.refused.push(refused(self.now_ms, Refusal::Failed));
                self.now_ms += self.rng.random_range(1..30);
            }
        }
        if trouble == 2 || trouble == 3 {
            let unclear = if trouble == 2 { None } else { told(500, self.now_ms + 3) };
            self.witness.received.taken.push(Observation { told: unclear, ..self.receipt(event) });
            self.now_ms += self.rng.random_range(1..2_000);
        }
        if trouble == 1 || (trouble == 3 && self.rng.random()) {
            self.witness.received.refused.push(refused(self.now_ms, Refusal::Failed));
            self.dead.push(letter(Some(self.place), Some(event), &sim.body));
            return;
        }
        let last = self.receipt(event);
        self.witness.received.taken.push(last.clone());
        self.now_ms += 11;
        let answered_ms = last.at_ms + 10;
        let killed = |kill: &u64| (last.at_ms..=answered_ms + 2_000).contains(kill);
        if let Some(kill) = self.kill_ms.filter(killed)
            && self.rng.random()
        {
            self.now_ms = self.now_ms.max(kill) + self.rng.random_range(0..500);
            let again = self.receipt(event);
            self.witness.received.taken.push(again);
            self.now_ms += 11;
        }
    }

    fn receipt(&self, event: u32) -> Observation {
        receipt(self.place, event, self.now_ms)
    }
}

/// An honest run.
pub(super) fn honest_run(seed: u64, events: u32, brokers: u16) -> Evidence {
    let mut rng = Dice::seed_from_u64(seed);
    let traffic = traffic(&mut rng, events, brokers);
    let appended = traffic.log.len();
    let settled_to = appended - rng.random_range(0..=appended / 4);
    let kill_ms = rng.random::<bool>().then(|| rng.random_range(100..4_000));
    let mut run = Evidence {
        traffic,
        appended,
        brokers: Vec::new(),
        dead: Vec::new(),
        spilled: Vec::new(),
        settled_to,
        kills_ms: kill_ms.into_iter().collect(),
        stalls: Stalls::default(),
        done: false,
        ended_ms: u64::MAX,
    };
    for place in 0..brokers {
        let well = place == 0 || rng.random();
        let mut witness =
            BrokerEvidence { rate: 20_000.0, burst: 500, ..witness(&format!("b{place}"), well) };
        for load in 0..6 {
            serve_load(&mut run, &mut rng, (place, &mut witness), &format!("LD-{load}"));
        }
        witness.received.taken.sort_by_key(|receipt| receipt.at_ms);
        witness.received.refused.sort_by_key(|refused| refused.at_ms);
        run.brokers.push(witness);
    }
    bury_the_faulty(&mut run, &mut rng);
    run
}

/// Delivers the events of a load in the order of the log, until one has to wait: then all later ones wait, too.
fn serve_load(run: &mut Evidence, rng: &mut Dice, (place, witness): (u16, &mut BrokerEvidence), load: &str) {
    let kill_ms = run.kills_ms.first().copied();
    let (mut waits, mut now_ms) = (false, 0);
    for (record, entry) in run.traffic.log.iter().enumerate().filter(|(_, entry)| entry.form == Form::First) {
        let Some(event) = entry.event else { continue };
        let sim = &run.traffic.events[event as usize];
        if &*sim.load_id != load || !sim.wanted_by.contains(&place) {
            continue;
        }
        let open = record >= run.settled_to;
        waits |= rng.random_ratio(1, 20) && (open || !witness.well);
        if waits && !open {
            run.spilled.push((place, event));
        } else if !waits {
            let now = entry.at_ms.max(now_ms);
            let dead = &mut run.dead;
            let mut sender = Sender { rng, place, kill_ms, now_ms: now, witness, dead };
            sender.deliver(event, sim);
            now_ms = sender.now_ms;
        }
    }
}

/// Dead letters for conflicts and garbage; for those not settled yet, perhaps.
fn bury_the_faulty(run: &mut Evidence, rng: &mut Dice) {
    for (record, entry) in run.traffic.log.iter().enumerate() {
        let mut due = || record < run.settled_to || rng.random();
        match (entry.form, entry.event) {
            (Form::Garbage, _) if due() => run.dead.push(letter(None, None, &entry.body)),
            (Form::Conflict, Some(event)) => {
                for &broker in &run.traffic.events[event as usize].wanted_by {
                    if !run.spilled.contains(&(broker, event)) && due() {
                        // some accounts tell whose id it was, some cannot
                        let claimed = Some(event).filter(|_| record % 2 == 0);
                        run.dead.push(letter(Some(broker), claimed, &entry.body));
                    }
                }
            }
            _ => {}
        }
    }
}

/// A run without any trouble, for three brokers.
pub(super) fn long_run(events: u32) -> Evidence {
    let made: Vec<_> =
        (0..events).map(|place| event(place, &format!("LD-{}", place % 5_000), &[0, 1, 2])).collect();
    let log: Vec<_> = (0..)
        .zip(&made)
        .map(|(place, event)| Entry {
            at_ms: u64::from(place) / 10,
            event: Some(place),
            form: Form::First,
            body: event.body.clone(),
        })
        .collect();
    let brokers = (0..3).map(|broker| {
        let mut witness =
            BrokerEvidence { rate: 10_000.0, burst: 1_000, ..witness(&format!("b{broker}"), true) };
        let at_ms = |event| u64::from(event) / 10 + 5 + u64::from(broker);
        witness.received.taken = (0..events).map(|event| receipt(broker, event, at_ms(event))).collect();
        witness
    });
    let brokers = brokers.collect();
    Evidence {
        appended: log.len(),
        settled_to: log.len(),
        traffic: Traffic { events: made, log },
        brokers,
        dead: Vec::new(),
        spilled: Vec::new(),
        kills_ms: Vec::new(),
        stalls: Stalls::default(),
        done: false,
        ended_ms: u64::MAX,
    }
}

fn told_all() -> Terms {
    Terms { listed_per_kind: usize::MAX, ..Terms::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn an_honest_run_is_clean_and_one_planted_fault_is_named(
        seed: u64, events in 1..60_u32, brokers in 1..5_u16, fault in 0..FAULTS,
    ) {
        let mut run = honest_run(seed, events, brokers);
        let judgement = judge(&run, &told_all());
        prop_assert!(judgement.is_clean(), "{}", judgement.findings[0]);
        for (broker, figures) in run.brokers.iter().zip(&judgement.brokers) {
            let sum = figures.delivered + figures.dead_letters + figures.waiting + figures.lost;
            prop_assert_eq!(figures.owed, sum, "{}", broker.id);
        }
        // what a run offers no place for, another one does
        let Some(planted) = plant(&mut run, fault, seed) else { return Ok(()) };
        let judgement = judge(&run, &told_all());
        let caught = judgement.findings.iter().find(|finding| {
            let violation = &finding.violation;
            (violation.kind(), violation.broker(), violation.event()) == (planted.kind, planted.broker, planted.event)
        });
        let Some(caught) = caught else {
            return Err(TestCaseError::fail(format!("{planted:?} not caught: {:#?}", judgement.findings)));
        };
        let named = caught.event.as_ref().map(|event| event.id.clone());
        prop_assert_eq!(named, planted.event.map(|event| format!("e-{event}")), "{}", caught);
    }
}

proptest! {
    #[test]
    fn no_evidence_makes_it_panic(
        (seed, appended, settled_to) in any::<(u64, usize, usize)>(),
        receipts in proptest::collection::vec((any::<u64>(), any::<Option<u32>>(), any::<Option<(u16, u64)>>()), 0..9),
        claims in proptest::collection::vec((any::<Option<u16>>(), any::<Option<u32>>()), 0..9),
        spilled in proptest::collection::vec(any::<(u16, u32)>(), 0..9),
        kills_ms in proptest::collection::vec(any::<u64>(), 0..3),
    ) {
        let mut run = Evidence { appended, settled_to, spilled, kills_ms, ..honest_run(seed, 10, 2) };
        run.dead.extend(claims.into_iter().map(|(broker, event)| letter(broker, event, b"?")));
        for (at_ms, event, answer) in receipts {
            let told = answer.and_then(|(status, at_ms)| told(status, at_ms));
            run.brokers[0].received.taken.push(Observation { at_ms, event, webhook_id: None, told });
            run.brokers[1].received.refused.push(refused(at_ms, Refusal::Unsigned));
        }
        for terms in [Terms::default(), Terms { clock_ms: u64::MAX, bunch_ms: u64::MAX, ..Terms::default() }] {
            let judgement = judge(&run, &terms);
            prop_assert_eq!(judgement.is_clean(), judgement.findings.is_empty());
            prop_assert!(judgement.findings.iter().all(|finding| !finding.to_string().is_empty()));
        }
        prop_assert!(delays(&run).count() < 1_000);
    }
}

#[test]
fn every_fault_finds_its_place_in_some_run() {
    for fault in 0..FAULTS {
        let planted =
            (0..200).filter(|seed| plant(&mut honest_run(*seed, 40, 3), fault, *seed).is_some()).count();
        assert!(planted >= 10, "fault {fault} was planted in {planted} of 200 runs");
    }
}

#[test]
fn honest_runs_have_everything_an_honest_system_does() {
    let runs: Vec<_> = (0..50).map(|seed| honest_run(seed, 40, 3)).collect();
    let some = |what: fn(&Evidence) -> bool| assert!(runs.iter().filter(|run| what(run)).count() >= 5);
    some(|run| judge(run, &told_all()).figures.explained_duplicates > 0);
    some(|run| {
        !run.kills_ms.is_empty()
            && judge(&Evidence { kills_ms: Vec::new(), ..run.clone() }, &told_all()).counts.total() > 0
    });
    some(|run| !run.spilled.is_empty() && run.settled_to < run.appended);
    some(|run| run.dead.iter().any(|claim| claim.broker.is_some() && claim.event.is_some()));
    some(|run| run.dead.iter().any(|claim| claim.digest != BodyDigest::of(b"") && claim.broker.is_none()));
}
