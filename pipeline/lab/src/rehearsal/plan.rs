//! What is rehearsed: how much comes when and for whom, and how the brokers answer. Pure; a seed decides the loads.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use service::config::{BrokerConfig, Config};

/// The most events of one simulation: they take about 1 KiB of memory each.
pub const EVENTS_MAX: u64 = 5_000_000;
/// How long the base load comes before the surge.
pub(super) const BEFORE: Duration = Duration::from_secs(10);
/// The drain is followed for so many times the length of the surge, and this much longer.
const DRAIN_TIMES: u32 = 3;
const DRAIN_LEAST: Duration = Duration::from_secs(300);
/// Loads under way of each broker.
const LOADS: u64 = 1_000;

/// What to rehearse.
#[derive(Clone, Debug)]
pub struct Options {
    /// Events a second before and after the surge, each for one broker. Without it a third of what the brokers' rates allow.
    pub rate: Option<f64>,
    /// How many times that during the surge.
    pub surge: f64,
    /// How long the surge lasts.
    pub lasts: Duration,
    /// The shares of some brokers, 0 to 1. The others have the rest, in proportion to their rates.
    pub shares: Vec<(String, f64)>,
    /// Brokers that do not answer during the surge.
    pub dead: Vec<String>,
    /// Brokers that take so long for each answer during the surge.
    pub slow: Vec<(String, Duration)>,
    /// How long all others take for each answer, and these at other times.
    pub latency: Duration,
    /// Bytes of each event.
    pub body: usize,
    /// Decides loads and jitter.
    pub seed: u64,
}

/// Why there is nothing to rehearse.
#[derive(Debug, thiserror::Error)]
pub enum PlanFault {
    /// A broker's name.
    #[error("{option}: the config names no broker {broker}; it names {known}")]
    Unknown {
        /// The option.
        option: &'static str,
        /// The name.
        broker: String,
        /// Some names that are known.
        known: String,
    },
    /// All brokers are in a database.
    #[error(
        "the config itself names no broker: those of a database are not rehearsed; put the ones that matter into a \
         copy of the config as [[brokers]]"
    )]
    NoBrokers,
    /// A share that is none.
    #[error(
        "--share: the shares are {sum:.3} together; give at most 1, and less if other brokers are to get events"
    )]
    Shares {
        /// Of all.
        sum: f64,
    },
    /// More than fits.
    #[error(
        "{events:.0} events would come in {lasts:?} at {rate:.1}/s; at most {EVENTS_MAX} are simulated: give a lower --rate or \
         a shorter --for"
    )]
    TooMany {
        /// So many.
        events: f64,
        /// Within.
        lasts: Duration,
        /// During the surge.
        rate: f64,
    },
}

/// What is rehearsed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Events a second before and after the surge.
    pub base: f64,
    /// Whether nobody has given that.
    pub base_assumed: bool,
    /// And during it.
    pub peak: f64,
    /// How long it lasts.
    pub lasts: Duration,
    /// Bytes of each event.
    pub body: usize,
    /// Decides loads and jitter.
    pub seed: u64,
    /// The brokers, in the config's order.
    pub brokers: Vec<BrokerPlan>,
}

/// What a broker gets, and how it answers.
#[derive(Clone, Debug)]
pub struct BrokerPlan {
    /// Its name.
    pub id: String,
    /// Its part of all events.
    pub share: f64,
    /// Attempts a second, by the config.
    pub rate: f64,
    /// Attempts at once, by the config.
    pub concurrency: usize,
    /// How it is during the surge.
    pub during: During,
    /// How long it takes for an answer otherwise.
    pub latency: Duration,
    /// How long an answer is waited for.
    pub timeout: Duration,
}

/// How a broker is during the surge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum During {
    /// As before it.
    Well,
    /// It takes so long for an answer.
    Slow(Duration),
    /// It does not answer.
    Dead,
}

impl Plan {
    /// What `options` ask of the brokers of `config`.
    ///
    /// # Errors
    /// [`PlanFault`].
    pub fn new(config: &Config, options: &Options) -> Result<Self, PlanFault> {
        if config.brokers.is_empty() {
            return Err(PlanFault::NoBrokers);
        }
        let named = options.shares.iter().map(|(id, _)| ("--share", id));
        let named = named.chain(options.dead.iter().map(|id| ("--dead", id)));
        for (option, id) in named.chain(options.slow.iter().map(|(id, _)| ("--slow", id))) {
            known(&config.brokers, option, id)?;
        }
        let shares = shares(&config.brokers, &options.shares)?;
        let allowed: f64 = config.brokers.iter().map(|broker| broker.rate).sum();
        let base = options.rate.unwrap_or(allowed / 3.0);
        let (peak, lasts) = (base * options.surge, options.lasts);
        let events = peak * lasts.as_secs_f64() + base * drain_max(lasts).as_secs_f64();
        if events > EVENTS_MAX as f64 {
            return Err(PlanFault::TooMany { events, lasts: lasts + drain_max(lasts), rate: peak });
        }
        let brokers = config.brokers.iter().zip(shares);
        let brokers = brokers.map(|(broker, share)| BrokerPlan {
            id: broker.id.clone(),
            share,
            rate: broker.rate,
            concurrency: broker.concurrency,
            during: during(&broker.id, options),
            latency: options.latency,
            timeout: broker.timeout,
        });
        let Options { body, seed, .. } = *options;
        Ok(Self {
            base,
            base_assumed: options.rate.is_none(),
            peak,
            lasts,
            body,
            seed,
            brokers: brokers.collect(),
        })
    }

    /// When the surge ends.
    pub(super) fn surge_end(&self) -> Duration {
        BEFORE + self.lasts
    }

    /// For how long what is left is followed.
    pub(super) fn end(&self) -> Duration {
        self.surge_end() + drain_max(self.lasts)
    }

    /// Events a second at this time.
    pub(super) fn rate_at(&self, at: Duration) -> f64 {
        if (BEFORE..self.surge_end()).contains(&at) { self.peak } else { self.base }
    }

    /// When event `number` is appended.
    pub(super) fn appended_at(&self, number: u64) -> Duration {
        let (number, before) = (number as f64, BEFORE.as_secs_f64());
        let early = self.base * before;
        let surge = self.peak * self.lasts.as_secs_f64();
        let seconds = if number < early {
            number / self.base
        } else if number < early + surge {
            before + (number - early) / self.peak
        } else {
            before + self.lasts.as_secs_f64() + (number - early - surge) / self.base
        };
        Duration::from_secs_f64(seconds)
    }

    /// How many events have been appended by then.
    pub(super) fn appended_by(&self, at: Duration) -> u64 {
        let early = at.min(BEFORE).as_secs_f64() * self.base;
        let surge = at.saturating_sub(BEFORE).min(self.lasts).as_secs_f64() * self.peak;
        let late = at.saturating_sub(self.surge_end()).as_secs_f64() * self.base;
        let mut count = (early + surge + late) as u64;
        // Both are rounded; this is exactly what the source gives.
        while self.appended_at(count) <= at {
            count += 1;
        }
        while count > 0 && self.appended_at(count - 1) > at {
            count -= 1;
        }
        count
    }

    /// The load of event `number`.
    pub(super) fn load(&self, number: u64) -> u64 {
        // SplitMix64, by Steele, Lea and Flood: spreads consecutive numbers evenly.
        let mut mixed = number.wrapping_add(self.seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % LOADS
    }
}

impl BrokerPlan {
    /// How long it takes for an answer during the surge; none if it does not answer.
    pub(super) fn answers_in(&self) -> Option<Duration> {
        match self.during {
            During::Well => Some(self.latency),
            During::Slow(slow) => Some(slow),
            During::Dead => None,
        }
    }
}

/// Whose turn it is: each broker gets its share in any stretch of events, as evenly as can be.
pub(super) struct Turns {
    /// When each broker is next, in events since the start and [`TURN`]s.
    next: BinaryHeap<Reverse<(u64, usize)>>,
    /// How far apart its events are.
    intervals: Vec<u64>,
}

/// One event, in the unit of turns.
const TURN: f64 = 1e6;

impl Turns {
    pub(super) fn new(plan: &Plan) -> Self {
        let intervals: Vec<_> = plan.brokers.iter().map(|broker| (TURN / broker.share) as u64).collect();
        let takes = |place: &usize| plan.brokers[*place].share > 0.0;
        let first = |place: usize| Reverse((intervals[place] / 2, place));
        Self { next: (0..intervals.len()).filter(takes).map(first).collect(), intervals }
    }

    /// The broker of the next event.
    pub(super) fn take(&mut self) -> usize {
        // There is one that takes something: the shares are 1 together.
        let Some(mut first) = self.next.peek_mut() else { return 0 };
        let Reverse((at, place)) = &mut *first;
        *at = at.saturating_add(self.intervals[*place]);
        *place
    }
}

fn drain_max(lasts: Duration) -> Duration {
    lasts * DRAIN_TIMES + DRAIN_LEAST
}

fn known(brokers: &[BrokerConfig], option: &'static str, id: &str) -> Result<(), PlanFault> {
    if brokers.iter().any(|broker| broker.id == id) {
        return Ok(());
    }
    let some: Vec<_> = brokers.iter().take(8).map(|broker| broker.id.as_str()).collect();
    let more = if brokers.len() > some.len() { ", …" } else { "" };
    Err(PlanFault::Unknown { option, broker: id.to_owned(), known: some.join(", ") + more })
}

fn shares(brokers: &[BrokerConfig], given: &[(String, f64)]) -> Result<Vec<f64>, PlanFault> {
    let of = |id: &str| given.iter().rev().find(|(name, _)| name == id).map(|(_, share)| *share);
    let sum: f64 = brokers.iter().filter_map(|broker| of(&broker.id)).sum();
    let rest: f64 = brokers.iter().filter(|broker| of(&broker.id).is_none()).map(|broker| broker.rate).sum();
    if sum > 1.0 + 1e-9 || (rest == 0.0 && sum < 1.0 - 1e-9) {
        return Err(PlanFault::Shares { sum });
    }
    let left = (1.0 - sum).max(0.0);
    Ok(brokers.iter().map(|broker| of(&broker.id).unwrap_or(left * broker.rate / rest)).collect())
}

fn during(id: &str, options: &Options) -> During {
    if options.dead.iter().any(|dead| dead == id) {
        return During::Dead;
    }
    let slow = options.slow.iter().rev().find(|(slow, _)| slow == id);
    slow.map_or(During::Well, |(_, latency)| During::Slow(*latency))
}
