//! What is to become of a dead letter that is replayed: the letter, the ledger and the config's stages enter, its fate
//! leaves. Nothing is changed here, so that a dry run says what a replay would do.
//!
//! A letter for a broker was a valid event: it goes to that broker again, with its history. A letter for none is a record
//! that was refused: its bytes go through decode, validate and route as if they had just been read.

use bytes::Bytes;
use stages::{
    Decode, Route, Stage, Then, UNREADABLE_BATCH, Validate,
    models::{Delivery, Exit, Fault, RawRecord, Rejection, Verdict},
};
use state::{Clock, DeadLetter, LedgerKey, Outcome, Spill, StateFault, Store, UnixMillis};

use super::{Kept, is_cut};
use crate::{assemble::Front, config::Config, roster::Roster};

/// What stands between the reason a letter has now and the one it had before.
const BEFORE: &str = "; before it was replayed: ";
/// The longest detail, in bytes: replays of the same letter do not make it grow for ever.
const DETAIL_MAX: usize = 2_048;

/// What is to become of a letter.
#[derive(Debug)]
pub enum Fate {
    /// These are sent again. Then the letter goes, unless it stays for something else.
    Send {
        /// One for each broker; at least one.
        deliveries: Vec<Delivery>,
        /// Why the letter stays all the same.
        kept: Option<Kept>,
    },
    /// It was delivered since: the letter goes.
    Over,
    /// The letter stays as it is.
    Stays(Kept),
    /// The record is refused again: the letter stays, as this one.
    Changes(Box<DeadLetter>),
}

/// Finds the fate of letters, under the config in force.
#[derive(Clone, Debug)]
pub struct Planner {
    decode: Decode,
    stages: Then<Then<Decode, Validate>, Route>,
    brokers: Roster,
    clock: Clock,
    /// The most one delivery may take on disk, in bytes.
    spill_max: u64,
}

/// What the ledger says to sending one delivery.
enum Open {
    Yes,
    Delivered,
    No(Kept),
}

impl Planner {
    /// A planner with the stages of `front` and with `brokers`, which are followed through reloads, within `config`'s
    /// bounds.
    #[must_use]
    pub fn new(front: &Front, brokers: Roster, config: &Config, clock: Clock) -> Self {
        let Front { decode, validate, route } = front;
        Self {
            decode: decode.clone(),
            stages: decode.clone().then(validate.clone()).then(route.clone()),
            brokers,
            clock,
            spill_max: config.limits.spill_broker_max.min(config.limits.spill_total_max),
        }
    }

    /// The fate of `letter` in a replay that began at `began`.
    ///
    /// # Errors
    /// A fault of the store.
    pub async fn plan(&self, store: &Store, letter: &DeadLetter, began: UnixMillis) -> Result<Fate, Fault> {
        // What fails again at once, or what a record's replay makes, is not taken up by the same replay.
        if letter.at > began {
            return Ok(Fate::Stays(Kept::CameMeanwhile));
        }
        if is_cut(letter) {
            return Ok(Fate::Stays(Kept::Cut));
        }
        let deliveries = match &letter.broker {
            Some(name) => {
                // One that leaves is not in the config any more.
                let named = self.brokers.find(name).filter(|broker| !broker.is_leaving());
                let Some(broker) = named else { return Ok(Fate::Stays(Kept::UnknownBroker)) };
                let delivery = Delivery::from_letter(letter, broker, self.clock.lived());
                delivery.map(|one| one.in_trace(self.decode.traceparent(&letter.body))).into_iter().collect()
            }
            None => match self.again(letter).await {
                Ok(deliveries) => deliveries,
                Err(Exit::Verdict(Verdict::Rejected(rejection))) => {
                    return Ok(Fate::Changes(Box::new(refused_again(letter, rejection))));
                }
                Err(Exit::Verdict(_)) => return Ok(Fate::Stays(Kept::Unrouted)),
                Err(Exit::Fault(fault)) => return Err(fault),
            },
        };
        Ok(self.judge(store, deliveries)?)
    }

    /// The record's way from its beginning, with the bytes that were kept.
    async fn again(&self, letter: &DeadLetter) -> Result<Vec<Delivery>, Exit> {
        let raw = RawRecord {
            position: letter.position.clone(),
            bytes: Bytes::from(letter.body.clone()),
            full_len: letter.body_len,
            read_at: self.clock.lived(),
            // What was no record then is none now: its bytes are not to be taken for one.
            unreadable: (letter.cause == UNREADABLE_BATCH).then(|| letter.detail.as_str().into()),
        };
        self.stages.run(raw).await
    }

    fn judge(&self, store: &Store, deliveries: Vec<Delivery>) -> Result<Fate, StateFault> {
        let (mut send, mut kept, mut waiting) = (Vec::new(), None, false);
        for delivery in deliveries {
            match self.ask(store, &delivery)? {
                Open::Yes => send.push(delivery),
                Open::Delivered => {}
                Open::No(Kept::Waiting) => waiting = true,
                Open::No(why) => kept = kept.or(Some(why)),
            }
        }
        Ok(match kept {
            // What waits will end by itself, as a delivery or as a letter of its own.
            kept if !send.is_empty() => Fate::Send { deliveries: send, kept },
            Some(why) => Fate::Stays(why),
            None if waiting => Fate::Stays(Kept::Waiting),
            None => Fate::Over,
        })
    }

    fn ask(&self, store: &Store, delivery: &Delivery) -> Result<Open, StateFault> {
        let event = delivery.event();
        let entry = store.look_up(&LedgerKey::new(&delivery.broker.id, &event.event_id))?;
        Ok(match entry {
            Some(entry) if entry.digest != event.digest => Open::No(Kept::Conflict),
            Some(entry) if entry.outcome == Outcome::Delivered => Open::Delivered,
            Some(entry) if entry.outcome == Outcome::Spilled => Open::No(Kept::Waiting),
            _ if delivery.broker.health.disabled_reason().is_some() => Open::No(Kept::BrokerDisabled),
            _ if Spill::cost_of(event) > self.spill_max => Open::No(Kept::TooLarge),
            _ => Open::Yes,
        })
    }
}

/// The letter with its new reason; what it said before stands behind that.
fn refused_again(letter: &DeadLetter, rejection: Rejection) -> DeadLetter {
    let Rejection { stage, cause, detail, event_id, load_id, status } = rejection;
    let before = if letter.stage == stage && letter.cause == cause {
        // The same reason, perhaps with another time in it.
        letter.detail.split_once(BEFORE).map(|(_, before)| before.to_owned())
    } else {
        Some(format!("{}/{}: {}", letter.stage.as_str(), letter.cause, letter.detail))
    };
    let mut detail = match before {
        Some(before) => format!("{detail}{BEFORE}{before}"),
        None => detail,
    };
    detail.truncate(detail.floor_char_boundary(DETAIL_MAX));
    let kept = letter.clone();
    DeadLetter {
        stage,
        cause: cause.to_owned(),
        detail,
        event_id: event_id.or(kept.event_id),
        load_id: load_id.or(kept.load_id),
        status: status.or(kept.status),
        ..kept
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
