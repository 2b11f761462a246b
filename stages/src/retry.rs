//! The retry loop: a fresh delivery enters, a receipt leaves, or the verdict on a delivery that was not taken.
//!
//! Guaranteed: only the broker that failed is tried again; each attempt goes through the whole `attempt` stage and so
//! pays its own permit; a delivery is held in memory between two attempts for `in_place_max` at most; each failed
//! attempt is in the history that goes on record, and the broker's own trouble brings no event nearer to its dead
//! letter. An event that fails while its broker takes others is in trouble of its own, and comes nearer to it.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use rand::{SeedableRng, rngs::SmallRng};
use state::{Clock, FailedAttempt};
use tokio::time::Instant;

use crate::{
    backoff::RetryPolicy,
    breaker::Evidence,
    health::{AttemptMark, Gate, Health},
    models::{
        Attempt, Broker, Delivery, Exit, Failure, FailureKind, Fresh, Receipt, Step, Undeliverable, Verdict,
    },
    stage::Stage,
};

/// Gives `.retry(policy, clock)` to every stage that attempts a fresh delivery once.
pub trait AttemptExt: Stage<In = Fresh, Out = Attempt> + Sized {
    /// This attempt, made again until it succeeds or `policy` ends it. `clock` dates the attempts and tells the
    /// event's age, as it was lived: no wall clock that is set makes an event too old.
    fn retry(self, policy: RetryPolicy, clock: Clock) -> Retry<Self> {
        Retry { attempt: self, policy, clock, rng: Mutex::new(rand::make_rng()) }
    }
}

impl<A: Stage<In = Fresh, Out = Attempt>> AttemptExt for A {}

/// An attempt made again until it succeeds or the policy ends it; made by [`AttemptExt::retry`].
#[derive(Debug)]
pub struct Retry<A> {
    attempt: A,
    policy: RetryPolicy,
    clock: Clock,
    /// Asked only after a failure.
    rng: Mutex<SmallRng>,
}

impl<A> Retry<A> {
    /// The same with its random waits drawn from `seed`, so that a run can be repeated.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Self {
        self.rng = Mutex::new(SmallRng::seed_from_u64(seed));
        self
    }
}

impl<A: Stage<In = Fresh, Out = Attempt>> Stage for Retry<A> {
    type In = Fresh;
    type Out = Receipt;

    async fn run(&self, mut fresh: Fresh) -> Step<Receipt> {
        let broker = Arc::clone(&fresh.delivery().broker);
        let health = &broker.health;
        if fresh.delivery().history.attempts == 0 {
            health.retry_budget().deposit();
        }
        // The gate is not asked before the first attempt: the scheduler has asked, and if this delivery is the probe
        // the gate is held on its account.
        loop {
            fresh = self.still_due(fresh)?;
            broker.tally.retries.add(u64::from(fresh.delivery().history.attempts > 0));
            let mark = health.on_attempt();
            let failure = match self.attempt.run(fresh).await? {
                Attempt::Accepted(receipt) => {
                    health.on_success(self.clock.now());
                    return Ok(receipt);
                }
                Attempt::Failed(back, failure) => {
                    fresh = back;
                    failure
                }
            };
            if let Some(receipt) = self.taken_before(fresh.delivery(), &failure) {
                health.on_success(receipt.at);
                return Ok(receipt);
            }
            let wait;
            (fresh, wait) = self.after_failure(fresh, mark, failure)?;
            let until = Instant::now() + wait;
            tokio::select! {
                biased;
                // The pause is kept, wherever it is waited out.
                () = broker.halt.asked() => return Err(spilled(fresh, Some(until))),
                () = tokio::time::sleep_until(until) => {}
            }
            fresh = through_gate(fresh, health.gate(Instant::now()))?;
        }
    }
}

impl<A> Retry<A> {
    /// Lets a delivery on whose broker is enabled and whose event is young enough.
    fn still_due(&self, fresh: Fresh) -> Step<Fresh> {
        let delivery = fresh.delivery();
        if delivery.broker.health.is_disabled() {
            return Err(undeliverable(fresh, Undeliverable::BrokerDisabled));
        }
        if delivery.progress.is_given_up() {
            return Err(undeliverable(fresh, Undeliverable::QueueFull));
        }
        let age = self.clock.lived().saturating_sub(delivery.event().read_at);
        if u128::from(age) > self.policy.age_max.as_millis() {
            return Err(undeliverable(fresh, Undeliverable::TooOld));
        }
        Ok(fresh)
    }

    /// A receipt if the receiver says that it has the event, and an earlier attempt can have brought it.
    fn taken_before(&self, delivery: &Delivery, failure: &Failure) -> Option<Receipt> {
        let brought = delivery.history.may_have_arrived || delivery.may_repeat;
        (failure.kind == FailureKind::Conflict && brought).then(|| Receipt {
            failed_attempts: delivery.history.attempts,
            status: failure.status.unwrap_or_default(),
            at: self.clock.now(),
        })
    }

    /// Notes the failure and tells the broker's health; the delivery and its wait in place come back if it is to be
    /// tried again here.
    fn after_failure(
        &self,
        mut fresh: Fresh,
        mark: AttemptMark,
        failure: Failure,
    ) -> Step<(Fresh, Duration)> {
        let now = Instant::now();
        let broker = Arc::clone(&fresh.delivery().broker);
        let retry_after = failure.retry_after.map(|asked| asked.min(self.policy.retry_after_max));
        let delivery = fresh.delivery();
        let evidence = broker.health.evidence(&failure, &delivery.event().load_id, &delivery.history);
        // Where attempts do not count the exponent is all there were, or they would never space out.
        let failed = match failure.kind {
            FailureKind::Throttled | FailureKind::EndpointRefused => delivery.history.attempts,
            _ => delivery.history.counted,
        };
        let backoff = self.policy.delay(failed.saturating_add(1), &mut *self.rng.lock());
        let pause = retry_after.unwrap_or(backoff.min(self.policy.retry_after_max));
        let own_wait = match failure.kind {
            FailureKind::Throttled => pause,
            _ => backoff.max(retry_after.unwrap_or_default()),
        };
        let end = report(&broker, mark, &failure, evidence, (now, now + pause));
        self.note(&mut fresh, mark, failure, evidence);
        if let Some(why) = end {
            return Err(undeliverable(fresh, why));
        }
        if fresh.delivery().history.counted >= self.policy.attempts_max.max(1) {
            return Err(undeliverable(fresh, Undeliverable::AttemptsExhausted));
        }
        match broker.health.gate(now) {
            Gate::Open => {}
            Gate::Disabled => return Err(undeliverable(fresh, Undeliverable::BrokerDisabled)),
            // The broker as a whole is held; and this one goes on no sooner than it would otherwise.
            Gate::Probe | Gate::HeldUntil(_) => return Err(spilled(fresh, Some(now + own_wait))),
        }
        let wait = backoff.max(retry_after.unwrap_or_default()).max(self.deferral(&broker.health, now));
        if wait > self.policy.in_place_max {
            return Err(spilled(fresh, Some(now + wait)));
        }
        Ok((fresh, wait))
    }

    /// Zero if the budget has a retry left.
    fn deferral(&self, health: &Health, now: Instant) -> Duration {
        if health.retry_budget().withdraw(now) {
            return Duration::ZERO;
        }
        health.on_deferred();
        self.policy.deferral(&mut *self.rng.lock())
    }

    /// Adds the attempt to the history. It counts if the failure can be the event's fault: the broker was not known to
    /// be in trouble, or has taken others since the event failed before.
    fn note(&self, fresh: &mut Fresh, mark: AttemptMark, failure: Failure, evidence: Evidence) {
        let counts = match failure.kind {
            FailureKind::Throttled => false,
            FailureKind::EndpointRefused => evidence == Evidence::Nothing,
            _ => mark.breaker_was_closed() || evidence == Evidence::Nothing,
        };
        let Failure { status, cause, may_have_arrived, .. } = failure;
        let attempt = FailedAttempt { at: self.clock.now(), status, cause, may_have_arrived };
        let delivery = fresh.delivery_mut();
        delivery.history.push(attempt, counts);
        delivery.progress.note_failure(may_have_arrived);
        if delivery.history.unclear().is_none()
            && let Some(mark) = delivery.progress.take_mark()
        {
            // Nothing has been written yet: if the process ends now, nothing can be repeated.
            mark.clear();
        }
    }
}

/// Tells the broker's health, at `now`, with the pause that a throttling receiver asks for; gives the reason if this
/// failure ends the delivery.
fn report(
    broker: &Broker,
    mark: AttemptMark,
    failure: &Failure,
    evidence: Evidence,
    (now, pause_until): (Instant, Instant),
) -> Option<Undeliverable> {
    let health = &broker.health;
    match failure.kind {
        FailureKind::Transient | FailureKind::EndpointRefused => {
            health.on_failure(mark, now, failure, evidence);
        }
        FailureKind::Throttled => health.on_throttled(now, pause_until, failure, evidence),
        FailureKind::Refused | FailureKind::Conflict => {
            health.on_refused(now, failure);
            // A refusal is an answer, so there is a status; zero would show that the attempt broke that rule.
            return Some(Undeliverable::Refused { status: failure.status.unwrap_or_default() });
        }
        FailureKind::Gone => {
            health.on_refused(now, failure);
            if health.disable("the receiver answered 410 gone") {
                tracing::warn!(broker = %broker.id, "broker disabled: the receiver answered 410 gone");
            }
            return Some(Undeliverable::BrokerDisabled);
        }
        FailureKind::AddressRefused => {
            health.on_unsent(now, failure);
            return Some(Undeliverable::AddressRefused);
        }
    }
    None
}

/// Lets a delivery on while the gate is open. Anything else holds the broker as a whole, and the scheduler decides
/// when it goes on.
pub(crate) fn through_gate(fresh: Fresh, gate: Gate) -> Step<Fresh> {
    match gate {
        Gate::Open => Ok(fresh),
        Gate::Probe | Gate::HeldUntil(_) => Err(spilled(fresh, None)),
        Gate::Disabled => Err(undeliverable(fresh, Undeliverable::BrokerDisabled)),
    }
}

pub(crate) fn spilled(fresh: Fresh, not_before: Option<Instant>) -> Exit {
    Exit::Verdict(Verdict::Spilled { history: fresh.into_delivery().history, not_before })
}

fn undeliverable(fresh: Fresh, why: Undeliverable) -> Exit {
    Exit::Verdict(Verdict::Undeliverable { why, history: fresh.into_delivery().history })
}

#[cfg(test)]
mod tests;
