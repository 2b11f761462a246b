//! How a receiver treats its callers: a behaviour makes a plan for each request. The same seed and the same order of
//! requests give the same plans, on every machine. (What a rate limit turns away depends on time and has no plan.)

use std::time::Duration;

use http::StatusCode;
use rand::{Rng, RngExt};

use super::{LIMIT_RATE_MAX, RateLimit};

/// The longest latency, jitter, tail or `Retry-After` a behaviour may ask for: longer than any client waits.
pub const WAIT_MAX: Duration = Duration::from_secs(3_600);

/// How a receiver answers. The default takes everything at once.
///
/// `fail_rate`, `throttle_rate` and `lost_answer_rate` are shares of all requests that were signed well (and within the
/// limit, if there is one), drawn together: their sum is at most 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    /// Whether it can be reached, and whether it answers at all.
    pub availability: Availability,
    /// The time between reading a request and answering it; at most [`WAIT_MAX`].
    pub latency: Duration,
    /// Added to the latency: uniform between nothing and this; at most [`WAIT_MAX`].
    pub jitter: Duration,
    /// The share of answers that take `tail` longer, so that most are quick and some are slow, as real ones are. Apart
    /// from the other shares: it falls on answers of any kind.
    pub tail_rate: f64,
    /// Added to latency and jitter of those answers; at most [`WAIT_MAX`].
    pub tail: Duration,
    /// How many of the requests that were signed well are let through to what is said here; the others are answered at
    /// once with 429 and `retry_after`, and not taken. None: all of them. It counts by time and is not drawn.
    pub limit: Option<RateLimit>,
    /// The share of requests answered with 500, and not taken.
    pub fail_rate: f64,
    /// The share of requests answered with 429 and `retry_after`, and not taken.
    pub throttle_rate: f64,
    /// What a 429 asks for; on the wire in whole seconds, rounded up; at most [`WAIT_MAX`].
    pub retry_after: Duration,
    /// The share of requests that are taken although the caller is not told so.
    pub lost_answer_rate: f64,
    /// What the caller of such a request sees.
    pub lost_answer: LostAnswer,
    /// The answer to a request that nothing else befell; an event counts as taken only with a 2xx.
    pub status: StatusCode,
}

/// Whether a receiver can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Availability {
    /// It answers.
    #[default]
    Up,
    /// It accepts connections and reads requests, and never answers.
    Down,
    /// Nothing listens: connections are refused, and open ones are closed at their next request.
    Refusing,
}

/// What the caller sees of a request that was taken all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LostAnswer {
    /// A 500.
    #[default]
    Fail,
    /// Nothing, until the caller gives up.
    Hang,
    /// This status, which is no 2xx.
    Status(StatusCode),
}

/// A behaviour that cannot be had.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BehaviourError {
    /// A rate is not a share.
    #[error("{name} is {value}: give a share between 0 and 1")]
    Rate {
        /// The rate's name.
        name: &'static str,
        /// Its value.
        value: f64,
    },
    /// The rates add up to more than all requests.
    #[error(
        "fail_rate, throttle_rate and lost_answer_rate add up to {sum}: lower them to 1 or less together"
    )]
    Sum {
        /// Their sum.
        sum: f64,
    },
    /// A wait is too long.
    #[error("{name} is {value:?}: give at most {WAIT_MAX:?}")]
    Wait {
        /// The wait's name.
        name: &'static str,
        /// Its value.
        value: Duration,
    },
    /// The limit lets nothing through, or is beyond what can be kept.
    #[error(
        "limit is {} a second and {} at once: give above 0 and at most {LIMIT_RATE_MAX} a second, and at least 1 at once",
        .limit.per_second, .limit.burst
    )]
    Limit {
        /// The limit.
        limit: RateLimit,
    },
    /// The status is not one a final answer can have.
    #[error("status is {status}: give one from 200 to 599")]
    Status {
        /// The status.
        status: StatusCode,
    },
}

/// What is to become of one well signed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Taken, and the caller is told so.
    Take,
    /// Taken, and the caller is not told so.
    TakeAndLose,
    /// Not taken: 429.
    Throttle,
    /// Not taken: 500.
    Fail,
    /// Not taken: the behaviour's own status.
    Answer,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            availability: Availability::Up,
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            tail_rate: 0.0,
            tail: Duration::ZERO,
            limit: None,
            fail_rate: 0.0,
            throttle_rate: 0.0,
            retry_after: Duration::from_secs(1),
            lost_answer_rate: 0.0,
            lost_answer: LostAnswer::Fail,
            status: StatusCode::OK,
        }
    }
}

impl Behaviour {
    /// Whether this behaviour can be had.
    ///
    /// # Errors
    /// A rate outside 0..=1, rates that add up to more than 1, a wait over [`WAIT_MAX`], a limit that
    /// lets nothing through, or a status that is not final.
    pub fn check(&self) -> Result<(), BehaviourError> {
        let rates = [
            ("fail_rate", self.fail_rate),
            ("throttle_rate", self.throttle_rate),
            ("lost_answer_rate", self.lost_answer_rate),
        ];
        let shares = rates.into_iter().chain([("tail_rate", self.tail_rate)]);
        if let Some((name, value)) = shares.into_iter().find(|(_, rate)| !(0.0..=1.0).contains(rate)) {
            return Err(BehaviourError::Rate { name, value });
        }
        let sum: f64 = rates.iter().map(|(_, rate)| rate).sum();
        // 0.7 + 0.2 + 0.1 is a hair more than 1 in binary
        if sum > 1.0 + 1e-9 {
            return Err(BehaviourError::Sum { sum });
        }
        let waits = [
            ("latency", self.latency),
            ("jitter", self.jitter),
            ("tail", self.tail),
            ("retry_after", self.retry_after),
        ];
        if let Some((name, value)) = waits.into_iter().find(|(_, wait)| *wait > WAIT_MAX) {
            return Err(BehaviourError::Wait { name, value });
        }
        if let Some(limit) = self.limit.filter(|limit| !limit.is_fine()) {
            return Err(BehaviourError::Limit { limit });
        }
        if (200..600).contains(&self.status.as_u16()) {
            Ok(())
        } else {
            Err(BehaviourError::Status { status: self.status })
        }
    }

    /// The plan for every request, if nothing is left to chance.
    pub(crate) fn certain_plan(&self) -> Option<(Duration, Plan)> {
        let drawn = self.fail_rate + self.throttle_rate + self.lost_answer_rate + self.tail_rate;
        let certain = self.jitter.is_zero() && drawn <= 0.0;
        certain.then(|| (self.latency, self.otherwise()))
    }

    /// How long one request waits for its answer, and which.
    pub(crate) fn plan(&self, rng: &mut impl Rng) -> (Duration, Plan) {
        let jitter = self.jitter.mul_f64(rng.random::<f64>());
        let share = rng.random::<f64>();
        let plan = if share < self.throttle_rate {
            Plan::Throttle
        } else if share < self.throttle_rate + self.fail_rate {
            Plan::Fail
        } else if share < self.throttle_rate + self.fail_rate + self.lost_answer_rate {
            Plan::TakeAndLose
        } else {
            self.otherwise()
        };
        // drawn last and only if there is one: behaviours without a tail keep the plans they had
        let slow = self.tail_rate > 0.0 && rng.random::<f64>() < self.tail_rate;
        let tail = if slow { self.tail } else { Duration::ZERO };
        (self.latency + jitter + tail, plan)
    }

    fn otherwise(&self) -> Plan {
        if self.status.is_success() { Plan::Take } else { Plan::Answer }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};

    use super::*;

    fn plans(behaviour: &Behaviour, seed: u64, count: usize) -> Vec<(Duration, Plan)> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        (0..count).map(|_| behaviour.plan(&mut rng)).collect()
    }

    #[test]
    fn each_fate_gets_its_share() {
        let behaviour =
            Behaviour { throttle_rate: 0.1, fail_rate: 0.2, lost_answer_rate: 0.3, ..Behaviour::default() };
        let plans = plans(&behaviour, 7, 10_000);
        for (plan, share) in
            [(Plan::Throttle, 1_000), (Plan::Fail, 2_000), (Plan::TakeAndLose, 3_000), (Plan::Take, 4_000)]
        {
            let count = plans.iter().filter(|(_, drawn)| *drawn == plan).count();
            assert!(count.abs_diff(share) < 200, "{plan:?}: {count} of 10,000 instead of about {share}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_plans_and_another_seed_gives_others() {
        let behaviour =
            Behaviour { fail_rate: 0.5, jitter: Duration::from_millis(10), ..Behaviour::default() };
        assert_eq!(plans(&behaviour, 1, 100), plans(&behaviour, 1, 100));
        assert_ne!(plans(&behaviour, 1, 100), plans(&behaviour, 2, 100));
    }

    #[test]
    fn a_share_of_the_answers_is_slow() {
        let (latency, tail) = (Duration::from_millis(20), Duration::from_millis(400));
        let mixed = Behaviour { latency, fail_rate: 0.5, tail_rate: 0.1, tail, ..Behaviour::default() };
        let tailed = plans(&mixed, 3, 10_000);
        let slow = tailed.iter().filter(|(wait, _)| *wait == latency + tail).count();
        assert!(slow.abs_diff(1_000) < 150, "{slow} of 10,000 instead of about 1,000");
        assert!(tailed.iter().all(|(wait, _)| *wait == latency || *wait == latency + tail));
        let always = Behaviour { tail_rate: 1.0, tail, ..Behaviour::default() };
        assert_eq!((always.certain_plan(), plans(&always, 0, 1)), (None, vec![(tail, Plan::Take)]));
    }

    #[test]
    fn what_cannot_be_had_is_named() {
        let check = |change: fn(&mut Behaviour)| {
            let mut behaviour = Behaviour::default();
            change(&mut behaviour);
            behaviour.check().unwrap_err().to_string()
        };
        assert_eq!(check(|b| b.fail_rate = 1.5), "fail_rate is 1.5: give a share between 0 and 1");
        assert_eq!(
            check(|b| b.throttle_rate = f64::NAN),
            "throttle_rate is NaN: give a share between 0 and 1"
        );
        assert!(check(|b| (b.fail_rate, b.lost_answer_rate) = (0.75, 0.5)).contains("add up to 1.25"));
        assert!(check(|b| b.latency = Duration::from_secs(3_601)).starts_with("latency is 3601s"));
        assert!(check(|b| b.tail_rate = -0.1).starts_with("tail_rate is -0.1"));
        assert!(check(|b| b.tail = Duration::MAX).starts_with("tail is "));
        assert!(
            check(|b| b.limit = Some(RateLimit::per_second(0.0))).starts_with("limit is 0 a second and 1")
        );
        assert!(check(|b| b.status = StatusCode::CONTINUE).starts_with("status is 100"));
        assert_eq!(Behaviour::default().check(), Ok(()));
    }

    proptest! {
        #[test]
        fn the_wait_lies_between_latency_and_latency_plus_jitter(latency in 0..500u64, jitter in 0..500u64, seed: u64) {
            let (latency, jitter) = (Duration::from_millis(latency), Duration::from_millis(jitter));
            for (wait, _) in plans(&Behaviour { latency, jitter, ..Behaviour::default() }, seed, 20) {
                prop_assert!(wait >= latency && wait <= latency + jitter);
            }
        }
    }
}
