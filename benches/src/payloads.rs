//! The corpus as the payloads that stages take: records, events, deliveries, each made the way the line makes it.

use std::{ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::FutureExt;
use stages::{
    Broker, Decode, Dedupe, Rules, Schema, Stage, Throttle, Validate,
    models::{Delivery, Fresh, Permitted, RawRecord, ValidEvent},
};
use state::{
    BodyDigest, Clock, DeadLetter, Event, FailedAttempt, History, Position, SpilledDelivery, StageName,
};

use crate::corpus;

/// Records that take turns, so that no branch predictor learns one by heart.
pub const RECORDS: u64 = 1_000;

/// What a stage gives that has nothing to wait for.
pub fn now<S: Stage>(stage: &S, input: S::In) -> S::Out {
    match stage.run(input).now_or_never() {
        Some(Ok(out)) => out,
        Some(Err(exit)) => unreachable!("the corpus is clean: {exit:?}"),
        None => unreachable!("nothing holds what this stage waits for"),
    }
}

/// A record with this body.
#[must_use]
pub fn raw(number: u64, body: String) -> RawRecord {
    let bytes = Bytes::from(body);
    let position = Position::new("bench".into(), 0, number);
    RawRecord::whole(position, bytes, Clock::System.now())
}

/// The corpus's event `number` in a CloudEvents 1.0 envelope.
#[must_use]
pub fn cloudevent(number: u64) -> String {
    let event = corpus::event(number);
    format!(
        r#"{{"specversion":"1.0","id":"e-{number}","source":"/loads","type":"load.status","time":"2026-11-20T10:00:00Z","datacontenttype":"application/json","data":{event}}}"#
    )
}

/// [`RECORDS`] records of the corpus.
#[must_use]
pub fn records() -> Vec<RawRecord> {
    (0..RECORDS).map(|number| raw(number, corpus::event(number))).collect()
}

/// The corpus is dated; what a machine's clock says must not matter.
#[must_use]
pub fn rules() -> Rules {
    let century = Duration::from_secs(100 * 365 * 86_400);
    Rules { age_max: century, ahead_max: century, ..Rules::default() }
}

/// Events of the corpus.
#[must_use]
pub fn events(numbers: Range<u64>) -> Vec<ValidEvent> {
    let (decode, validate) = (Decode::new(Schema::flat()), Validate::new(rules(), Clock::System));
    numbers.map(|number| now(&validate, now(&decode, raw(number, corpus::event(number))))).collect()
}

/// One delivery to `broker` of each of these events of the corpus.
#[must_use]
pub fn deliveries(numbers: Range<u64>, broker: &Arc<Broker>) -> Vec<Delivery> {
    events(numbers).into_iter().map(|event| Delivery::new(event, broker.clone())).collect()
}

/// The same delivery, untried.
#[must_use]
pub fn again(delivery: &Delivery) -> Delivery {
    Delivery::new(delivery.event.clone(), delivery.broker.clone())
}

/// A delivery that the ledger does not know. It holds its claim until it is dropped: no second one of the same event
/// and broker may be made before that.
#[must_use]
pub fn fresh(dedupe: &Dedupe, delivery: &Delivery) -> Fresh {
    now(dedupe, again(delivery))
}

/// The same with leave to be attempted.
#[must_use]
pub fn permitted(dedupe: &Dedupe, delivery: &Delivery) -> Permitted {
    now(&Throttle::new(), fresh(dedupe, delivery))
}

/// Two failed attempts.
fn history() -> History {
    let mut history = History::default();
    for at in 0..2 {
        let cause = "503 service unavailable".to_owned();
        history
            .push(FailedAttempt { at, status: Some(503), cause, may_have_arrived: true, answer: None }, true);
    }
    history
}

/// A small event of the load `load`, for what never looks into the body.
#[must_use]
pub fn event_of(load: &Arc<str>, number: u64, broker: &Arc<Broker>) -> ValidEvent {
    let body = Bytes::from_static(b"{}");
    let event = Event {
        position: Position::new("bench".into(), 0, number),
        event_id: corpus::Ids::Random.id(number).into(),
        load_id: load.clone(),
        status: "posted".into(),
        occurred_at: 0,
        sequence: None,
        traceparent: None,
        read_at: Clock::System.now(),
        digest: BodyDigest::of(&body),
        body,
    };
    let (id, history) = (broker.id.clone(), History::default());
    let spilled = SpilledDelivery { history, ..SpilledDelivery::untried(id, 0, event) };
    Delivery::from_spill(spilled, broker.clone(), false).event
}

/// The corpus's event `number` as it waits on disk after two attempts.
#[must_use]
pub fn spilled(number: u64, broker: &Arc<Broker>) -> SpilledDelivery {
    let delivery = deliveries(number..number + 1, broker).remove(0);
    SpilledDelivery { history: history(), ..delivery.into_spilled(number) }
}

/// The corpus's event `number` as a dead letter after two attempts.
#[must_use]
pub fn dead_letter(number: u64, broker: &Arc<Broker>) -> DeadLetter {
    let SpilledDelivery { broker, event, history, .. } = spilled(number, broker);
    DeadLetter {
        position: event.position,
        broker: Some(broker),
        stage: StageName::Deliver,
        cause: "attempts-exhausted".to_owned(),
        detail: "the last attempt allowed has failed".to_owned(),
        at: event.read_at,
        history,
        event_id: Some(event.event_id.to_string()),
        load_id: Some(event.load_id.to_string()),
        status: Some(event.status.to_string()),
        body_len: event.body.len() as u64,
        row: None,
        body: event.body.to_vec(),
    }
}
