//! The runner on which a run is played: the producer appends, actions are done to the system in their time, and the run is
//! sampled until all has settled.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    fault::SurgeFault,
    sample::Sampler,
    system::{System, Which},
};
use crate::{
    oracle::Stalls,
    process::ProcessFault,
    report::Sample,
    traffic::{Appended, Producer, ProducerFault, RunClock, Traffic, millis, profile::Profile},
};

/// How often the run is looked at: ten points a second are as many as a plot of a minute can show.
const LOOK: Duration = Duration::from_millis(100);

/// Is shown each sample as it is taken.
pub trait Watcher {
    /// A system's run begins.
    fn begins(&mut self, which: Which);
    /// A sample was taken; `lasts_ms` is how long events are appended.
    fn sees(&mut self, sample: &Sample, lasts_ms: u64);
}

/// What is done to the system, and when.
#[derive(Clone, Copy, Debug)]
enum Action {
    Scale(u32),
    Kill,
}

/// One system's way through a profile.
pub(super) struct Runner<'s> {
    profile: &'s Profile,
    which: Which,
    clock: RunClock,
    appended: Appended,
    sampler: Sampler,
    /// The run over time.
    pub(super) samples: Vec<Sample>,
    /// When the system was killed, in milliseconds from the start.
    pub(super) kills: Vec<u64>,
    /// When the simulator itself was not let run.
    pub(super) stalls: Stalls,
    /// Whether the system has said that nothing is left to do.
    pub(super) done: bool,
}

impl<'s> Runner<'s> {
    pub(super) fn new(
        profile: &'s Profile,
        which: Which,
        clock: RunClock,
        appended: Appended,
        sampler: Sampler,
    ) -> Self {
        let (samples, kills, stalls) = (Vec::new(), Vec::new(), Stalls::default());
        Self { profile, which, clock, appended, sampler, samples, kills, stalls, done: false }
    }

    /// Plays until all has settled, the profile's patience ends, or `stop`; true if it was stopped.
    pub(super) async fn play(
        &mut self,
        system: Option<&mut System>,
        log: Producer,
        traffic: &Traffic,
        watcher: &mut dyn Watcher,
        stop: impl Future<Output = ()>,
    ) -> Result<bool, SurgeFault> {
        let (clock, mut stalls) = (self.clock.clone(), Stalls::default());
        let played = tokio::select! {
            never = stalls.watch(&clock) => match never {},
            played = self.run(system, log, traffic, watcher, stop) => played,
        };
        self.stalls = stalls;
        played
    }

    async fn run(
        &mut self,
        mut system: Option<&mut System>,
        mut log: Producer,
        traffic: &Traffic,
        watcher: &mut dyn Watcher,
        stop: impl Future<Output = ()>,
    ) -> Result<bool, SurgeFault> {
        let mut stop = std::pin::pin!(stop);
        let (clock, all) = (self.clock.clone(), traffic.log.len());
        let shared = Arc::new(traffic.clone());
        let mut producer = tokio::spawn(async move { log.play(&shared, &clock).await });
        let mut actions = self.actions();
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut producing = true;
        let mut patience: Option<Instant> = None;
        let mut calm = 0;
        loop {
            tokio::select! {
                () = &mut stop => {
                    producer.abort();
                    return Ok(true);
                }
                produced = &mut producer, if producing => {
                    producing = false;
                    match produced {
                        Ok(Ok(())) => patience = Some(Instant::now() + self.patience()),
                        Ok(Err(fault)) => return Err(fault.into()),
                        Err(_) => return Err(ProducerFault::Ended.into()),
                    }
                }
                _ = ticks.tick() => {
                    let sample = match system.as_deref_mut() {
                        Some(system) => {
                            system.must_run()?;
                            self.sampler.sample(&system.status(), system.memory())
                        }
                        None => self.sampler.sample_receipts(),
                    };
                    watcher.sees(&sample, self.lasts_ms());
                    let done = self.appended.count() == all && sample.lag + sample.in_flight + sample.spilled == 0;
                    calm = if done { calm + 1 } else { 0 };
                    self.samples.push(sample);
                }
            }
            while actions.first().is_some_and(|(at_ms, _)| *at_ms <= self.clock.now_ms()) {
                let action = actions.remove(0).1;
                if let Some(system) = system.as_deref_mut() {
                    self.apply(action, system).await?;
                }
            }
            // Twice in a row: what it says may be a moment old.
            if !producing
                && actions.is_empty()
                && (calm > 1 || patience.is_some_and(|end| end <= Instant::now()))
            {
                self.done = calm > 1;
                return Ok(false);
            }
        }
    }

    /// When it was looked at last, in milliseconds from the start.
    pub(super) fn ended_ms(&self) -> u64 {
        self.samples.last().map_or(0, |sample| sample.at_ms)
    }

    fn lasts_ms(&self) -> u64 {
        millis(self.profile.length())
    }

    fn patience(&self) -> Duration {
        match self.which {
            Which::Legacy => self.profile.settle.legacy,
            Which::Loadline => self.profile.settle.loadline,
        }
    }

    fn actions(&self) -> Vec<(u64, Action)> {
        let scale = self.profile.scales().map(|scale| (millis(scale.at), Action::Scale(scale.to)));
        let kills = self.profile.kills.iter().map(|kill| (millis(kill.at), Action::Kill));
        let mut actions: Vec<_> = scale.chain(kills).collect();
        actions.sort_by_key(|(at_ms, _)| *at_ms);
        actions
    }

    async fn apply(&mut self, action: Action, system: &mut System) -> Result<(), ProcessFault> {
        match action {
            Action::Scale(consumers) => system.scale(consumers).await,
            Action::Kill => {
                self.kills.push(self.clock.now_ms());
                system.kill().await
            }
        }
    }
}
