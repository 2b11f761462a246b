//! The retry loop: attempts a fresh delivery until it succeeds or the policy ends it.
//!
//! Guarantees: only the broker that failed is tried again. Each attempt goes through the whole `attempt` stage and
//! pays its own permit. A delivery is held in memory between two attempts for `in_place_max` at most. Each failed
//! attempt is in the recorded history. While the broker itself is in trouble, failures do not count toward an event's
//! dead letter; an event that fails while its broker takes others counts.

mod backoff;
mod breaker;
mod budget;
mod health;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use rand::{SeedableRng, rngs::SmallRng};
use state::{Clock, FailedAttempt, History, Unclear};
use tokio::time::Instant;

pub use self::{
    backoff::RetryPolicy,
    breaker::{BreakerPolicy, Evidence, Probe},
    budget::{RetryBudget, RetryBudgetPolicy},
    health::{AttemptMark, Gate, Health, HealthCounts, HealthState, LastError},
};
use crate::{
    broker::Broker,
    models::{Attempt, Delivery, Exit, Failure, FailureKind, Fresh, Receipt, Step, Undeliverable, Verdict},
    stage::Stage,
};

/// Gives `.retry(policy, clock)` to every stage that attempts a fresh delivery once.
pub trait AttemptExt: Stage<In = Fresh, Out = Attempt> + Sized {
    /// This attempt, repeated until it succeeds or `policy` ends it. `clock` gives the times of attempts and the
    /// event's age, by monotonic time, so that setting the wall clock makes no event too old.
    fn retry(self, policy: RetryPolicy, clock: Clock) -> Retry<Self> {
        Retry { attempt: self, policy, clock, rng: Mutex::new(rand::make_rng()) }
    }
}

impl<A: Stage<In = Fresh, Out = Attempt>> AttemptExt for A {}

/// How often a delivery may fail before it gives up its place on the wire after each attempt: where no wait is longer than
/// `in_place_max`, a few deliveries that always fail would otherwise keep all places of their broker.
const IN_PLACE_ATTEMPTS: u32 = 8;

/// An attempt that is repeated until it succeeds or the policy ends it; made by [`AttemptExt::retry`].
#[derive(Debug)]
pub struct Retry<A> {
    attempt: A,
    policy: RetryPolicy,
    clock: Clock,
    /// Used after failures only.
    rng: Mutex<SmallRng>,
}

impl<A> Retry<A> {
    /// With random waits drawn from `seed`, so that a run can be reproduced.
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
        // The gate is not checked before the first attempt: the scheduler has checked it, and if this delivery is the
        // probe the gate is held because of it.
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
                health.on_success(self.clock.now());
                return Ok(receipt);
            }
            let wait;
            (fresh, wait) = self.after_failure(fresh, mark, failure)?;
            let until = Instant::now() + wait;
            if fresh.delivery().history.attempts >= IN_PLACE_ATTEMPTS {
                return Err(spilled(fresh, Some(until)));
            }
            tokio::select! {
                biased;
                // The pause holds in memory and on disk.
                () = broker.halt.asked(&fresh.delivery().run) => return Err(spilled(fresh, Some(until))),
                () = tokio::time::sleep_until(until) => {}
            }
            fresh = through_gate(fresh, health.gate(Instant::now()))?;
        }
    }
}

impl<A> Retry<A> {
    /// Passes a delivery whose broker is enabled and whose event is not too old.
    fn still_due(&self, fresh: Fresh) -> Step<Fresh> {
        let delivery = fresh.delivery();
        if delivery.broker.health.is_disabled() {
            return Err(undeliverable(fresh, Undeliverable::BrokerDisabled));
        }
        if delivery.given_up {
            return Err(undeliverable(fresh, Undeliverable::QueueFull));
        }
        let age = self.clock.monotonic().saturating_sub(delivery.event().read_at);
        if u128::from(age) > self.policy.age_max.as_millis() {
            return Err(undeliverable(fresh, Undeliverable::TooOld));
        }
        Ok(fresh)
    }

    /// A receipt if the receiver says that it has the event (409), and an earlier attempt may have arrived: one
    /// without a clear answer, or one of an earlier run. A refused attempt does not count as arrived.
    fn taken_before(&self, delivery: &Delivery, failure: &Failure) -> Option<Receipt> {
        let uncertain = delivery.history.unclear() == Some(Unclear::NoAnswer);
        let brought = uncertain || delivery.may_have_arrived();
        (failure.kind == FailureKind::Conflict && brought).then(|| Receipt {
            failed_attempts: delivery.history.attempts,
            status: failure.status.unwrap_or_default(),
            at: self.clock.monotonic(),
        })
    }

    /// Records the failure and reports it to the broker's health. Returns the delivery and its wait if it is to be
    /// tried again from memory.
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
        let together = failure.kind == FailureKind::RefusedTogether;
        let at_once = together || is_turned_away_once(&failure, &delivery.history);
        let evidence = match at_once {
            true => Evidence::Nothing,
            false => broker.health.evidence(&failure, &delivery.event().load_id, &delivery.history),
        };
        // If attempts do not count, the exponent is the number of all attempts, or the waits would never grow.
        let failed = match failure.kind {
            FailureKind::Throttled | FailureKind::EndpointRefused => delivery.history.attempts,
            _ => delivery.history.counted,
        };
        let backoff = match at_once {
            true => Duration::ZERO,
            false => self.policy.delay(failed.saturating_add(1), &mut *self.rng.lock()),
        };
        let pause = retry_after.unwrap_or(backoff.min(self.policy.retry_after_max));
        let own_wait = match failure.kind {
            FailureKind::Throttled => pause,
            _ => backoff.max(retry_after.unwrap_or_default()),
        };
        let asked = retry_after.map(|asked| now + asked);
        let end = report(&broker, mark, &failure, evidence, (now, now + pause, asked));
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
            // The broker as a whole is held, and this delivery keeps its own wait.
            Gate::Probe | Gate::HeldUntil(_) => return Err(spilled(fresh, Some(now + own_wait))),
        }
        // The next attempt is the first of the event's own, and no retry that the budget is for.
        let deferral = if together { Duration::ZERO } else { self.deferral(&broker.health, now) };
        let wait = backoff.max(retry_after.unwrap_or_default()).max(deferral);
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

    /// Adds the attempt to the history. It counts if the event may be the cause: the broker was not known to be in
    /// trouble, or has taken others since the event failed before.
    fn note(&self, fresh: &mut Fresh, mark: AttemptMark, failure: Failure, evidence: Evidence) {
        let counts = match failure.kind {
            FailureKind::Throttled | FailureKind::RefusedTogether => false,
            FailureKind::EndpointRefused => evidence == Evidence::Nothing,
            // The first time, it is neither the event's fault nor the broker's.
            FailureKind::Unprocessed => evidence != Evidence::Nothing && mark.breaker_was_closed(),
            _ => mark.breaker_was_closed() || evidence == Evidence::Nothing,
        };
        let Failure { status, cause, may_have_arrived, answer, .. } = failure;
        let attempt = FailedAttempt { at: self.clock.now(), status, cause, may_have_arrived, answer };
        let delivery = fresh.delivery_mut();
        delivery.history.push(attempt, counts);
        delivery.run.note_failure(may_have_arrived);
        if delivery.history.unclear().is_none()
            && let Some(mark) = delivery.run.take_mark()
        {
            // Nothing was sent, so the next run cannot repeat anything.
            mark.clear();
        }
    }
}

/// Whether the receiver has turned the attempt away without looking at it, and not the one before: it closes a connection
/// in good order, or had too many requests on it, and the next attempt needs no wait.
fn is_turned_away_once(failure: &Failure, history: &History) -> bool {
    let reached_before = history.last.last().is_none_or(|last| last.may_have_arrived);
    failure.kind == FailureKind::Unprocessed && reached_before
}

/// Reports the failure to the broker's health, with the end of the pause of a throttling receiver, and that of the pause
/// that the answer asks for. Returns the reason if the failure ends the delivery.
fn report(
    broker: &Broker,
    mark: AttemptMark,
    failure: &Failure,
    evidence: Evidence,
    (now, pause_until, asked): (Instant, Instant, Option<Instant>),
) -> Option<Undeliverable> {
    let health = &broker.health;
    match failure.kind {
        FailureKind::Transient | FailureKind::EndpointRefused | FailureKind::Unprocessed => {
            health.on_failure(mark, now, failure, evidence);
            if let Some(until) = asked {
                health.on_pause_asked(now, until, evidence);
            }
        }
        FailureKind::Throttled => health.on_throttled(now, pause_until, failure, evidence),
        FailureKind::RefusedTogether => health.on_refused(now, failure),
        FailureKind::Refused | FailureKind::Conflict => {
            health.on_refused(now, failure);
            // Without one there was an answer that could not be read.
            return Some(Undeliverable::Refused { status: failure.status.unwrap_or_default() });
        }
        FailureKind::Gone => {
            health.on_refused(now, failure);
            let reason = format!("the receiver answered {}", failure.cause);
            if health.disable(reason.as_str()) {
                tracing::warn!(broker = %broker.id, "broker disabled: {reason}");
            }
            return Some(Undeliverable::BrokerDisabled);
        }
        FailureKind::AddressRefused => {
            health.on_unsent(now, failure);
            return Some(Undeliverable::AddressRefused);
        }
        FailureKind::Unsendable => {
            health.on_unsent(now, failure);
            return Some(Undeliverable::Unsendable { why: failure.cause.clone() });
        }
    }
    None
}

/// Passes a delivery while the gate is open. Otherwise the whole broker is held, and the scheduler decides when it
/// goes on.
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
