//! Planted faults: an honest run is changed in one place, by the number of a fault and a seed, and judged.

use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

use super::super::{Kind, evidence::Evidence, observation::Observation};
use super::run::{letter, receipt, refused};
use crate::{receiver::Refusal, traffic::Form};

/// How many faults there are.
pub(super) const FAULTS: usize = 15;

/// What was planted.
#[derive(Debug)]
pub(super) struct Planted {
    pub kind: Kind,
    pub broker: Option<u16>,
    pub event: Option<u32>,
}

/// A receipt by its place: the broker, the place among what it took, and the event.
type Place = (u16, usize, u32);

/// Plants a fault; none if the run has no place for it.
pub(super) fn plant(run: &mut Evidence, fault: usize, seed: u64) -> Option<Planted> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ 0x5eed);
    let mut pick =
        |places: Vec<Place>| (!places.is_empty()).then(|| places[rng.random_range(0..places.len())]);
    let broker = (seed % run.brokers.len() as u64) as u16;
    let found = |kind, broker, event| Some(Planted { kind, broker: Some(broker), event: Some(event) });
    match fault {
        0 => {
            let (broker, place, event) =
                pick(receipts(run, |run, place| alone(run, place) && !excused(run, place)))?;
            saw(run, broker).remove(place);
            found(Kind::Lost, broker, event)
        }
        1 => {
            let (broker, place, _) = pick(receipts(run, |_, _| true))?;
            saw(run, broker)[place].event = None;
            Some(Planted { kind: Kind::Forged, broker: Some(broker), event: None })
        }
        2 => {
            let (broker, place, event) =
                pick(receipts(run, |run, place| alone(run, place) && far_from_kills(run, place)))?;
            let at_ms = saw(run, broker)[place].at_ms;
            saw(run, broker).insert(place + 1, receipt(broker, event, at_ms + 5));
            found(Kind::Duplicate, broker, event)
        }
        3 => {
            let (broker, place, event) =
                pick(receipts(run, |run, place| next_of_load(run, place).is_some()))?;
            let next = next_of_load(run, (broker, place, event))?;
            let taken = saw(run, broker);
            let (one, two) = (taken[place].clone(), taken[next].clone());
            taken[place] = Observation { at_ms: one.at_ms, told: one.told, ..two };
            taken[next] = Observation { at_ms: two.at_ms, told: two.told, ..one };
            found(Kind::OutOfOrder, broker, event)
        }
        4 => {
            let (broker, place, event) = pick(receipts(run, |run, place| count(run, place) > 1))?;
            let last = saw(run, broker).iter().rposition(|receipt| receipt.event == Some(event));
            saw(run, broker)[last.unwrap_or(place)].webhook_id = Some("another".into());
            found(Kind::TwoIds, broker, event)
        }
        5 => {
            let (broker, place, event) = pick(receipts(run, |run, place| place.1 > 0 && alone(run, place)))?;
            let taken = saw(run, broker);
            taken[place].webhook_id = taken[0].webhook_id.clone();
            found(Kind::SharedId, broker, event)
        }
        6 => {
            let (broker, place, event) = pick(receipts(run, |_, _| true))?;
            saw(run, broker)[place].webhook_id = None;
            found(Kind::MissingId, broker, event)
        }
        7 => {
            let events = (0..).zip(&run.traffic.events);
            let others = events.filter(|(_, event)| !event.wanted_by.contains(&broker));
            let (_, _, event) = pick(others.map(|(event, _)| (broker, 0, event)).collect())?;
            saw(run, broker).push(receipt(broker, event, 90_000));
            found(Kind::Unwanted, broker, event)
        }
        8 => {
            let (broker, place, event) = pick(receipts(run, |_, _| true))?;
            let appended_ms = run.traffic.log[first(run, event)?].at_ms;
            saw(run, broker)[place].at_ms = appended_ms - 21;
            found(Kind::TooEarly, broker, event)
        }
        _ => plant_in_account(run, fault, broker),
    }
}

/// The faults in what the system says, and in what its receivers refused.
fn plant_in_account(run: &mut Evidence, fault: usize, broker: u16) -> Option<Planted> {
    let found = |kind, broker, event| Some(Planted { kind, broker, event });
    let settled = |form| {
        let log = run.traffic.log[..run.settled_to].iter();
        log.rev().find(|entry| entry.form == form).map(|entry| (entry.event, entry.body.clone()))
    };
    let remove = |run: &mut Evidence, body: &[u8]| {
        let digest = crate::BodyDigest::of(body);
        let place = run.dead.iter().position(|claim| claim.digest == digest);
        place.map(|place| run.dead.remove(place))
    };
    match fault {
        9 => {
            let (_, body) = settled(Form::Garbage)?;
            remove(run, &body)?;
            found(Kind::GarbageVanished, None, None)
        }
        10 => {
            let (event, body) = settled(Form::Conflict)?;
            let claim = remove(run, &body)?;
            found(Kind::ConflictVanished, claim.broker, event)
        }
        11 => {
            let given_up = |broker: Option<u16>, event: Option<u32>| {
                let (broker, event) = (broker?, event?);
                let taken = &run.brokers[usize::from(broker)].received.taken;
                let never = taken.iter().all(|receipt| receipt.event != Some(event));
                (never && first(run, event)? < run.settled_to).then_some((broker, event))
            };
            let sound = |claim: &crate::oracle::evidence::DeadClaim| {
                claim.event.is_some_and(|event| run.traffic.events[event as usize].digest == claim.digest)
                    && given_up(claim.broker, claim.event).is_some()
            };
            let place = run.dead.iter().position(sound)?;
            let claim = run.dead.remove(place);
            found(Kind::Lost, claim.broker, claim.event)
        }
        12 => {
            let (broker, event) = run.spilled.pop()?;
            found(Kind::Lost, Some(broker), Some(event))
        }
        13 => {
            run.brokers[usize::from(broker)].received.refused.push(refused(99_000, Refusal::WrongSignature));
            found(Kind::BadSignature, Some(broker), None)
        }
        _ => {
            let event = run.brokers[0].received.taken.last()?.event?;
            let body = run.traffic.events[event as usize].body.clone();
            run.dead.push(letter(Some(0), Some(event), &body));
            found(Kind::GivenUpThoughWell, Some(0), Some(event))
        }
    }
}

fn saw(run: &mut Evidence, broker: u16) -> &mut Vec<Observation> {
    &mut run.brokers[usize::from(broker)].received.taken
}

/// Every receipt for which this holds.
fn receipts(run: &Evidence, holds: impl Fn(&Evidence, Place) -> bool) -> Vec<Place> {
    let all = (0..).zip(&run.brokers).flat_map(|(broker, witness)| {
        let taken = witness.received.taken.iter().enumerate();
        taken.filter_map(move |(place, receipt)| Some((broker, place, receipt.event?)))
    });
    all.filter(|place| holds(run, *place)).collect()
}

/// Whether it is the only receipt of its event, and its sender was told.
fn alone(run: &Evidence, (broker, place, event): Place) -> bool {
    let taken = &run.brokers[usize::from(broker)].received.taken;
    let told = taken[place].told.is_some_and(|told| told.status == 200);
    told && count(run, (broker, place, event)) == 1
}

/// How often its event was taken.
fn count(run: &Evidence, (broker, _, event): Place) -> usize {
    let taken = &run.brokers[usize::from(broker)].received.taken;
    taken.iter().filter(|receipt| receipt.event == Some(event)).count()
}

/// Whether the account would explain why the event was not taken.
fn excused(run: &Evidence, (broker, _, event): Place) -> bool {
    let dead = run.dead.iter().any(|claim| (claim.broker, claim.event) == (Some(broker), Some(event)));
    dead || run.spilled.contains(&(broker, event))
        || first(run, event).is_none_or(|first| first >= run.settled_to)
}

fn far_from_kills(run: &Evidence, (broker, place, _): Place) -> bool {
    let at_ms = run.brokers[usize::from(broker)].received.taken[place].at_ms;
    run.kills_ms.iter().all(|kill| at_ms > kill + 250 || at_ms + 2_010 < *kill)
}

/// The receipt right after this one of the same load, if it is another event's.
fn next_of_load(run: &Evidence, (broker, place, event): Place) -> Option<usize> {
    let load = |event: u32| &run.traffic.events[event as usize].load_id;
    let taken = &run.brokers[usize::from(broker)].received.taken;
    let mut later = taken.iter().enumerate().skip(place + 1);
    let (next, receipt) =
        later.find(|(_, receipt)| receipt.event.is_some_and(|other| load(other) == load(event)))?;
    (receipt.event != Some(event)).then_some(next)
}

fn first(run: &Evidence, event: u32) -> Option<usize> {
    run.traffic.log.iter().position(|entry| entry.event == Some(event))
}
