//! All that a seed decides before anything runs: the log, the brokers and their troubles, the bounds, and how each run
//! of the process ends.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    ops::Range,
    time::Duration,
};

use line::{Limits, stop::Level};
use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use stages::{BreakerPolicy, RetryBudgetPolicy, RetryPolicy, WhenFull};
use state::{CommitOptions, Crash, Durability};

use crate::log::Log;

/// A whole simulation.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) log: Log,
    pub(crate) brokers: Vec<BrokerPlan>,
    /// The runs in which receivers are in trouble, and how each ends.
    pub(crate) runs: Vec<RunPlan>,
    /// When an operator has dead letters sent again, in milliseconds since the start.
    pub(crate) replays: Vec<u64>,
    pub(crate) tuning: Tuning,
}

/// The bounds and policies of the line.
#[derive(Clone, Debug)]
pub(crate) struct Tuning {
    pub(crate) limits: Limits,
    pub(crate) retry: RetryPolicy,
    pub(crate) breaker: BreakerPolicy,
    pub(crate) budget: RetryBudgetPolicy,
    pub(crate) commits: CommitOptions,
    pub(crate) durability: Durability,
    /// How long the disk takes to flush.
    pub(crate) latency: Duration,
    pub(crate) unsettled_max: usize,
}

/// A broker and its receiver.
#[derive(Clone, Debug)]
pub(crate) struct BrokerPlan {
    /// The loads it wants; all if none are named.
    pub(crate) loads: Option<BTreeSet<u64>>,
    pub(crate) concurrency: usize,
    pub(crate) rate: f64,
    pub(crate) burst: u32,
    pub(crate) when_full: WhenFull,
    pub(crate) timeout: Duration,
    /// The longest time an answer takes, in milliseconds, when all is well.
    pub(crate) answer_max: u64,
    /// When the whole receiver is in trouble, in milliseconds since the start.
    pub(crate) weather: Vec<(Range<u64>, Trouble)>,
    /// Of a thousand attempts, how many go wrong by themselves.
    pub(crate) noise: u64,
    /// Loads whose attempts all end so, until the end of the simulation's last phase but one.
    pub(crate) bad_loads: BTreeMap<u64, Trouble>,
    /// One event in so many is refused with 422, until it is mended.
    pub(crate) refuses_one_in: Option<u64>,
    /// When that is, in milliseconds since the start; never if there is no time.
    pub(crate) mended_at: Option<u64>,
    /// Whether it answers 409 to what it has.
    pub(crate) says_conflict: bool,
    /// From when on it answers 410.
    pub(crate) gone_at: Option<u64>,
    /// When an operator has it paused, and when disabled, in milliseconds since the start.
    pub(crate) paused: Vec<Range<u64>>,
    pub(crate) disabled: Vec<Range<u64>>,
    /// When the config does not name it.
    pub(crate) absent: Vec<Range<u64>>,
    /// When a reload changes how many requests it takes at once; back again with the next.
    pub(crate) reloads: Vec<u64>,
}

/// What can be wrong with a receiver, or with the way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It answers, late: after so many milliseconds more.
    Slow(u64),
    /// No connection is made.
    Unreached,
    /// It takes the request and never answers.
    Silent,
    /// It takes the event, and the connection breaks before its answer.
    LostAnswer,
    /// It takes the event and answers 500 all the same.
    TakenAnd500,
    /// It answers this status, with `Retry-After` in seconds if that is not zero.
    Status(u16, u64),
}

/// One run of the process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunPlan {
    pub(crate) end: RunEnd,
    /// How long the process is down afterwards, in milliseconds.
    pub(crate) down: u64,
}

/// How a run ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RunEnd {
    /// It crashes.
    Crash(Crash, When),
    /// It is asked to stop after so long.
    Stop(Level, Duration),
    /// The source ends after what has been appended so far, and the line with it.
    InputEnds,
}

/// The moment of a crash.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    /// So long after the start.
    After(Duration),
    /// At this step after the start.
    Step(u64),
}

/// The longest time a run in trouble takes: its crash comes by then if it was to come at a step that is never reached.
pub(crate) const RUN_MAX: Duration = Duration::from_secs(15);

/// How much trouble a simulation has, in milliseconds since its start.
pub(crate) const TROUBLE: u64 = 30_000;

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn pick<T: Copy>(rng: &mut SmallRng, of: &[T], or: T) -> T {
    of.choose(rng).copied().unwrap_or(or)
}

impl Plan {
    /// The simulation of `seed`.
    pub(crate) fn of(seed: u64) -> Self {
        Self::over(seed, None)
    }

    /// The same over so many partitions.
    pub(crate) fn over(seed: u64, partitions_wanted: Option<usize>) -> Self {
        let rng = &mut SmallRng::seed_from_u64(seed);
        let loads = pick(rng, &[1, 2, 4, 8, 20], 4);
        let (len, partitions) = (rng.random_range(20..90), pick(rng, &[1, 1, 2], 1));
        let partitions = partitions_wanted.unwrap_or(partitions);
        let span = pick(rng, &[0, 1_000, 10_000], 0);
        // Whoever comes and goes gets some events and not others: then each is an event of its own.
        let reloads = partitions_wanted.is_none() && rng.random_bool(0.3);
        let log = Log::draw(rng, len, loads, (partitions, !reloads), span);
        let durability = pick(rng, &[Durability::Power, Durability::Process], Durability::Power);
        let count = rng.random_range(1..=4);
        let brokers: Vec<_> = (0..count).map(|_| BrokerPlan::draw(rng, loads, reloads)).collect();
        let has_bad_loads = brokers.iter().any(|broker| !broker.bad_loads.is_empty());
        let runs = (0..rng.random_range(0..=5)).map(|_| RunPlan::draw(rng, durability)).collect();
        let tuning = Tuning::draw(rng, durability, has_bad_loads);
        let replays = if rng.random_bool(0.4) { rng.random_range(1..5) } else { 0 };
        let replays = (0..replays).map(|_| rng.random_range(0..TROUBLE)).collect();
        Self { seed, log, brokers, runs, replays, tuning }
    }

    /// Whether broker `broker` is to get the entry with this number, if it is an event.
    pub(crate) fn wants(&self, broker: usize, number: usize) -> bool {
        let load = self.log.load(number);
        self.brokers[broker].loads.as_ref().is_none_or(|loads| loads.contains(&load))
    }
}

impl BrokerPlan {
    fn draw(rng: &mut SmallRng, loads: u64, reloads: bool) -> Self {
        let some = |rng: &mut SmallRng, share: f64| -> BTreeSet<u64> {
            (0..loads).filter(|_| rng.random_bool(share)).collect()
        };
        let weather = (0..rng.random_range(0..4)).map(|_| {
            let from = rng.random_range(0..TROUBLE);
            (from..from + rng.random_range(100..8_000), Trouble::draw(rng))
        });
        let weather = weather.collect();
        let bad_loads = if rng.random_bool(0.3) { some(rng, 0.4) } else { BTreeSet::new() };
        let bad =
            [Trouble::Status(500, 0), Trouble::Status(503, 1), Trouble::Status(404, 0), Trouble::Silent];
        let bad_loads = bad_loads.into_iter().map(|load| (load, pick(rng, &bad, Trouble::Silent))).collect();
        Self {
            loads: rng.random_bool(0.3).then(|| some(rng, 0.6)),
            concurrency: pick(rng, &[1, 2, 4, 8], 4),
            rate: pick(rng, &[1.0, 20.0, 100.0, 1_000.0], 100.0),
            burst: pick(rng, &[1, 5, 50], 5),
            when_full: if rng.random_bool(0.3) { WhenFull::DeadLetter } else { WhenFull::Hold },
            timeout: ms(2_000),
            answer_max: pick(rng, &[2, 20, 200], 20),
            weather,
            noise: pick(rng, &[0, 0, 50, 200], 0),
            bad_loads,
            refuses_one_in: rng.random_bool(0.3).then(|| rng.random_range(5..30)),
            says_conflict: rng.random_bool(0.3),
            gone_at: rng.random_bool(0.08).then(|| rng.random_range(0..TROUBLE)),
            paused: Self::times(rng, 0.2),
            disabled: Self::times(rng, 0.06),
            mended_at: rng.random_bool(0.6).then(|| rng.random_range(0..TROUBLE)),
            absent: if reloads { Self::times(rng, 0.6) } else { Vec::new() },
            reloads: (0..if reloads { 3 } else { 0 }).map(|_| rng.random_range(0..TROUBLE)).collect(),
        }
    }

    /// At most two times, of which each is drawn with this probability.
    fn times(rng: &mut SmallRng, each: f64) -> Vec<Range<u64>> {
        let drawn = (0..2).filter_map(|_| {
            let from = rng.random_bool(each).then(|| rng.random_range(0..TROUBLE))?;
            Some(from..from + rng.random_range(1..6_000))
        });
        drawn.collect()
    }

    /// When an operator changes something.
    pub(crate) fn changes(&self) -> impl Iterator<Item = u64> + '_ {
        let times = self.paused.iter().chain(&self.disabled).chain(&self.absent);
        times.flat_map(|times| [times.start, times.end]).chain(self.reloads.iter().copied())
    }

    /// Whether the config names it at `now`.
    pub(crate) fn is_listed(&self, now: u64) -> bool {
        !self.absent.iter().any(|times| times.contains(&now))
    }

    /// How many requests it takes at once, by the config at `now`.
    pub(crate) fn concurrency(&self, now: u64) -> usize {
        let reloads = self.reloads.iter().filter(|at| **at <= now).count();
        if reloads % 2 == 1 { self.concurrency.div_ceil(2) } else { self.concurrency }
    }

    /// Whether it refuses the event of this number for good at `now`.
    pub(crate) fn refuses(&self, number: usize, now: u64) -> bool {
        let is_mended = self.mended_at.is_some_and(|at| at <= now);
        !is_mended && self.refuses_one_in.is_some_and(|of| (number as u64).is_multiple_of(of))
    }
}

impl Trouble {
    /// One that a whole receiver has for a while.
    fn draw(rng: &mut SmallRng) -> Self {
        match rng.random_range(0..8) {
            0 => Self::Slow(rng.random_range(100..1_900)),
            1 | 2 => Self::Unreached,
            3 => Self::Silent,
            4 => Self::Status(429, rng.random_range(0..6)),
            5 => Self::Status(503, rng.random_range(0..4)),
            6 => Self::Status(pick(rng, &[401, 404, 408], 404), 0),
            _ => Self::Status(500, 0),
        }
    }

    /// One that a single attempt meets.
    pub(crate) fn of_noise(draw: u64) -> Self {
        match draw % 8 {
            0 | 1 => Self::LostAnswer,
            2 => Self::TakenAnd500,
            3 => Self::Silent,
            4 => Self::Status(429, draw / 8 % 3),
            5 => Self::Unreached,
            6 => Self::Slow(draw / 8 % 1_000),
            _ => Self::Status(502, 0),
        }
    }
}

impl RunPlan {
    fn draw(rng: &mut SmallRng, durability: Durability) -> Self {
        let power = rng.random_bool(if durability == Durability::Power { 0.4 } else { 0.15 });
        let crash = if power { Crash::Power } else { Crash::Process };
        let end = match rng.random_range(0..10) {
            0..4 => RunEnd::Crash(crash, When::Step(rng.random_range(1..400))),
            4..7 => RunEnd::Crash(crash, When::After(ms(rng.random_range(1..8_000)))),
            7 => RunEnd::Stop(Level::Drain, ms(rng.random_range(0..8_000))),
            8 => RunEnd::Stop(Level::Now, ms(rng.random_range(0..8_000))),
            _ => RunEnd::InputEnds,
        };
        Self { end, down: pick(rng, &[0, 10, 3_000], 0) }
    }
}

impl Tuning {
    fn draw(rng: &mut SmallRng, durability: Durability, has_bad_loads: bool) -> Self {
        // Loads that are refused for ever wait on disk; without room there they fill the memory, and nothing tells them
        // from a broker that is down.
        let room = if has_bad_loads { vec![1 << 20] } else { vec![1, 2_000, 8_000, 1 << 20] };
        let total = if has_bad_loads { vec![4 << 20] } else { vec![3_000, 20_000, 4 << 20] };
        let cap = pick(rng, &[500, 5_000], 500);
        let in_place_max = ms(pick(rng, &[0, 20, 500], 20));
        let in_flight_max = pick(rng, &[2, 4, 8, 16, 40], 16);
        let limits = Limits {
            in_flight_max,
            memory_max: pick(rng, &[8 << 10, 16 << 10, 1 << 20], 1 << 20),
            per_broker_max: pick(rng, &[1, 2, 10], 2),
            spill_broker_max: pick(rng, &room, 1 << 20),
            spill_total_max: pick(rng, &total, 4 << 20),
            full_letters_max: 1 << 20,
            spill_after: ms(pick(rng, &[20, 200, 1_000], 200)),
            hold_min: in_place_max,
            drain: ms(3_000),
            grace: ms(5_000),
            // Half of the plans; not drawn, so that the others are what they were.
            hand_over: ms(if in_flight_max > 8 { 1_000 } else { 0 }),
            shards: pick(rng, &[1, 2], 1),
        };
        let retry = RetryPolicy {
            base: ms(pick(rng, &[20, 200], 20)),
            cap: ms(cap),
            attempts_max: pick(rng, &[3, 8, 1_000], 8),
            retry_after_max: ms(pick(rng, &[2_000, 10_000], 10_000)),
            in_place_max,
            ..RetryPolicy::default()
        };
        let breaker = BreakerPolicy {
            failures: pick(rng, &[1, 2, 3, 5], 3).try_into().unwrap_or(NonZeroU32::MIN),
            open_min: ms(pick(rng, &[100, 1_000], 100)),
            open_max: ms(pick(rng, &[1_000, 5_000], 1_000)),
            probe_max: ms(10_000),
        };
        let min_per_second = pick(rng, &[1.0, 10.0], 10.0);
        let budget = RetryBudgetPolicy { ratio: 0.2, min_per_second, window_seconds: 10.0 };
        let commits = CommitOptions {
            commit_max: pick(rng, &[1, 8, 64], 8),
            linger: ms(pick(rng, &[0, 1, 5], 1)),
            inbox_max: 2 * in_flight_max + 1_000,
        };
        let latency = ms(pick(rng, &[0, 2, 10, 60], 2));
        let unsettled_max = pick(rng, &[5, 40, 1_000], 40);
        Self { limits, retry, breaker, budget, commits, durability, latency, unsettled_max }
    }
}
