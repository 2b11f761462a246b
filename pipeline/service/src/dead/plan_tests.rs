//! One letter for each outcome.

use std::sync::Arc;

use stages::Broker;
use state::{BodyDigest, Ledger, Record, StageName};

use super::*;
use crate::{
    assemble,
    dead::testing::{config, ledger, letter},
};

const NOW: UnixMillis = 1_772_353_900_000;

struct Bench {
    ledger: Ledger,
    planner: Planner,
    brokers: Vec<Arc<Broker>>,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new(more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = config(more);
        let brokers = assemble::brokers(&config, 1).unwrap();
        let front = IntakeStages::new(&config, &brokers, Clock::System);
        let planner = Planner::new(&front, Roster::new(brokers.clone()), &config, Clock::System);
        Self { ledger: ledger(dir.path()), planner, brokers, _dir: dir }
    }

    async fn outcome(&self, letter: &DeadLetter) -> ReplayOutcome {
        self.planner.plan(self.ledger.store(), letter, NOW, false).await.unwrap()
    }

    async fn skipped(&self, letter: &DeadLetter) -> Option<SkipReason> {
        match self.outcome(letter).await {
            ReplayOutcome::Skipped(why) => Some(why),
            _ => None,
        }
    }

    /// Whom `letter` goes to, and why it stays all the same.
    async fn sent(&self, letter: &DeadLetter) -> (Vec<String>, Option<SkipReason>) {
        match self.outcome(letter).await {
            ReplayOutcome::Send { deliveries, skipped } => {
                for delivery in &deliveries {
                    assert_eq!(delivery.event().body, letter.body);
                    assert_eq!(delivery.event().position, letter.position);
                }
                (deliveries.iter().map(|delivery| delivery.broker.id.to_string()).collect(), skipped)
            }
            other => panic!("{other:?}"),
        }
    }

    async fn delivered(&self, broker: &str, event: &str, body: &[u8]) {
        let record = Record::Delivered {
            key: LedgerKey::new(broker, event),
            digest: BodyDigest::of(body),
            failed_attempts: 0,
            spilled: None,
        };
        let _proof = self.ledger.record(record).await.unwrap();
    }

    /// Lets the letter's delivery wait on disk.
    async fn waits(&self, letter: &DeadLetter) {
        let ReplayOutcome::Send { deliveries, .. } = self.outcome(letter).await else { panic!("{letter:?}") };
        for delivery in deliveries {
            let spilled = state::SpilledDelivery {
                history: delivery.history.clone(),
                ..state::SpilledDelivery::untried(delivery.broker.id.clone(), 0, delivery.event().clone())
            };
            let _proof = self.ledger.record(Record::Spilled(Box::new(spilled))).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_letter_of_a_broker_goes_to_it_again_with_its_history_and_whatever_it_subscribes_to_now() {
    let bench = Bench::new("");
    let mut letter = letter(1, Some("acme"));
    letter.status = Some("not-a-status".to_owned());
    assert_eq!(bench.sent(&letter).await, (vec!["acme".to_owned()], None));
    let ReplayOutcome::Send { deliveries, .. } = bench.outcome(&letter).await else { panic!() };
    assert_eq!((deliveries[0].history.attempts, deliveries[0].history.counted), (1, 0));
    let conflict = DeadLetter { stage: StageName::Dedupe, ..letter };
    assert_eq!(bench.sent(&conflict).await.0, ["acme"]);
}

#[tokio::test]
async fn a_record_that_this_config_takes_goes_to_every_broker_that_wants_it() {
    let bench = Bench::new("");
    assert_eq!(bench.sent(&letter(1, None)).await, (vec!["acme".to_owned(), "birch".to_owned()], None));
    let other = DeadLetter {
        body: br#"{"eventId":"e-1","loadId":"X-1","status":"matched","occurredAt":"2026-03-01T08:30:00Z"}"#
            .to_vec(),
        body_len: 87,
        ..letter(1, None)
    };
    assert_eq!(bench.sent(&other).await.0, ["birch"]);
    let only_acme = Bench::new(
        "[[brokers]]\nid = \"cedar\"\nurl = \"https://c.example\"\nsecrets = [\"env:KEY\"]\nrate = 1\n",
    );
    assert_eq!(only_acme.sent(&letter(1, None)).await.0, ["acme", "birch", "cedar"]);
}

#[tokio::test]
async fn what_was_delivered_since_is_over_and_what_waits_or_conflicts_stays() {
    let bench = Bench::new("");
    let [gone, waits, conflict] = [1, 2, 3].map(|offset| letter(offset, Some("acme")));
    bench.delivered("acme", "e-1", &gone.body).await;
    bench.delivered("birch", "e-2", &waits.body).await;
    bench.waits(&waits).await;
    bench.delivered("acme", "e-3", b"another body").await;
    assert!(matches!(bench.outcome(&gone).await, ReplayOutcome::AlreadyDelivered));
    assert_eq!(bench.skipped(&waits).await, Some(SkipReason::Waiting));
    assert_eq!(bench.skipped(&conflict).await, Some(SkipReason::Conflict));
    // A record's letter stands for both brokers.
    let [one_gone, one_waits, one_conflicts] = [1, 2, 3].map(|offset| letter(offset, None));
    assert_eq!(bench.sent(&one_gone).await, (vec!["birch".to_owned()], None));
    assert_eq!(bench.skipped(&one_waits).await, Some(SkipReason::Waiting));
    assert_eq!(bench.sent(&one_conflicts).await, (vec!["birch".to_owned()], Some(SkipReason::Conflict)));
    bench.delivered("birch", "e-3", &conflict.body).await;
    assert_eq!(bench.skipped(&one_conflicts).await, Some(SkipReason::Conflict));
}

#[tokio::test]
async fn what_cannot_be_sent_stays_and_says_why() {
    let bench = Bench::new("source.record_max = \"1KiB\"\nlimits.spill_broker_max = \"64KiB\"\n");
    let acme = || letter(1, Some("acme"));
    assert_eq!(bench.skipped(&letter(1, Some("zinc"))).await, Some(SkipReason::UnknownBroker));
    assert_eq!(bench.skipped(&DeadLetter { body_len: 4_000, ..acme() }).await, Some(SkipReason::Cut));
    assert_eq!(
        bench.skipped(&DeadLetter { body_len: 4_000, ..letter(1, None) }).await,
        Some(SkipReason::Cut)
    );
    assert_eq!(bench.skipped(&DeadLetter { at: NOW + 1, ..acme() }).await, Some(SkipReason::CameMeanwhile));
    assert_eq!(bench.sent(&DeadLetter { at: NOW, ..acme() }).await.0, ["acme"]);
    let long = vec![b' '; 64 << 10];
    assert_eq!(
        bench.skipped(&DeadLetter { body_len: 64 << 10, body: long, ..acme() }).await,
        Some(SkipReason::TooLarge)
    );
    bench.brokers[0].mark_disabled("by a test".to_owned());
    assert_eq!(bench.skipped(&acme()).await, Some(SkipReason::BrokerDisabled));
    assert_eq!(
        bench.sent(&letter(1, None)).await,
        (vec!["birch".to_owned()], Some(SkipReason::BrokerDisabled))
    );
    let unwanted =
        br#"{"eventId":"e-1","loadId":"X-1","status":"posted","occurredAt":"2026-03-01T08:30:00Z"}"#;
    let unwanted = DeadLetter { body: unwanted.to_vec(), body_len: unwanted.len() as u64, ..letter(1, None) };
    assert_eq!(bench.skipped(&unwanted).await, Some(SkipReason::Unrouted));
}

#[tokio::test]
async fn a_record_refused_again_keeps_what_was_said_before_and_does_not_grow_for_ever() {
    let with =
        |body: &[u8]| DeadLetter { body: body.to_vec(), body_len: body.len() as u64, ..letter(1, None) };
    let again = |letter: DeadLetter| async move {
        match Bench::new("").outcome(&letter).await {
            ReplayOutcome::RejectedAgain(anew) => *anew,
            other => panic!("{other:?}"),
        }
    };
    let lost =
        with(br#"{"eventId":"e-9","loadId":"L-9","status":"lost","occurredAt":"2026-03-01T08:30:00Z"}"#);
    let anew = again(lost.clone()).await;
    assert_eq!(
        (anew.cause.as_str(), anew.event_id.as_deref(), anew.at),
        ("unknown-status", Some("e-9"), lost.at)
    );
    assert_eq!(
        anew.detail,
        "status \"lost\" is not known: add it to schema.statuses, or as an alias of one there"
    );
    assert_eq!(again(anew.clone()).await, anew, "the same reason changes nothing");

    let torn = DeadLetter { body: b"{".to_vec(), body_len: 1, ..anew.clone() };
    let torn = again(torn).await;
    assert_eq!((torn.stage, torn.cause.as_str()), (StageName::Decode, "not-json"));
    assert!(
        torn.detail.ends_with(&format!("; before it was replayed: validate/unknown-status: {}", anew.detail)),
        "{torn:?}"
    );
    assert_eq!(torn.event_id, anew.event_id, "what was read once stays known");
    assert_eq!(again(torn.clone()).await, torn);

    let mut letter = torn;
    for round in 0..60 {
        letter.body = if round % 2 == 0 { lost.body.clone() } else { b"{".to_vec() };
        letter.body_len = letter.body.len() as u64;
        letter = again(letter).await;
        assert!(letter.detail.len() <= DETAIL_MAX);
    }
}
