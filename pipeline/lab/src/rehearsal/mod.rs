//! A rehearsal: a config's brokers and limits go through a surge in simulated time, and what comes of it is told: how far
//! the log lags, what waits on disk against its bounds, when it is drained, which limit is reached first, and which value
//! would hold.
//!
//! It is the real line, on the parts that `tests/sim` runs it on. A value is told only if a further simulation has held
//! with it. Left out: the source's and the receivers' own speed, the network, the real disk, crashes, batches, and what
//! events look like; each event is for one broker.

mod bounds;
mod brokers;
mod observed;
mod plan;
mod simulate;
mod source;
mod table;

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use service::config::{BrokerConfig, Config};

use self::{bounds::Bounds, simulate::Simulation};
pub use self::{
    bounds::{Changed, Limit},
    observed::{Broken, BrokerObserved, Observed},
    plan::{BrokerPlan, During, EVENTS_MAX, Options, Plan, PlanFault},
    simulate::RehearsalFault,
    table::write_rehearsal,
};

/// So many limits are raised one after the other; what is reached behind them is named without a value.
const REMEDIES_MAX: usize = 4;
/// How often a broker's pace is raised by a tenth until it keeps up.
const PACES_MAX: usize = 3;

/// How far a rehearsal is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The number of the simulation, from one.
    pub simulation: usize,
    /// The simulated time, and the most it can be.
    pub at: Duration,
    /// The same.
    pub end: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Rehearsal {
    /// Events a second before and after the surge.
    pub base: f64,
    /// Whether nobody has given that.
    pub base_assumed: bool,
    /// And during it.
    pub peak: f64,
    /// How long the surge lasts.
    pub lasts_ms: u64,
    /// Decides loads and jitter.
    pub seed: u64,
    /// The bounds of the disk.
    pub spill_broker_max: u64,
    /// For all brokers.
    pub spill_total_max: u64,
    /// With the config as it is.
    pub seen: Observed,
    /// Each broker, in the config's order.
    pub brokers: Vec<Pace>,
    /// What was reached, in order, each with values that hold; the next one is what is reached with these.
    pub remedies: Vec<Remedy>,
    /// With all of these values, if there are any.
    pub remedied: Option<Observed>,
}

/// A limit that was reached, and what holds.
#[derive(Clone, Debug, Serialize)]
pub struct Remedy {
    /// Which.
    pub limit: Limit,
    /// The broker's name, if it is about one.
    pub broker: Option<String>,
    /// How long after the beginning of the surge.
    pub at_ms: u64,
    /// The limit's value.
    pub value: u64,
    /// Values with which it is not reached; none if no value helps.
    pub holds: Vec<Changed>,
}

/// What a broker is sent in the surge, and what it takes.
#[derive(Clone, Debug, Serialize)]
pub struct Pace {
    /// Its name.
    pub id: String,
    /// How long it takes for an answer during the surge; none if it does not answer.
    pub answers_ms: Option<u64>,
    /// Deliveries a second for it during the surge.
    pub sent: f64,
    /// What its rate, its concurrency and its answers allow.
    pub takes: f64,
    /// With this rate it keeps up.
    pub rate: Option<f64>,
    /// With this concurrency it does.
    pub concurrency: Option<usize>,
}

impl Rehearsal {
    /// Whether no limit was reached and everything was drained.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.remedies.is_empty() && self.seen.drained.is_some() && self.seen.disk_drained.is_some()
    }
}

/// Rehearses `plan` with the limits of `config`. `progress` is told how far it is.
///
/// # Errors
/// [`RehearsalFault`]
pub fn rehearse(
    config: &Config,
    plan: Plan,
    progress: &mut dyn FnMut(Progress),
) -> Result<Rehearsal, RehearsalFault> {
    let mut stage = Stage { config, plan: Arc::new(plan), simulations: 0, progress };
    let bounds = Bounds::of(config);
    let seen = stage.simulate(&config.brokers, &bounds, &[])?;
    let (remedies, remedied) = stage.remedies(&bounds, &seen)?;
    let brokers = stage.paces(&bounds)?;
    let plan = &stage.plan;
    Ok(Rehearsal {
        base: plan.base,
        base_assumed: plan.base_assumed,
        peak: plan.peak,
        lasts_ms: millis(plan.lasts),
        seed: plan.seed,
        spill_broker_max: bounds.limits.spill_broker_max,
        spill_total_max: bounds.limits.spill_total_max,
        seen,
        brokers,
        remedies,
        remedied,
    })
}

/// Where simulations are run.
struct Stage<'s> {
    config: &'s Config,
    plan: Arc<Plan>,
    simulations: usize,
    progress: &'s mut dyn FnMut(Progress),
}

impl Stage<'_> {
    fn simulate(
        &mut self,
        brokers: &[BrokerConfig],
        bounds: &Bounds,
        until: &[Limit],
    ) -> Result<Observed, RehearsalFault> {
        self.simulations += 1;
        let (simulation, end) = (self.simulations, self.plan.end());
        let passed = &mut |at| (self.progress)(Progress { simulation, at, end });
        Simulation { config: self.config, brokers, plan: &self.plan, bounds }.run(until, passed)
    }

    /// Raises what is reached, one after the other, until nothing is.
    fn remedies(
        &mut self,
        bounds: &Bounds,
        seen: &Observed,
    ) -> Result<(Vec<Remedy>, Option<Observed>), RehearsalFault> {
        let (mut bounds, mut broken) = (bounds.clone(), seen.broken.first().cloned());
        let (mut remedies, mut remedied) = (Vec::new(), None);
        while let Some(Broken { limit, broker, at }) = broken.take() {
            let broker = broker.map(|place| self.plan.brokers[place].id.clone());
            let (value, at_ms) = (bounds.value(limit), millis(at));
            let held = if remedies.len() < REMEDIES_MAX {
                let (config, plan) = (self.config, self.plan.clone());
                bounds.holding(limit, &plan, |bounds, until| self.simulate(&config.brokers, bounds, until))?
            } else {
                None
            };
            let holds = held.as_ref().map(|(holding, _)| holding.changes(&bounds, limit)).unwrap_or_default();
            remedies.push(Remedy { limit, broker, at_ms, value, holds });
            if let Some((holding, seen)) = held {
                (bounds, broken) = (holding, seen.broken.first().cloned());
                remedied = Some(seen);
            }
        }
        Ok((remedies, remedied))
    }

    /// What each broker takes, and with what it keeps up if it does not.
    fn paces(&mut self, bounds: &Bounds) -> Result<Vec<Pace>, RehearsalFault> {
        let mut paces: Vec<_> =
            self.plan.brokers.iter().map(|broker| Pace::of(broker, self.plan.peak)).collect();
        let mut brokers = self.config.brokers.clone();
        for _ in 0..PACES_MAX {
            let lags = |pace: &&mut Pace| pace.takes > 0.0 && pace.takes < pace.sent;
            let mut raised = false;
            for pace in paces.iter_mut().filter(lags) {
                raised = true;
                let Some(place) = self.plan.brokers.iter().position(|broker| broker.id == pace.id) else {
                    continue;
                };
                pace.raise(&self.plan.brokers[place]);
                let broker = &mut brokers[place];
                if let Some(rate) = pace.rate {
                    (broker.rate, broker.burst) = (rate, broker.burst.max(rate.ceil() as u32));
                }
                broker.concurrency = pace.concurrency.unwrap_or(broker.concurrency);
            }
            if !raised {
                return Ok(paces);
            }
            let with = self.simulate(&brokers, bounds, &[])?;
            let behind = |place: usize| {
                let (pace, seen) = (&paces[place], &with.brokers[place]);
                let latency = Duration::from_millis(pace.answers_ms.unwrap_or(0));
                let a_second_or_its_answer = Duration::from_secs(1) + latency;
                // Twice what is under way and comes in a second: loads wait for their own earlier events.
                let most = 2.0 * pace.sent * a_second_or_its_answer.as_secs_f64();
                seen.peak_waiting as f64 > most
                    || seen.drained.is_none_or(|after| after > a_second_or_its_answer)
            };
            if !paces.iter().enumerate().any(|(place, pace)| pace.is_raised() && behind(place)) {
                return Ok(paces);
            }
        }
        // It is not told what has not been seen to hold.
        paces.iter_mut().for_each(|pace| (pace.rate, pace.concurrency) = (None, None));
        Ok(paces)
    }
}

impl Pace {
    fn of(broker: &BrokerPlan, peak: f64) -> Self {
        let answers_in = broker.answers_in();
        let takes = answers_in.filter(|latency| *latency < broker.timeout).map_or(0.0, |latency| {
            broker.rate.min(broker.concurrency as f64 / latency.as_secs_f64().max(1e-3))
        });
        let (id, sent) = (broker.id.clone(), peak * broker.share);
        Self { id, answers_ms: answers_in.map(millis), sent, takes, rate: None, concurrency: None }
    }

    fn is_raised(&self) -> bool {
        self.rate.is_some() || self.concurrency.is_some()
    }

    /// To what is sent, and by a tenth more each further time.
    fn raise(&mut self, broker: &BrokerPlan) {
        let Some(latency) = broker.answers_in() else { return };
        let wanted = |now: Option<f64>, least: f64| now.map_or(least, |now| now * 1.1);
        if broker.rate < self.sent {
            self.rate = Some((wanted(self.rate, self.sent) * 10.0).ceil() / 10.0);
        }
        let under_way = self.sent * latency.as_secs_f64();
        if (broker.concurrency as f64) < under_way {
            let now = self.concurrency.map(|now| now as f64);
            self.concurrency = Some(wanted(now, under_way).ceil() as usize + 1);
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
