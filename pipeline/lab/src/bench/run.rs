//! One run of one contestant: it is started and comes to rest, the meter is set to zero, the work is given, and when all
//! of it has arrived the meter is read. Figures of Loadline come only from runs that delivered exactly what they should.

use std::{ffi::OsString, path::Path, time::Duration};

use rustix::process::Signal;
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::{
    configs::{Settings, put_log, urls, write_legacy, write_loadline},
    fault::BenchFault,
    meter::Meter,
    report::Run,
    workload::Workload,
};
use crate::process::{PATIENCE, Process, talking, usage};

/// How often to look whether a process is up.
const LOOK: Duration = Duration::from_millis(10);

/// How long it may take to go through its ledger: several times what ten million entries take.
const FILTER_MAX: Duration = Duration::from_secs(300);

/// How often Loadline says how it is: so seldom that it costs nothing. It says so at all because a run ends when nobody
/// hears it any more, and so does not outlive whoever measures.
const STATUS_EVERY: &str = "10s";

/// What is delivered, and where its log stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work<'w> {
    /// The events, and who gets them.
    pub workload: &'w Workload,
    /// The log.
    pub events: &'w Path,
}

/// What a contestant has for its run.
#[derive(Debug)]
pub(super) struct Turn<'t> {
    /// The `loadline` to run.
    pub program: &'t Path,
    /// The run's directory.
    pub dir: &'t Path,
    /// What measures the run.
    pub meter: &'t mut Meter,
    /// What is to be done.
    pub work: Work<'t>,
}

/// What Loadline says at the end of a run.
#[derive(Debug, Deserialize)]
struct Summary {
    delivered: u64,
    duplicates: u64,
    dead_letters: u64,
    brokers: Vec<BrokerSummary>,
}

#[derive(Debug, Deserialize)]
struct BrokerSummary {
    delivered: u64,
    waiting: u64,
}

impl Turn<'_> {
    /// The same turn, for a run after which the meter is still needed.
    pub(super) fn reborrow(&mut self) -> Turn<'_> {
        Turn { program: self.program, dir: self.dir, meter: self.meter, work: self.work }
    }

    /// Where the brokers are.
    pub(super) fn urls(&self) -> Vec<String> {
        urls(self.meter.port(), self.work.workload.brokers())
    }

    /// Runs reqwest alone, with or without signatures.
    ///
    /// # Errors
    /// It fails, or a request does.
    pub(super) async fn bare(self, concurrency: usize, sign: bool) -> Result<Run, BenchFault> {
        let Self { program, dir, meter, work } = self;
        let what = if sign { "bare reqwest that signs" } else { "bare reqwest" };
        let mut arguments: Vec<OsString> = vec!["bench-part".into(), "client".into()];
        let numbers = [
            ("--port", usize::from(meter.port())),
            ("--brokers", work.workload.brokers()),
            ("--concurrency", concurrency),
        ];
        for (name, number) in numbers {
            arguments.extend([name.into(), number.to_string().into()]);
        }
        arguments.extend(["--events".into(), work.events.into()]);
        if sign {
            arguments.push("--sign".into());
        }
        let mut child = Process::start(what, talking(program, arguments), &dir.join("client.log"))?;
        child.line().await?;
        let baseline = meter.zero(&mut child).await?;
        child.say("go").await?;
        let expected = work.workload.deliveries();
        meter.wait(&mut child, expected, None).await?;
        let posted = child.line().await?;
        child.rest().await?;
        let seen = meter.total().await?;
        let run = meter.read(&child, &baseline, seen);
        child.end().await?;
        if posted.parse() != Ok(expected) || run.deliveries != expected {
            let counts = format!("{posted} posted, {} arrived, {expected} to be delivered", run.deliveries);
            return Err(BenchFault::Inexact { what: what.to_owned(), counts });
        }
        Ok(run)
    }

    /// Runs the legacy model for `time`, or until it has delivered everything.
    ///
    /// # Errors
    /// It fails, or nothing arrives.
    pub(super) async fn legacy(self, consumers: u32, time: Duration) -> Result<Run, BenchFault> {
        let what = "the legacy model";
        let config = write_legacy(self.dir, self.work.workload, &self.urls(), consumers)?;
        let Self { program, dir, meter, work } = self;
        let arguments = ["legacy".into(), config.into_os_string(), "--every".into(), "200ms".into()];
        let mut child = Process::start(what, talking(program, arguments), &dir.join("legacy.log"))?;
        child.line().await?;
        let baseline = meter.zero(&mut child).await?;
        put_log(dir, work.events)?;
        meter.wait(&mut child, work.workload.deliveries(), Some(time)).await?;
        let seen = meter.total().await?;
        let run = meter.read(&child, &baseline, seen);
        child.say("stop").await?;
        child.end().await?;
        if run.per_second.is_none() {
            let counts = format!("{} arrived within {time:?}", run.deliveries);
            return Err(BenchFault::Inexact { what: what.to_owned(), counts });
        }
        Ok(run)
    }

    /// Runs Loadline over the whole of the work.
    ///
    /// # Errors
    /// It fails, or does not deliver exactly what it should.
    pub(super) async fn loadline(self, settings: &Settings) -> Result<Run, BenchFault> {
        let urls = self.urls();
        self.loadline_to(&urls, None, settings).await
    }

    /// As [`loadline`](Self::loadline), with the brokers at `urls`, of which `dead` takes nothing.
    ///
    /// # Errors
    /// As [`loadline`](Self::loadline).
    pub(super) async fn loadline_to(
        self,
        urls: &[String],
        dead: Option<usize>,
        settings: &Settings,
    ) -> Result<Run, BenchFault> {
        let Self { program, dir, meter, work } = self;
        let config = write_loadline(dir, work.workload, urls, settings)?;
        let mut running = Loadline::start(program, dir, &config, settings).await?;
        running.filter_is_full().await?;
        let baseline = meter.zero(running.child()).await?;
        put_log(dir, work.events)?;
        let lost = dead.map_or(0, |_| work.workload.share());
        let expected = work.workload.deliveries() - lost;
        meter.wait(running.child(), expected, None).await?;
        running.child().rest().await?;
        let seen = meter.total().await?;
        let run = meter.read(running.child(), &baseline, seen);
        if run.deliveries != expected {
            let counts = format!("{} arrived, {expected} to be delivered", run.deliveries);
            return Err(BenchFault::Inexact { what: "loadline".to_owned(), counts });
        }
        running.stop(expected, dead).await?;
        Ok(run)
    }
}

/// A Loadline process that is up and waits for its log.
#[derive(Debug)]
pub(super) struct Loadline {
    child: Process,
}

impl Loadline {
    /// Starts it with the config at `config` and waits until it answers at its admin socket.
    ///
    /// # Errors
    /// It does not come up.
    pub(super) async fn start(
        loadline: &Path,
        dir: &Path,
        config: &Path,
        settings: &Settings,
    ) -> Result<Self, BenchFault> {
        let mut arguments: Vec<OsString> = vec!["--json".into(), "run".into(), config.into()];
        arguments.extend(["--status-every".into(), STATUS_EVERY.into()]);
        let mut child = Process::start("loadline", talking(loadline, arguments), &dir.join("loadline.log"))?;
        let socket = dir.join(&settings.state).join("admin.sock");
        let end = Instant::now() + PATIENCE;
        // One that an earlier run has left refuses.
        while tokio::net::UnixStream::connect(&socket).await.is_err() {
            child.must_run()?;
            if Instant::now() > end {
                return Err(child.stalled("before it is up", PATIENCE).into());
            }
            sleep(LOOK).await;
        }
        Ok(Self { child })
    }

    /// Waits until it has gone through its ledger, which it does beside its work: what that costs belongs to the start,
    /// not to the deliveries that happen to come meanwhile.
    ///
    /// # Errors
    /// It ends, or takes too long.
    pub(super) async fn filter_is_full(&mut self) -> Result<(), BenchFault> {
        let end = Instant::now() + FILTER_MAX;
        let is_filling =
            |pid| usage::threads(pid).is_some_and(|all| all.iter().any(|one| one.name == "filter"));
        while is_filling(self.child.pid()) {
            self.child.must_run()?;
            if Instant::now() > end {
                return Err(self.child.stalled("before it has gone through its ledger", FILTER_MAX).into());
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Its process.
    pub(super) fn child(&mut self) -> &mut Process {
        &mut self.child
    }

    /// Ends it without notice, and waits until it is gone.
    ///
    /// # Errors
    /// It cannot be killed.
    pub(super) async fn kill(mut self) -> Result<(), BenchFault> {
        Ok(self.child.kill().await?)
    }

    /// Stops it in good order, and checks that it has delivered exactly `expected`, that there are no dead letters, and
    /// that nothing waits for a broker but those in `dead`.
    ///
    /// # Errors
    /// It does not end well, or the counts are others.
    pub(super) async fn stop(self, expected: u64, dead: Option<usize>) -> Result<(), BenchFault> {
        self.child.signal(Signal::TERM);
        let what = self.child.what().to_owned();
        let said = self.child.end().await?;
        let summary: Summary = match serde_json::from_str(&said) {
            Ok(summary) => summary,
            Err(_) => return Err(BenchFault::Answer { what, expected: "a summary", said }),
        };
        let waiting: u64 = (0..)
            .zip(&summary.brokers)
            .filter(|(broker, _)| Some(*broker) != dead)
            .map(|(_, summary)| summary.waiting)
            .sum();
        let to_dead = dead.and_then(|dead| summary.brokers.get(dead)).map_or(0, |dead| dead.delivered);
        let Summary { delivered, duplicates, dead_letters, .. } = summary;
        if delivered == expected && duplicates == 0 && dead_letters == 0 && waiting == 0 && to_dead == 0 {
            return Ok(());
        }
        let counts = format!(
            "{delivered} of {expected} delivered, {duplicates} duplicates, {dead_letters} dead letters, {waiting} left \
             on disk"
        );
        Err(BenchFault::Inexact { what, counts })
    }
}
