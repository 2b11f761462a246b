//! The numbers of a report, from a run and its judgement.

use std::time::Duration;

use super::{run::RunOutcome, sample::percentile, system::Which};
use crate::{
    oracle::{self, Judgement, Promised, Surge, Terms},
    report::{BrokerInfo, Figures, Incident, Issued, Latency, Phase, Sample, SystemReport},
    traffic::{Form, Traffic, millis, profile::Profile},
};

/// The goal for brokers that are well: their 99th percentile during the surge is at most so many times that before it.
const P99_RATIO_GOAL: f64 = 1.5;
/// What is not counted toward that goal: a few milliseconds are the machine's own.
const P99_FLOOR_MS: f64 = 5.0;
/// How much of a second's base load may still be in the log when the lag counts as gone: twice what stands there by
/// itself if offsets are committed twice a second.
const CALM_SHARE: f64 = 1.0;

/// Whether the profile has a surge.
fn surges(profile: &Profile) -> bool {
    profile.load.surge > 1.0 && !profile.load.during.is_zero()
}

/// The phases of a run: before, during and after the surge, or the whole if there is none.
#[must_use]
pub fn phases(profile: &Profile) -> Vec<Phase> {
    let load = &profile.load;
    if !surges(profile) {
        return vec![Phase { name: "run".to_owned(), from_ms: 0, to_ms: millis(profile.length()) }];
    }
    let ends = [Duration::ZERO, load.before, load.before + load.during, profile.length()].map(millis);
    let names = ["before", "during", "after"];
    let phases = names.iter().zip(ends.windows(2));
    phases
        .map(|(name, ends)| Phase { name: (*name).to_owned(), from_ms: ends[0], to_ms: ends[1] })
        .filter(|phase| phase.to_ms > phase.from_ms)
        .collect()
}

/// What is done to brokers and system, in order of time.
#[must_use]
pub fn incidents(profile: &Profile) -> Vec<Incident> {
    let troubles = profile.brokers.iter().flat_map(|broker| {
        broker.troubles.iter().map(|trouble| Incident {
            from_ms: millis(trouble.from),
            to_ms: Some(millis(trouble.to)),
            what: format!("{} {}", broker.id, trouble.name()),
        })
    });
    let moment = |at, what| Incident { from_ms: millis(at), to_ms: None, what };
    let mut consumers = profile.legacy.consumers;
    let scale = profile.scales().map(|scale| {
        let from = std::mem::replace(&mut consumers, scale.to);
        let what = if scale.to < from { "scale-in" } else { "scale-out" };
        moment(scale.at, format!("{what} {from} to {}", scale.to))
    });
    let kills = profile.kills.iter().map(|kill| moment(kill.at, "killed".to_owned()));
    let mut incidents: Vec<_> = troubles.chain(scale).chain(kills).collect();
    incidents.sort_by_key(|incident| incident.from_ms);
    incidents
}

/// The brokers as the report names them.
#[must_use]
pub fn brokers(profile: &Profile) -> Vec<BrokerInfo> {
    let info = |broker: &crate::traffic::profile::BrokerProfile| BrokerInfo {
        id: broker.id.clone(),
        about: broker.about.clone(),
        well: broker.is_well(),
    };
    profile.brokers.iter().map(info).collect()
}

/// What `profile` promises to put a system through; a run in which it did not happen proves nothing.
#[must_use]
pub fn promised(profile: &Profile, which: Which) -> Promised {
    let places = |of: fn(&crate::traffic::profile::Trouble) -> bool| {
        let troubled = (0..).zip(&profile.brokers).filter(|(_, broker)| broker.troubles.iter().any(of));
        troubled.map(|(place, _)| place).collect()
    };
    let load = &profile.load;
    Promised {
        duplicates: profile.duplicates.producer_retries > 0.0,
        faulty_records: profile.faults.garbage + profile.faults.conflicts > 0.0,
        surge: (surges(profile) && load.surge > 2.0).then(|| Surge {
            base: 0..millis(load.before),
            peak: millis(load.before + load.ramp)..millis(load.before + load.during),
        }),
        // A legacy consumer that is stuck elsewhere may never come by in the time of the trouble.
        faults: match which {
            Which::Legacy => Vec::new(),
            // A receiver that does not listen keeps no record of it, and a slow one refuses nothing.
            Which::Loadline => places(|trouble| {
                trouble.down == Some(crate::traffic::profile::Down::Hanging)
                    || trouble.limit_per_second.is_some()
                    || trouble.fail_rate > 0.0
            }),
        },
        lost_answers: match which {
            Which::Legacy => Vec::new(),
            Which::Loadline => places(|trouble| trouble.lost_answer_rate > 0.0),
        },
        kills: profile.kills.len(),
    }
}

/// The report of one system's run.
#[must_use]
pub fn system_report(profile: &Profile, mut ran: RunOutcome) -> SystemReport {
    let mut terms = Terms::new(promised(profile, ran.which));
    if ran.interrupted {
        // It need not have come to what it promises, nor to the end of what waited.
        terms = Terms::default();
        ran.evidence.brokers.iter_mut().for_each(|broker| broker.well = false);
    }
    if ran.which == Which::Legacy {
        terms = terms.without_ids();
    }
    let judgement = oracle::judge(&ran.evidence, &terms);
    let phases = phases(profile);
    let mut delays = Delays::new(phases.len(), ran.evidence.brokers.len());
    for delay in oracle::delays(&ran.evidence) {
        if let Some(phase) =
            phases.iter().position(|phase| (phase.from_ms..phase.to_ms).contains(&delay.appended_ms))
        {
            delays.add(phase, usize::from(delay.broker), delay.delay_ms);
        }
    }
    let well: Vec<bool> = ran.evidence.brokers.iter().map(|broker| broker.well).collect();
    let latency = delays.of_well(&well);
    let mut missed_goals = goals(ran.which, &phases, &latency);
    if ran.which == Which::Loadline && judgement.figures.waiting > 0 {
        let waiting = judgement.figures.waiting;
        missed_goals.push(format!(
            "{waiting} deliveries still waited when patience ended: see [settle] of the profile"
        ));
    }
    let Judgement { findings, counts, mut brokers, figures, letters, .. } = judgement;
    let faulty_letters = letters.garbage + letters.conflicts;
    for (place, broker) in brokers.iter_mut().enumerate() {
        broker.latency = delays.of(place);
    }
    SystemReport {
        name: ran.which.as_str().to_owned(),
        figures: over_time(profile, &ran, Figures { latency, faulty_letters, ..figures }),
        brokers,
        violations: findings.iter().map(ToString::to_string).take(VIOLATIONS_MAX).collect(),
        violation_count: counts.total(),
        missed_goals,
        samples: ran.samples,
    }
}

/// How many violations a report tells; all are counted.
const VIOLATIONS_MAX: usize = 100;

/// The figures that come from looking at the run over time.
fn over_time(profile: &Profile, ran: &RunOutcome, figures: Figures) -> Figures {
    let samples = &ran.samples;
    let most = |what: fn(&Sample) -> u64| samples.iter().map(what).max().unwrap_or_default();
    let held = samples.windows(2).filter(|pair| pair[0].held).map(|pair| pair[1].at_ms - pair[0].at_ms).sum();
    Figures {
        peak_lag: most(|sample| sample.lag),
        peak_age_ms: most(|sample| sample.oldest_age_ms),
        drain_ms: drain(profile, samples),
        spill_drain_ms: spill_drain(profile, samples),
        lag_at_end: samples.last().map_or(0, |sample| sample.lag),
        peak_memory: ran.memory_max,
        held_ms: held,
        settled_per_second: pace(samples),
        peak_spilled: most(|sample| sample.spilled),
        peak_late_ms: most(|sample| sample.late_ms),
        sent_again: ran.sent_again,
        stalled_ms: ran.evidence.stalls.within(&(0..u64::MAX)),
        ..figures
    }
}

/// From the end of the surge (from the start, if there is none) until the lag is gone for good.
fn drain(profile: &Profile, samples: &[Sample]) -> Option<u64> {
    let calm = (profile.load.base * CALM_SHARE).max(1.0) as u64;
    gone_for_good(profile, samples, |sample| sample.lag > calm)
}

/// The same until nothing waits on disk any more; none if nothing ever did.
fn spill_drain(profile: &Profile, samples: &[Sample]) -> Option<u64> {
    samples.iter().any(|sample| sample.spilled > 0).then_some(())?;
    gone_for_good(profile, samples, |sample| sample.spilled > 0)
}

/// From the end of the surge, or the start, until the first sample after the last that `is_there`; none if that is the
/// last of all.
fn gone_for_good(profile: &Profile, samples: &[Sample], is_there: impl Fn(&Sample) -> bool) -> Option<u64> {
    let load = &profile.load;
    let from = if surges(profile) { millis(load.before + load.during) } else { 0 };
    match samples.iter().rposition(is_there) {
        None => Some(0),
        Some(last) => samples.get(last + 1).map(|sample| sample.at_ms.saturating_sub(from)),
    }
}

/// Events settled a second, from the start until the last of them was, or the end.
fn pace(samples: &[Sample]) -> f64 {
    let Some(end) = samples.last() else { return 0.0 };
    let done = samples.iter().rposition(|sample| sample.lag > end.lag).and_then(|last| samples.get(last + 1));
    let seconds = done.unwrap_or(end).at_ms.max(1) as f64 / 1e3;
    end.appended.saturating_sub(end.lag) as f64 / seconds
}

fn goals(which: Which, phases: &[Phase], latency: &[Option<Latency>]) -> Vec<String> {
    let of = |name: &str| {
        let place = phases.iter().position(|phase| phase.name == name)?;
        latency.get(place).copied().flatten()
    };
    let (Which::Loadline, Some(mut before), Some(during)) = (which, of("before"), of("during")) else {
        return Vec::new();
    };
    // A stall at the start, when connections are made, must not make the surge look good.
    if let Some(after) = of("after").filter(|after| after.p99_ms < before.p99_ms) {
        before = after;
    }
    if during.p99_ms <= (before.p99_ms * P99_RATIO_GOAL).max(before.p99_ms + P99_FLOOR_MS) {
        return Vec::new();
    }
    vec![format!(
        "the p99 of brokers that are well was {:.0} ms during the surge and {:.0} ms at base load: more than {P99_RATIO_GOAL} times",
        during.p99_ms, before.p99_ms
    )]
}

/// Delays by phase and broker.
struct Delays {
    phases: usize,
    /// Of broker b in phase p at `b * phases + p`.
    all: Vec<Vec<u64>>,
}

impl Delays {
    fn new(phases: usize, brokers: usize) -> Self {
        Self { phases, all: vec![Vec::new(); phases * brokers] }
    }

    fn add(&mut self, phase: usize, broker: usize, delay_ms: u64) {
        self.all[broker * self.phases + phase].push(delay_ms);
    }

    fn of(&self, broker: usize) -> Vec<Option<Latency>> {
        (0..self.phases).map(|phase| latency(self.all[broker * self.phases + phase].clone())).collect()
    }

    fn of_well(&self, well: &[bool]) -> Vec<Option<Latency>> {
        let together = |phase: usize| {
            let brokers = well.iter().enumerate().filter(|(_, well)| **well);
            brokers.flat_map(|(broker, _)| self.all[broker * self.phases + phase].iter().copied()).collect()
        };
        (0..self.phases).map(|phase| latency(together(phase))).collect()
    }
}

fn latency(mut delays: Vec<u64>) -> Option<Latency> {
    let p50_ms = percentile(&mut delays, 0.5)?;
    Some(Latency { p50_ms, p99_ms: percentile(&mut delays, 0.99)? })
}

/// What `traffic` issues, if all of it is appended.
#[must_use]
pub fn issued(traffic: &Traffic) -> Issued {
    let forms = |of: fn(Form) -> bool| traffic.log.iter().filter(|entry| of(entry.form)).count() as u64;
    Issued {
        events: traffic.events.len() as u64,
        records: traffic.log.len() as u64,
        duplicates: forms(|form| matches!(form, Form::ProducerRetry | Form::Replay)),
        faulty: forms(|form| matches!(form, Form::Garbage | Form::Conflict)),
        deliveries: traffic.events.iter().map(|event| event.wanted_by.len() as u64).sum(),
    }
}

#[cfg(test)]
#[path = "figures_tests.rs"]
mod tests;
