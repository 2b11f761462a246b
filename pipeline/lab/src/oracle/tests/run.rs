//! A small honest run to plant faults in.
//!
//! Two loads, three brokers. acme is well and wants everything; birch wants everything and fails; cedar is well and
//! wants only `LD-1`. The log: six events, a producer's retry, a conflict, garbage, a replay.

use std::sync::Arc;

use crate::BodyDigest;
use bytes::Bytes;

use super::super::{
    Judgement, Kind, Terms,
    evidence::{BrokerEvidence, DeadClaim, Evidence},
    judge,
    observation::{Answer, Observation, ReceiverLog, RefusedRequest},
    stalls::Stalls,
};
use crate::{
    receiver::Refusal,
    traffic::{Entry, Form, SimEvent, Traffic},
};

pub(super) const ACME: u16 = 0;
pub(super) const BIRCH: u16 = 1;
pub(super) const CEDAR: u16 = 2;
/// The place of the conflict with the event 2 in the log, and that of the garbage.
pub(super) const CONFLICT: usize = 6;
pub(super) const GARBAGE: usize = 7;

/// An event of a load.
pub(super) fn event(place: u32, load: &str, wanted_by: &[u16]) -> SimEvent {
    let id = format!("e-{place}");
    let body = Bytes::from(format!(r#"{{"eventId":"{id}","loadId":"{load}"}}"#));
    SimEvent::new(id, Arc::from(load), body, wanted_by.into())
}

/// A receipt whose sender was told 200 after 10 ms.
pub(super) fn receipt(broker: u16, event: u32, at_ms: u64) -> Observation {
    let webhook_id = Some(Arc::from(format!("{broker}-{event}")));
    Observation { at_ms, event: Some(event), webhook_id, told: told(200, at_ms + 10) }
}

pub(super) fn told(status: u16, at_ms: u64) -> Option<Answer> {
    Some(Answer { status, at_ms })
}

pub(super) fn refused(at_ms: u64, why: Refusal) -> RefusedRequest {
    RefusedRequest { at_ms, why }
}

pub(super) fn letter(broker: Option<u16>, event: Option<u32>, body: &[u8]) -> DeadClaim {
    DeadClaim { broker, event, cause: "for a reason".to_owned(), digest: BodyDigest::of(body) }
}

pub(super) fn witness(id: &str, well: bool) -> BrokerEvidence {
    let received = ReceiverLog::default();
    BrokerEvidence { id: id.to_owned(), rate: 100.0, burst: 10, timeout_ms: 1_000, well, received }
}

fn traffic() -> Traffic {
    let all = [ACME, BIRCH, CEDAR];
    let loads = ["LD-1", "LD-2", "LD-1", "LD-2", "LD-1", "LD-2"];
    let wanted = |load| if load == "LD-1" { &all[..] } else { &all[..2] };
    let events: Vec<_> = (0..).zip(loads).map(|(place, load)| event(place, load, wanted(load))).collect();
    let entry = |at_ms, event: u32, form| {
        let body = events[event as usize].body.clone();
        Entry { at_ms, event: Some(event), form, body }
    };
    let conflict = Bytes::from_static(br#"{"eventId":"e-2","loadId":"LD-1","status":"?"}"#);
    let log = vec![
        entry(0, 0, Form::First),
        entry(100, 1, Form::First),
        entry(110, 1, Form::ProducerRetry),
        entry(200, 2, Form::First),
        entry(300, 3, Form::First),
        entry(400, 4, Form::First),
        Entry { at_ms: 410, event: Some(2), form: Form::Conflict, body: conflict },
        Entry { at_ms: 420, event: None, form: Form::Garbage, body: Bytes::from_static(b"{") },
        entry(430, 3, Form::Replay),
        entry(500, 5, Form::First),
    ];
    Traffic { events, log }
}

/// The run: acme and cedar take everything once; birch refuses a little, takes the event 1 without answering in time,
/// takes it again, refuses the event 2 for good, and has the event 5 waiting on disk.
pub(super) fn honest() -> Evidence {
    let traffic = traffic();
    let mut brokers = vec![witness("acme", true), witness("birch", false), witness("cedar", true)];
    brokers[0].received.taken =
        (0..6).map(|event| receipt(ACME, event, u64::from(event) * 100 + 20)).collect();
    let lost_answer = Observation { told: None, ..receipt(BIRCH, 1, 120) };
    brokers[1].received.taken = vec![
        receipt(BIRCH, 0, 20),
        lost_answer,
        receipt(BIRCH, 1, 1_200),
        receipt(BIRCH, 3, 1_300),
        receipt(BIRCH, 4, 1_400),
    ];
    brokers[1].received.refused = vec![refused(230, Refusal::Failed), refused(600, Refusal::Throttled)];
    brokers[2].received.taken =
        [0, 2, 4].map(|event| receipt(CEDAR, event, u64::from(event) * 100 + 20)).into();
    let conflict = &traffic.log[CONFLICT].body;
    let mut dead: Vec<_> = (0..3).map(|broker| letter(Some(broker), Some(2), conflict)).collect();
    dead.push(letter(None, None, b"{"));
    dead.push(letter(Some(BIRCH), Some(2), &traffic.events[2].body));
    let appended = traffic.log.len();
    Evidence {
        traffic,
        appended,
        brokers,
        dead,
        spilled: vec![(BIRCH, 5)],
        settled_to: appended,
        kills_ms: Vec::new(),
        stalls: Stalls::default(),
        done: false,
        ended_ms: u64::MAX,
    }
}

pub(super) fn judged(evidence: &Evidence) -> Judgement {
    judge(evidence, &Terms::default())
}

/// Exactly one violation, of this kind, at this broker, about this event; gives the words.
#[track_caller]
pub(super) fn only(evidence: &Evidence, kind: Kind, broker: Option<u16>, event: Option<u32>) -> String {
    let judgement = judged(evidence);
    let [finding] = &*judgement.findings else {
        panic!("not one finding: {:#?}", judgement.findings);
    };
    let violation = &finding.violation;
    assert_eq!((violation.kind(), violation.broker(), violation.event()), (kind, broker, event), "{finding}");
    assert_eq!((judgement.counts.of(kind), judgement.counts.total()), (1, 1), "{finding}");
    let words = finding.to_string();
    if let Some(event) = event.filter(|event| *event < 6) {
        assert!(words.contains(&format!("event e-{event} of load LD-{}", event % 2 + 1)), "{words}");
    }
    words
}
