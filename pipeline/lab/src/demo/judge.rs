//! What the demo's brokers must be given, and the oracle's judgement of what they were given. Each broker is judged by the
//! records it wants and no others, because an id that is used for two events is a conflict only where both are wanted.
//! Quotas are not judged: nobody watches whether the machine stands still.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use service::config::Config;
use state::DeadLetter;

use super::DemoBroker;
use crate::{
    BodyDigest,
    oracle::{BrokerEvidence, DeadClaim, Evidence, Judgement, Kind, Observer, Terms, index_events, judge},
    receiver::ReceiverSpec,
    traffic::{RunClock, SimEvent, Traffic, TrafficLog, millis, wanted_by},
};

/// The statuses the demo's config knows, with the spelling that stands for each.
const STATUSES: [(&str, &str); 8] = [
    ("posted", "posted"),
    ("matched", "matched"),
    ("accepted", "accepted"),
    ("in-transit", "in-transit"),
    ("in_transit", "in-transit"),
    ("delivered", "delivered"),
    ("cancelled", "cancelled"),
    ("canceled", "cancelled"),
];

/// The judge of a demo.
#[derive(Debug)]
pub struct DemoJudge {
    clock: RunClock,
    brokers: Vec<JudgedBroker>,
    /// The records that are no events.
    garbage: Traffic,
}

/// A broker with what it must be given and what it was given.
#[derive(Debug)]
struct JudgedBroker {
    broker: DemoBroker,
    wanted: Traffic,
    observer: Arc<Observer>,
}

/// What one broker was to get and got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerTally {
    /// The broker.
    pub id: String,
    /// What is special about it, in a few words.
    pub about: String,
    /// Deliveries routed to it: each event once, exact duplicates not counted, a conflicting one counted.
    pub expected: u64,
    /// Events its receiver took for the first time.
    pub received: u64,
    /// Events its receiver took again.
    pub repeats: u64,
    /// Deliveries nobody can account for.
    pub missing: u64,
}

/// What became of a demo.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Each broker's row, in the brokers' order.
    pub tallies: Vec<BrokerTally>,
    /// What the oracle holds against the run.
    pub findings: Vec<String>,
}

impl DemoJudge {
    /// A judge of a run in which the records of `events` (NDJSON) are for `brokers`.
    #[must_use]
    pub fn new(brokers: Vec<DemoBroker>, events: &[u8]) -> Self {
        let subscriptions: Vec<_> = brokers.iter().map(DemoBroker::subscription).collect();
        let mut wanted: Vec<TrafficLog> = brokers.iter().map(|_| TrafficLog::default()).collect();
        let mut garbage = TrafficLog::default();
        for line in events.split(|byte| *byte == b'\n') {
            let record = Bytes::copy_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
            match read(&record) {
                None if record.is_empty() => {}
                None => garbage.append_garbage(0, record),
                Some((id, load, status)) => {
                    for broker in wanted_by(&subscriptions, &load, status) {
                        let event =
                            SimEvent::new(id.clone(), load.as_str().into(), record.clone(), [0].into());
                        wanted[usize::from(broker)].append(0, event);
                    }
                }
            }
        }
        let clock = RunClock::default();
        let judged = |(broker, wanted): (DemoBroker, TrafficLog)| {
            let wanted = wanted.finish();
            let observer = Arc::new(Observer::new(clock.clone(), index_events(&wanted)));
            JudgedBroker { broker, wanted, observer }
        };
        let brokers = brokers.into_iter().zip(wanted).map(judged).collect();
        Self { clock, brokers, garbage: garbage.finish() }
    }

    /// The brokers' receivers, in the brokers' order, observed.
    #[must_use]
    pub fn receivers(&self) -> Vec<ReceiverSpec> {
        self.brokers.iter().map(|judged| judged.broker.receiver(Arc::clone(&judged.observer) as _)).collect()
    }

    /// The run begins now.
    pub fn begin(&self) {
        self.clock.begin();
    }

    /// Judges the run that has ended, with the config it had and the dead letters it left.
    #[must_use]
    pub fn judge(&self, config: &Config, dead: &[DeadLetter]) -> Outcome {
        let mut outcome = Outcome::default();
        for (judged, broker) in self.brokers.iter().zip(&config.brokers) {
            let judgement = judged.judge(millis(broker.timeout), dead);
            let figures = judgement.brokers.first().cloned().unwrap_or_default();
            outcome.tallies.push(BrokerTally {
                id: judged.broker.id.to_owned(),
                about: judged.broker.about.to_owned(),
                expected: figures.owed + judgement.issued.faulty,
                received: figures.delivered,
                repeats: figures.duplicates,
                missing: judgement.counts.of(Kind::Lost) + judgement.counts.of(Kind::ConflictVanished),
            });
            outcome.findings.extend(findings(&judgement));
        }
        let dead = claims(&self.garbage, None, dead);
        let evidence = Evidence { dead, ..Evidence::of_settled(self.garbage.clone()) };
        outcome.findings.extend(findings(&judge(&evidence, &Terms::default())));
        outcome
    }
}

impl JudgedBroker {
    fn judge(&self, timeout_ms: u64, dead: &[DeadLetter]) -> Judgement {
        let broker = BrokerEvidence {
            id: self.broker.id.to_owned(),
            rate: 1e9,
            burst: u32::MAX,
            timeout_ms,
            well: self.broker.about == "well",
            received: self.observer.take_log(),
        };
        let (brokers, dead) = (vec![broker], claims(&self.wanted, Some(self.broker.id), dead));
        let evidence = Evidence { brokers, dead, ..Evidence::of_settled(self.wanted.clone()) };
        judge(&evidence, &Terms::default())
    }
}

/// The id, load and status of a record; none if it is no event.
fn read(record: &[u8]) -> Option<(String, String, &'static str)> {
    let event: Value = serde_json::from_slice(record).ok()?;
    let field = |name: &str| event.get(name)?.as_str().filter(|text| !text.is_empty());
    let _at: Timestamp = field("occurredAt")?.parse().ok()?;
    let written = field("status")?;
    let (_, status) = STATUSES.iter().find(|(spelling, _)| *spelling == written)?;
    Some((field("eventId")?.to_owned(), field("loadId")?.to_owned(), status))
}

/// The dead letters for `broker`, or for none, as claims about the events of `traffic`.
fn claims(traffic: &Traffic, broker: Option<&str>, dead: &[DeadLetter]) -> Vec<DeadClaim> {
    let events: HashMap<&str, u32> = traffic.events.iter().map(|event| event.id.as_str()).zip(0..).collect();
    let letters = dead.iter().filter(|letter| letter.broker.as_deref() == broker);
    let claim = |letter: &DeadLetter| DeadClaim {
        broker: broker.map(|_| 0),
        event: letter.event_id.as_deref().and_then(|id| events.get(id).copied()),
        cause: letter.cause.clone(),
        digest: BodyDigest::of(&letter.body),
    };
    letters.map(claim).collect()
}

fn findings(judgement: &Judgement) -> impl Iterator<Item = String> {
    // A broker of the demo may want nothing of somebody's own events.
    let of_a_run = |finding: &&crate::oracle::Finding| finding.violation.kind() != Kind::Vacuous;
    judgement.findings.iter().filter(of_a_run).map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use state::{History, Position, StageName};

    use super::{super::brokers, *};
    use crate::receiver::{Recorder, Taken, Times};

    const EVENTS: &[u8] =
        br#"{"eventId":"1","loadId":"CHI-1","status":"matched","occurredAt":"2025-06-01T12:00:00Z","n":1}
{"eventId":"1","loadId":"CHI-1","status":"matched","occurredAt":"2025-06-01T12:00:00Z","n":1}
{"eventId":"1","loadId":"CHI-1","status":"matched","occurredAt":"2025-06-01T12:00:00Z","n":2}
{"eventId":"2","loadId":"CHI-1","status":"detained","occurredAt":"2025-06-01T12:00:00Z"}
{"eventId":"3","loadId":"CHI-1","sta

{"eventId":"1","loadId":"DAL-1","status":"matched","occurredAt":"2025-06-01T12:00:00Z"}
"#;

    fn letter(broker: Option<&str>, event_id: Option<&str>, line: usize) -> DeadLetter {
        DeadLetter {
            position: Position::new(Arc::from("file:events.ndjson"), 0, 0),
            broker: broker.map(Arc::from),
            stage: StageName::Dedupe,
            cause: "conflict".to_owned(),
            detail: String::new(),
            at: 0,
            history: History::default(),
            event_id: event_id.map(str::to_owned),
            load_id: None,
            status: None,
            body: record(line).to_vec(),
            body_len: 0,
            row: None,
        }
    }

    fn record(line: usize) -> Bytes {
        Bytes::copy_from_slice(EVENTS.split(|byte| *byte == b'\n').nth(line).unwrap())
    }

    /// A demo of the first two brokers, who want `CHI-` and `DAL-`, after these lines have been taken.
    fn judged(taken: &[(usize, usize)], dead: &[DeadLetter]) -> Outcome {
        let two: Vec<_> = brokers().into_iter().take(2).collect();
        let temporary = tempfile::tempdir().unwrap();
        let mut dir = crate::RunDir::new(temporary.path()).unwrap();
        dir.set("source.path", "events.ndjson");
        for broker in &two {
            let secret = dir.keep_secret(broker.id, &broker.secret()).unwrap();
            dir.add_broker(crate::BrokerTable::new(broker.id, "http://127.0.0.1:9/", secret).with("rate", 5));
        }
        let config = Config::load(&dir.save().unwrap()).unwrap();
        let judge = DemoJudge::new(two, EVENTS);
        judge.begin();
        for (broker, line) in taken {
            let body = record(*line);
            let taken = Taken {
                at: 0,
                path: "/",
                webhook_id: "1",
                body: &body,
                digest: BodyDigest::of(&body),
                may_repeat: false,
                times: Times::First,
            };
            judge.brokers[*broker].observer.taken(&taken);
        }
        judge.judge(&config, dead)
    }

    fn faulty() -> Vec<DeadLetter> {
        vec![letter(Some("amber"), Some("1"), 2), letter(None, Some("2"), 3), letter(None, None, 4)]
    }

    #[test]
    fn a_duplicate_is_owed_once_a_conflict_and_garbage_have_their_letters_and_each_broker_its_own_ids() {
        let outcome = judged(&[(0, 0), (1, 6)], &faulty());
        assert_eq!(outcome.findings, [] as [String; 0]);
        let counts = outcome
            .tallies
            .iter()
            .map(|tally| [tally.expected, tally.received, tally.repeats, tally.missing]);
        assert_eq!(counts.collect::<Vec<_>>(), [[2, 1, 0, 0], [1, 1, 0, 0]]);
    }

    #[test]
    fn what_is_lost_doubled_or_for_somebody_else_is_found() {
        let lost = judged(&[(0, 0)], &faulty());
        assert_eq!((lost.tallies[1].missing, lost.findings.len()), (1, 1), "{:?}", lost.findings);
        assert!(lost.findings[0].contains("lost") && lost.findings[0].contains("basalt"));
        let unwanted = judged(&[(0, 0), (0, 6), (1, 6)], &faulty());
        assert!(unwanted.findings[0].contains("never issued"), "{:?}", unwanted.findings);
        let vanished = judged(&[(0, 0), (1, 6)], &faulty()[..2]);
        assert_eq!(vanished.findings.len(), 1, "{:?}", vanished.findings);
        let conflict = judged(&[(0, 0), (1, 6)], &faulty()[1..]);
        assert_eq!((conflict.tallies[0].missing, conflict.findings.len()), (1, 1), "{:?}", conflict.findings);
    }
}
