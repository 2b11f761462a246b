//! Each fate has its letter.

use std::sync::Arc;

use stages::models::Broker;
use state::{BodyDigest, Ledger, Record, StageName};

use super::*;
use crate::{
    assemble,
    dead::testing::{config, ledger, letter},
};

const NOW: UnixMillis = 1_772_353_900_000;

struct Desk {
    ledger: Ledger,
    planner: Planner,
    brokers: Vec<Arc<Broker>>,
    _dir: tempfile::TempDir,
}

impl Desk {
    fn new(more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = config(more);
        let brokers = assemble::brokers(&config, 1).unwrap();
        let front = Front::new(&config, &brokers, Clock::System);
        let planner = Planner::new(&front, Roster::new(brokers.clone()), &config, Clock::System);
        Self { ledger: ledger(dir.path()), planner, brokers, _dir: dir }
    }

    async fn fate(&self, letter: &DeadLetter) -> Fate {
        self.planner.plan(self.ledger.store(), letter, NOW).await.unwrap()
    }

    async fn kept(&self, letter: &DeadLetter) -> Option<Kept> {
        match self.fate(letter).await {
            Fate::Stays(why) => Some(why),
            _ => None,
        }
    }

    /// Whom `letter` goes to, and why it stays all the same.
    async fn sent(&self, letter: &DeadLetter) -> (Vec<String>, Option<Kept>) {
        match self.fate(letter).await {
            Fate::Send { deliveries, kept } => {
                for delivery in &deliveries {
                    assert_eq!(delivery.event().body, letter.body);
                    assert_eq!(delivery.event().position, letter.position);
                }
                (deliveries.iter().map(|delivery| delivery.broker.id.to_string()).collect(), kept)
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
        let Fate::Send { deliveries, .. } = self.fate(letter).await else { panic!("{letter:?}") };
        for delivery in deliveries {
            let spilled = state::SpilledDelivery {
                broker: delivery.broker.id.clone(),
                seq: 0,
                event: delivery.event().clone(),
                history: delivery.history.clone(),
                not_before: 0,
                may_repeat: false,
            };
            let _proof = self.ledger.record(Record::Spilled(Box::new(spilled))).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_letter_of_a_broker_goes_to_it_again_with_its_history_and_whatever_it_subscribes_to_now() {
    let desk = Desk::new("");
    let mut letter = letter(1, Some("acme"));
    letter.status = Some("not-a-status".to_owned());
    assert_eq!(desk.sent(&letter).await, (vec!["acme".to_owned()], None));
    let Fate::Send { deliveries, .. } = desk.fate(&letter).await else { panic!() };
    assert_eq!((deliveries[0].history.attempts, deliveries[0].history.counted), (1, 0));
    let conflict = DeadLetter { stage: StageName::Dedupe, ..letter };
    assert_eq!(desk.sent(&conflict).await.0, ["acme"]);
}

#[tokio::test]
async fn a_record_that_this_config_takes_goes_to_every_broker_that_wants_it() {
    let desk = Desk::new("");
    assert_eq!(desk.sent(&letter(1, None)).await, (vec!["acme".to_owned(), "birch".to_owned()], None));
    let other = DeadLetter {
        body: br#"{"eventId":"e-1","loadId":"X-1","status":"matched","occurredAt":"2026-03-01T08:30:00Z"}"#
            .to_vec(),
        body_len: 87,
        ..letter(1, None)
    };
    assert_eq!(desk.sent(&other).await.0, ["birch"]);
    let only_acme = Desk::new(
        "[[brokers]]\nid = \"cedar\"\nurl = \"https://c.example\"\nsecrets = [\"env:KEY\"]\nrate = 1\n",
    );
    assert_eq!(only_acme.sent(&letter(1, None)).await.0, ["acme", "birch", "cedar"]);
}

#[tokio::test]
async fn what_was_delivered_since_is_over_and_what_waits_or_conflicts_stays() {
    let desk = Desk::new("");
    let [gone, waits, conflict] = [1, 2, 3].map(|offset| letter(offset, Some("acme")));
    desk.delivered("acme", "e-1", &gone.body).await;
    desk.delivered("birch", "e-2", &waits.body).await;
    desk.waits(&waits).await;
    desk.delivered("acme", "e-3", b"another body").await;
    assert!(matches!(desk.fate(&gone).await, Fate::Over));
    assert_eq!(desk.kept(&waits).await, Some(Kept::Waiting));
    assert_eq!(desk.kept(&conflict).await, Some(Kept::Conflict));
    // A record's letter stands for both brokers.
    let [one_gone, one_waits, one_conflicts] = [1, 2, 3].map(|offset| letter(offset, None));
    assert_eq!(desk.sent(&one_gone).await, (vec!["birch".to_owned()], None));
    assert_eq!(desk.kept(&one_waits).await, Some(Kept::Waiting));
    assert_eq!(desk.sent(&one_conflicts).await, (vec!["birch".to_owned()], Some(Kept::Conflict)));
    desk.delivered("birch", "e-3", &conflict.body).await;
    assert_eq!(desk.kept(&one_conflicts).await, Some(Kept::Conflict));
}

#[tokio::test]
async fn what_cannot_be_sent_stays_and_says_why() {
    let desk = Desk::new("source.record_max = \"1KiB\"\nlimits.spill_broker_max = \"64KiB\"\n");
    let acme = || letter(1, Some("acme"));
    assert_eq!(desk.kept(&letter(1, Some("zinc"))).await, Some(Kept::UnknownBroker));
    assert_eq!(desk.kept(&DeadLetter { body_len: 4_000, ..acme() }).await, Some(Kept::Cut));
    assert_eq!(desk.kept(&DeadLetter { body_len: 4_000, ..letter(1, None) }).await, Some(Kept::Cut));
    assert_eq!(desk.kept(&DeadLetter { at: NOW + 1, ..acme() }).await, Some(Kept::CameMeanwhile));
    assert_eq!(desk.sent(&DeadLetter { at: NOW, ..acme() }).await.0, ["acme"]);
    let long = vec![b' '; 64 << 10];
    assert_eq!(
        desk.kept(&DeadLetter { body_len: 64 << 10, body: long, ..acme() }).await,
        Some(Kept::TooLarge)
    );
    desk.brokers[0].disabled_before("by a test".to_owned());
    assert_eq!(desk.kept(&acme()).await, Some(Kept::BrokerDisabled));
    assert_eq!(desk.sent(&letter(1, None)).await, (vec!["birch".to_owned()], Some(Kept::BrokerDisabled)));
    let unwanted =
        br#"{"eventId":"e-1","loadId":"X-1","status":"posted","occurredAt":"2026-03-01T08:30:00Z"}"#;
    let unwanted = DeadLetter { body: unwanted.to_vec(), body_len: unwanted.len() as u64, ..letter(1, None) };
    assert_eq!(desk.kept(&unwanted).await, Some(Kept::Unrouted));
}

#[tokio::test]
async fn a_record_refused_again_keeps_what_was_said_before_and_does_not_grow_for_ever() {
    let with =
        |body: &[u8]| DeadLetter { body: body.to_vec(), body_len: body.len() as u64, ..letter(1, None) };
    let again = |letter: DeadLetter| async move {
        match Desk::new("").fate(&letter).await {
            Fate::Changes(anew) => *anew,
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
