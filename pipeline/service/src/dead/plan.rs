//! Decides the outcome of replaying a dead letter, from the letter, the ledger and the config's stages. Changes
//! nothing, so a dry run reports what a replay would do.
//!
//! A letter for a broker was a valid event: it is sent to that broker again, with its history. A letter without a
//! broker is a rejected record: its bytes go through decode, validate and route as if they had just been read.

use bytes::Bytes;
use stages::{
    Decode, Events, Route, Split, Stage, Then, Validate,
    models::{Delivery, Exit, Fault, RawRecord, Rejection, Unreadable, Verdict},
};
use state::{Clock, DeadLetter, LedgerKey, Outcome, Spill, StateFault, Store, UnixMillis};

use super::{SkipReason, is_cut};
use crate::{assemble::IntakeStages, config::Config};
use line::Roster;

/// Separates a letter's new reason from its previous one.
const BEFORE: &str = "; before it was replayed: ";
/// The longest detail, in bytes: replays of the same letter do not make it grow for ever.
const DETAIL_MAX: usize = 2_048;

/// The outcome of replaying a letter.
#[derive(Debug)]
pub enum ReplayOutcome {
    /// These are sent again. Then the letter is removed, unless `stays` says why not.
    Send {
        /// One for each broker; at least one.
        deliveries: Vec<Delivery>,
        /// Why the letter stays nevertheless.
        skipped: Option<SkipReason>,
    },
    /// It was delivered since: the letter is removed.
    AlreadyDelivered,
    /// The letter stays as it is.
    Skipped(SkipReason),
    /// The record is refused again: the letter stays, as this one.
    RejectedAgain(Box<DeadLetter>),
}

/// Finds the outcome of letters, under the config in force.
#[derive(Clone, Debug)]
pub struct Planner {
    decode: Decode,
    split: Split,
    stages: Then<Then<Decode, Validate>, Route>,
    brokers: Roster,
    clock: Clock,
    /// The most one delivery may take on disk, in bytes.
    spill_max: u64,
}

/// Whether a delivery may be sent, by the ledger.
enum Eligibility {
    Send,
    Delivered,
    Skip(SkipReason),
}

impl Planner {
    /// A planner with these stages and `brokers`, both followed through reloads, within `config`'s bounds.
    #[must_use]
    pub fn new(front: &IntakeStages, brokers: Roster, config: &Config, clock: Clock) -> Self {
        let IntakeStages { decode, validate, route } = front;
        Self {
            decode: decode.clone(),
            split: Split::by(decode),
            stages: decode.clone().then(validate.clone()).then(route.clone()),
            brokers,
            clock,
            spill_max: config.limits.spill_broker_max.min(config.limits.spill_total_max),
        }
    }

    /// The outcome of `letter` in a replay that began at `began`; with `force`, also if a later event of its load was
    /// delivered since.
    ///
    /// # Errors
    /// A fault of the store.
    pub async fn plan(
        &self,
        store: &Store,
        letter: &DeadLetter,
        began: UnixMillis,
        force: bool,
    ) -> Result<ReplayOutcome, Fault> {
        // A letter that was made by this replay is not replayed by it again.
        if letter.at > began {
            return Ok(ReplayOutcome::Skipped(SkipReason::CameMeanwhile));
        }
        if is_cut(letter) {
            return Ok(ReplayOutcome::Skipped(SkipReason::Cut));
        }
        let deliveries = match &letter.broker {
            Some(name) => {
                // A leaving broker is no longer in the config.
                let named = self.brokers.find(name).filter(|broker| !broker.is_leaving());
                let Some(broker) = named else {
                    return Ok(ReplayOutcome::Skipped(SkipReason::UnknownBroker));
                };
                let delivery = Delivery::from_letter(letter, broker, self.clock.monotonic());
                let delivery = delivery.map(|one| one.in_trace(self.decode.traceparent(&letter.body)));
                let read = self.decode.run(raw_of(letter, &self.clock)).await;
                let complete = delivery.map(|one| match &read {
                    Ok(read) => one.read_again(read),
                    Err(_) => one,
                });
                complete.into_iter().collect()
            }
            None => match self.route_again(letter).await {
                Ok(deliveries) => deliveries,
                Err(Exit::Verdict(Verdict::Rejected(rejection))) => {
                    return Ok(ReplayOutcome::RejectedAgain(Box::new(refused_again(letter, *rejection))));
                }
                Err(Exit::Verdict(_)) => return Ok(ReplayOutcome::Skipped(SkipReason::Unrouted)),
                Err(Exit::Fault(fault)) => return Err(fault),
            },
        };
        let since = if force { None } else { Some(letter.at) };
        Ok(self.outcome_of(store, deliveries, since)?)
    }

    /// Processes the record from its beginning, with the stored bytes: all of its events, or none if one is refused.
    async fn route_again(&self, letter: &DeadLetter) -> Result<Vec<Delivery>, Exit> {
        let events = match self.split.events(raw_of(letter, &self.clock)) {
            Events::One(raw) => return self.stages.run(raw).await,
            Events::Nothing(_) => return Err(Exit::Verdict(Verdict::Unrouted)),
            Events::Several(events) => events,
        };
        let mut deliveries = Vec::new();
        for event in events {
            match self.stages.run(event).await {
                Ok(of_event) => deliveries.extend(of_event),
                Err(Exit::Verdict(Verdict::Unrouted)) => {}
                Err(exit) => return Err(exit),
            }
        }
        if deliveries.is_empty() { Err(Exit::Verdict(Verdict::Unrouted)) } else { Ok(deliveries) }
    }

    /// `since` is when the letter was made, if an event of the load that was delivered since keeps it from being sent.
    fn outcome_of(
        &self,
        store: &Store,
        deliveries: Vec<Delivery>,
        since: Option<UnixMillis>,
    ) -> Result<ReplayOutcome, StateFault> {
        let (mut send, mut skipped, mut waiting) = (Vec::new(), None, false);
        for delivery in deliveries {
            match self.eligibility(store, &delivery, since)? {
                Eligibility::Send => send.push(delivery),
                Eligibility::Delivered => {}
                Eligibility::Skip(SkipReason::Waiting) => waiting = true,
                Eligibility::Skip(why) => skipped = skipped.or(Some(why)),
            }
        }
        Ok(match skipped {
            // A waiting delivery ends by itself, as a delivery or as a letter of its own.
            skipped if !send.is_empty() => ReplayOutcome::Send { deliveries: send, skipped },
            Some(why) => ReplayOutcome::Skipped(why),
            None if waiting => ReplayOutcome::Skipped(SkipReason::Waiting),
            None => ReplayOutcome::AlreadyDelivered,
        })
    }

    fn eligibility(
        &self,
        store: &Store,
        delivery: &Delivery,
        since: Option<UnixMillis>,
    ) -> Result<Eligibility, StateFault> {
        let event = delivery.event();
        let is_overtaken = || match since {
            None => Ok(false),
            Some(since) => {
                let broker = Some(&*delivery.broker.id);
                let newer = store.overtaken().by(&event.load_id, broker, &event.position, since)?;
                Ok::<_, StateFault>(newer.is_some())
            }
        };
        let entry = store.look_up(&LedgerKey::new(&delivery.broker.id, &event.event_id))?;
        Ok(match entry {
            Some(entry) if entry.digest != event.digest => Eligibility::Skip(SkipReason::Conflict),
            Some(entry) if entry.outcome == Outcome::Delivered => Eligibility::Delivered,
            Some(entry) if entry.outcome == Outcome::Spilled => Eligibility::Skip(SkipReason::Waiting),
            _ if delivery.broker.health.disabled_reason().is_some() => {
                Eligibility::Skip(SkipReason::BrokerDisabled)
            }
            _ if Spill::cost_of(event) > self.spill_max => Eligibility::Skip(SkipReason::TooLarge),
            _ if is_overtaken()? => Eligibility::Skip(SkipReason::Overtaken),
            _ => Eligibility::Send,
        })
    }
}

/// The letter with its new reason, followed by the previous one.
fn refused_again(letter: &DeadLetter, rejection: Rejection) -> DeadLetter {
    let Rejection { stage, cause, detail, event_id, load_id, status } = rejection;
    let before = if letter.stage == stage && letter.cause == cause {
        // The same reason, possibly with another time in it.
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

/// The record of a letter, as its source has read it.
fn raw_of(letter: &DeadLetter, clock: &Clock) -> RawRecord {
    RawRecord {
        position: letter.position.clone(),
        bytes: Bytes::from(letter.body.clone()),
        full_len: letter.body_len,
        read_at: clock.monotonic(),
        // What the source could not read is still not an event.
        unreadable: Unreadable::of_cause(&letter.cause, &letter.detail).map(Box::new),
        // What a header said is known of the letter alone.
        id: letter.event_id.as_deref().map(Box::from),
        traceparent: None,
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
