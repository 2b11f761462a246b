//! Validates a shipment event: returns a valid event, or a rejection that names every rule it breaks.
//!
//! A valid event has its status under the canonical name, and the record's own bytes with their digest. There is one
//! function per rule, and each is applied to every event; a rule sees one value and the rules, never another rule's
//! result.

mod rules;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use state::{BodyDigest, Clock, Event, StageName, UnixMillis};

pub use self::rules::{
    AGE_MAX_DEFAULT, AHEAD_MAX_DEFAULT, ID_MAX_DEFAULT, Rules, STATUS_MAX, Statuses, StatusesError,
    UnknownStatus,
};
use crate::{
    decode::Field,
    excerpt::excerpt,
    models::{Exit, Rejection, ShipmentEvent, Step, ValidEvent, Verdict},
    stage::Stage,
    tally::Tally,
};

/// The stage that applies the rules. Clones share them.
#[derive(Clone, Debug)]
pub struct Validate {
    rules: Arc<ArcSwap<Rules>>,
    clock: Clock,
    tally: Option<Arc<Tally>>,
}

/// A rule that is broken.
#[derive(Debug, thiserror::Error)]
enum Violation {
    #[error("{field} is empty")]
    EmptyId { field: Field },
    #[error("{field} has {len} bytes, {max} are allowed by rules.id_max")]
    LongId { field: Field, len: usize, max: usize },
    #[error("{field} {id} has a control character")]
    ControlInId { field: Field, id: String },
    #[error("{field} {id} begins or ends with white space")]
    UntrimmedId { field: Field, id: String },
    #[error("status {status} is not known: add it to schema.statuses, or as an alias of one there")]
    UnknownStatus { status: String },
    #[error(
        "status {status} cannot be passed on: it is empty, has a control character or more than {STATUS_MAX} bytes"
    )]
    UnusableStatus { status: String },
    #[error("occurred_at {at} is more than {max} ahead of the clock, which reads {now}: see rules.ahead_max")]
    AheadOfTime { at: Rfc3339, now: Rfc3339, max: ConfigDuration },
    #[error("occurred_at {at} is more than {max} before the clock, which reads {now}: see rules.age_max")]
    TooOld { at: Rfc3339, now: Rfc3339, max: ConfigDuration },
}

impl Violation {
    fn cause(&self) -> &'static str {
        match self {
            Self::EmptyId { .. } => "empty-id",
            Self::LongId { .. } => "id-too-long",
            Self::ControlInId { .. } => "control-character-in-id",
            Self::UntrimmedId { .. } => "white-space-around-id",
            Self::UnknownStatus { .. } | Self::UnusableStatus { .. } => "unknown-status",
            Self::AheadOfTime { .. } => "time-ahead",
            Self::TooOld { .. } => "time-too-old",
        }
    }
}

/// A time in a message, in RFC 3339.
#[derive(Debug)]
struct Rfc3339(UnixMillis);

impl std::fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match i64::try_from(self.0).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok()) {
            Some(moment) => moment.fmt(f),
            None => write!(f, "{} ms after 1970", self.0),
        }
    }
}

/// A duration in a message, as in a config: in the largest unit that divides it.
#[derive(Debug)]
struct ConfigDuration(Duration);

impl std::fmt::Display for ConfigDuration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millis = self.0.as_millis();
        let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
        match units.into_iter().find(|(_, unit)| millis > 0 && millis.is_multiple_of(*unit)) {
            Some((name, unit)) => write!(f, "{}{name}", millis / unit),
            None => write!(f, "{millis}ms"),
        }
    }
}

impl Validate {
    /// A validator with `rules`; `clock` is the source of time.
    #[must_use]
    pub fn new(rules: Rules, clock: Clock) -> Self {
        Self { rules: Arc::new(ArcSwap::from_pointee(rules)), clock, tally: None }
    }

    /// The same, which counts in `tally` what it lets through without knowing its status.
    #[must_use]
    pub fn counting(self, tally: Arc<Tally>) -> Self {
        Self { tally: Some(tally), ..self }
    }

    /// Replaces the rules, here and in every clone.
    pub fn replace(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
    }

    /// Applies every rule. If none is broken, returns the status to go by and when the event happened: the present, if
    /// it does not say.
    fn check(&self, event: &ShipmentEvent) -> Result<(Arc<str>, UnixMillis), Vec<Violation>> {
        let (rules, now) = (&**self.rules.load(), self.clock.now());
        let mut violations = Vec::new();
        for (field, id) in [(Field::EventId, &event.event_id), (Field::LoadId, &event.load_id)] {
            violations.extend(id_is_not_empty(field, id));
            violations.extend(id_is_short_enough(rules, field, id));
            violations.extend(id_has_no_control_characters(field, id));
            violations.extend(id_is_trimmed(field, id));
        }
        let status = self.status(rules, &event.status);
        let occurred_at = event.occurred_at.unwrap_or(now);
        let time_breaches =
            [time_is_not_ahead(rules, now, occurred_at), time_is_not_too_old(rules, now, occurred_at)];
        match status {
            Ok(status) if violations.is_empty() && time_breaches.iter().all(Option::is_none) => {
                Ok((status, occurred_at))
            }
            status => {
                violations.extend(status.err());
                violations.extend(time_breaches.into_iter().flatten());
                Err(violations)
            }
        }
    }

    fn status(&self, rules: &Rules, status: &str) -> Result<Arc<str>, Violation> {
        let unknown = match status_is_known(rules, status) {
            Err(_) if rules.unknown_status == UnknownStatus::Pass => status_can_pass(status)?,
            known => return known,
        };
        if let Some(tally) = &self.tally {
            tally.unknown_statuses.add(1);
        }
        Ok(unknown)
    }
}

impl Stage for Validate {
    type In = ShipmentEvent;
    type Out = ValidEvent;

    async fn run(&self, event: ShipmentEvent) -> Step<ValidEvent> {
        match self.check(&event) {
            Ok((status, occurred_at)) => Ok(ValidEvent::new(into_event(event, status, occurred_at))),
            Err(violations) => Err(Exit::Verdict(Verdict::Rejected(Box::new(rejection(event, &violations))))),
        }
    }
}

fn into_event(event: ShipmentEvent, status: Arc<str>, occurred_at: UnixMillis) -> Event {
    let ShipmentEvent { raw, event_id, load_id, sequence, traceparent, .. } = event;
    Event {
        position: raw.position,
        event_id: event_id.into(),
        load_id: load_id.into(),
        status,
        occurred_at,
        sequence,
        traceparent,
        read_at: raw.read_at,
        digest: BodyDigest::of(&raw.bytes),
        body: raw.bytes,
    }
}

fn rejection(event: ShipmentEvent, violations: &[Violation]) -> Rejection {
    let messages: Vec<_> = violations.iter().map(ToString::to_string).collect();
    Rejection {
        stage: StageName::Validate,
        cause: violations.first().map_or("unknown-status", Violation::cause),
        detail: messages.join("; "),
        event_id: Some(event.event_id),
        load_id: Some(event.load_id),
        status: Some(event.status),
    }
}

fn id_is_not_empty(field: Field, id: &str) -> Option<Violation> {
    id.is_empty().then_some(Violation::EmptyId { field })
}

fn id_is_short_enough(rules: &Rules, field: Field, id: &str) -> Option<Violation> {
    (id.len() > rules.id_max).then_some(Violation::LongId { field, len: id.len(), max: rules.id_max })
}

fn id_has_no_control_characters(field: Field, id: &str) -> Option<Violation> {
    id.contains(char::is_control).then(|| Violation::ControlInId { field, id: excerpt(id) })
}

/// So that ids that look the same are the same.
fn id_is_trimmed(field: Field, id: &str) -> Option<Violation> {
    (id.trim() != id).then(|| Violation::UntrimmedId { field, id: excerpt(id) })
}

fn status_is_known(rules: &Rules, status: &str) -> Result<Arc<str>, Violation> {
    rules
        .statuses
        .canonical(status)
        .cloned()
        .ok_or_else(|| Violation::UnknownStatus { status: excerpt(status) })
}

/// A status that is not known, as it is passed on.
fn status_can_pass(status: &str) -> Result<Arc<str>, Violation> {
    let trimmed = status.trim();
    let is_usable = !trimmed.is_empty() && trimmed.len() <= STATUS_MAX && !trimmed.contains(char::is_control);
    if is_usable { Ok(trimmed.into()) } else { Err(Violation::UnusableStatus { status: excerpt(status) }) }
}

fn time_is_not_ahead(rules: &Rules, now: UnixMillis, at: UnixMillis) -> Option<Violation> {
    let ahead = u128::from(at.saturating_sub(now));
    (ahead > rules.ahead_max.as_millis()).then_some(Violation::AheadOfTime {
        at: Rfc3339(at),
        now: Rfc3339(now),
        max: ConfigDuration(rules.ahead_max),
    })
}

fn time_is_not_too_old(rules: &Rules, now: UnixMillis, at: UnixMillis) -> Option<Violation> {
    let age = u128::from(now.saturating_sub(at));
    (age > rules.age_max.as_millis()).then_some(Violation::TooOld {
        at: Rfc3339(at),
        now: Rfc3339(now),
        max: ConfigDuration(rules.age_max),
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use state::Position;

    use super::*;
    use crate::models::RawRecord;

    const NOW: UnixMillis = 1_772_353_800_000;

    fn event() -> ShipmentEvent {
        let bytes = Bytes::from_static(b"{\"as\": \"it came\" }");
        let position = Position::new("test".into(), 3, 7);
        ShipmentEvent {
            raw: RawRecord::whole(position, bytes, NOW + 5),
            event_id: "e-1".into(),
            load_id: "L-7".into(),
            status: "canceled".into(),
            occurred_at: Some(NOW - 60_000),
            sequence: Some(2),
            traceparent: None,
        }
    }

    async fn validate(event: ShipmentEvent) -> Result<Event, Rejection> {
        match Validate::new(Rules::default(), Clock::simulated(NOW)).run(event).await {
            Ok(valid) => Ok(valid.event().clone()),
            Err(Exit::Verdict(Verdict::Rejected(rejection))) => Err(*rejection),
            Err(other) => panic!("{other:?}"),
        }
    }

    async fn cause(event: ShipmentEvent) -> Option<&'static str> {
        validate(event).await.err().map(|rejection| rejection.cause)
    }

    #[tokio::test(start_paused = true)]
    async fn a_valid_event_keeps_what_came_under_the_canonical_status() {
        let raw = event().raw;
        let expected = Event {
            position: raw.position,
            event_id: "e-1".into(),
            load_id: "L-7".into(),
            status: "cancelled".into(),
            occurred_at: NOW - 60_000,
            sequence: Some(2),
            traceparent: None,
            read_at: NOW + 5,
            digest: BodyDigest::of(b"{\"as\": \"it came\" }"),
            body: raw.bytes,
        };
        assert_eq!(validate(event()).await, Ok(expected));
    }

    #[tokio::test(start_paused = true)]
    async fn each_rule_on_ids_is_asked_of_both_ids() {
        let long = "x".repeat(257);
        let cases = [
            ("", "empty-id"),
            (long.as_str(), "id-too-long"),
            ("a\u{0}b", "control-character-in-id"),
            ("a\u{85}b", "control-character-in-id"),
            (" a", "white-space-around-id"),
            ("a\u{a0}", "white-space-around-id"),
        ];
        for (id, expected) in cases {
            assert_eq!(
                cause(ShipmentEvent { event_id: id.into(), ..event() }).await,
                Some(expected),
                "{id:?}"
            );
            assert_eq!(
                cause(ShipmentEvent { load_id: id.into(), ..event() }).await,
                Some(expected),
                "{id:?}"
            );
        }
        for id in ["x".repeat(256), "a b".into(), "ü/.%".into()] {
            assert_eq!(cause(ShipmentEvent { event_id: id, ..event() }).await, None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_status_is_refused() {
        for status in ["", "lost", "deliv ered"] {
            let unknown = ShipmentEvent { status: status.into(), ..event() };
            assert_eq!(cause(unknown).await, Some("unknown-status"), "{status:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_status_may_pass_as_it_came_and_is_counted() {
        let tally = Arc::new(Tally::default());
        let rules = Rules { unknown_status: UnknownStatus::Pass, ..Rules::default() };
        let validate = Validate::new(rules, Clock::simulated(NOW));
        let counting = validate.clone().counting(tally.clone());
        let of = |status: &str| ShipmentEvent { status: status.into(), ..event() };
        let passed = counting.run(of(" DETENTION_STARTED ")).await.unwrap();
        assert_eq!(&*passed.event().status, "DETENTION_STARTED");
        assert_eq!(&*counting.run(of("CANCELED")).await.unwrap().event().status, "cancelled");
        let _uncounted = validate.run(of("lost")).await.unwrap();
        assert_eq!(tally.unknown_statuses.get(), 1);
        for status in [String::new(), " ".into(), "a\nb".into(), "x".repeat(STATUS_MAX + 1)] {
            let Err(Exit::Verdict(Verdict::Rejected(no))) = counting.run(of(&status)).await else {
                panic!("{status}")
            };
            assert_eq!(no.cause, "unknown-status");
            assert!(no.detail.contains("cannot be passed on"), "{}", no.detail);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_without_a_time_happened_when_it_is_read_and_breaks_no_rule() {
        let rules = Rules { ahead_max: Duration::ZERO, age_max: Duration::ZERO, ..Rules::default() };
        let validate = Validate::new(rules, Clock::simulated(NOW));
        let valid = validate.run(ShipmentEvent { occurred_at: None, ..event() }).await.unwrap();
        assert_eq!(valid.event().occurred_at, NOW);
    }

    #[tokio::test(start_paused = true)]
    async fn time_is_held_between_its_bounds_to_the_millisecond() {
        let rules = Rules::default();
        let (first, last) =
            (NOW - rules.age_max.as_millis() as u64, NOW + rules.ahead_max.as_millis() as u64);
        let at = |occurred_at| cause(ShipmentEvent { occurred_at: Some(occurred_at), ..event() });
        assert_eq!((at(first).await, at(last).await), (None, None));
        assert_eq!(at(first - 1).await, Some("time-too-old"));
        assert_eq!(at(last + 1).await, Some("time-ahead"));
        assert_eq!(at(u64::MAX).await, Some("time-ahead"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_present_is_the_clocks() {
        let clock = Clock::simulated(NOW);
        let rules = Rules { ahead_max: Duration::ZERO, ..Rules::default() };
        let validate = Validate::new(rules, clock);
        let soon = || ShipmentEvent { occurred_at: Some(NOW + 1_000), ..event() };
        assert!(validate.run(soon()).await.is_err());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(validate.run(soon()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_clone_holds_events_to_the_rules_that_have_come_into_force() {
        let validate = Validate::new(Rules { id_max: 2, ..Rules::default() }, Clock::simulated(NOW));
        let running = validate.clone();
        assert!(running.run(event()).await.is_err());
        validate.replace(Rules::default());
        assert!(running.run(event()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn everything_wrong_is_told_at_once() {
        let wrong = ShipmentEvent {
            event_id: String::new(),
            load_id: " \t".into(),
            status: "lost".into(),
            occurred_at: Some(NOW + 90_000_000),
            ..event()
        };
        let rejection = validate(wrong).await.unwrap_err();
        let messages = "event_id is empty; load_id \" \\t\" has a control character; \
            load_id \" \\t\" begins or ends with white space; \
            status \"lost\" is not known: add it to schema.statuses, or as an alias of one there; \
            occurred_at 2026-03-02T09:30:00Z is more than 1d ahead of the clock, which reads 2026-03-01T08:30:00Z: \
            see rules.ahead_max";
        assert_eq!(rejection.detail, messages);
        assert_eq!((rejection.stage, rejection.cause), (StageName::Validate, "empty-id"));
        let read = (rejection.event_id.unwrap(), rejection.load_id.unwrap(), rejection.status.unwrap());
        assert_eq!(read, (String::new(), " \t".into(), "lost".into()));
    }

    proptest! {
        #[test]
        fn a_message_stays_short_however_long_the_values(id in ".{0,400}", repeat in 1_usize..200) {
            let long = id.repeat(repeat);
            let messages: usize = [
                id_is_short_enough(&Rules::default(), Field::LoadId, &long),
                id_has_no_control_characters(Field::LoadId, &long),
                id_is_trimmed(Field::LoadId, &long),
                status_is_known(&Rules::default(), &long).err(),
            ]
            .into_iter()
            .flatten()
            .map(|violation| violation.to_string().len())
            .sum();
            prop_assert!(messages < 4_000, "{messages}");
        }
    }
}
