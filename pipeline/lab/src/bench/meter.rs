//! The meter: the receiver as whoever measures sees it. It is set to zero, a run goes by, and it is read together with
//! what the system says of both processes.

use std::{ffi::OsString, path::Path, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    fault::BenchFault,
    report::{Run, Threads},
};
use crate::{
    process::{
        Process, talking,
        usage::{self, ThreadCpu},
    },
    receiver::ArrivalStats,
};

/// How often to ask the receiver how far it is.
const LOOK: Duration = Duration::from_millis(20);
/// How many arrivals a rate needs.
const RATED_MIN: u64 = 2;
/// How long nothing may come before the run is given up.
const STALL: Duration = Duration::from_secs(60);

/// A receiver in a process of its own.
#[derive(Debug)]
pub(super) struct Meter {
    child: Process,
    port: u16,
}

/// What a process had used when its run began.
#[derive(Clone, Debug)]
pub(super) struct Baseline {
    cpu: Option<Duration>,
    threads: Option<Vec<ThreadCpu>>,
    receiver: Option<Duration>,
}

impl Meter {
    /// Starts a receiver that answers after `delay` and tells `paths` apart.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) async fn start(
        loadline: &Path,
        dir: &Path,
        delay: Duration,
        paths: usize,
    ) -> Result<Self, BenchFault> {
        let arguments: Vec<OsString> = vec![
            "bench-part".into(),
            "receiver".into(),
            "--delay".into(),
            format!("{}ms", delay.as_millis()).into(),
            "--paths".into(),
            paths.to_string().into(),
        ];
        let mut child =
            Process::start("the receiver", talking(loadline, arguments), &dir.join("receiver.log"))?;
        let said = child.line().await?;
        let port = said.parse().map_err(|_| BenchFault::Answer {
            what: "the receiver".to_owned(),
            expected: "its port",
            said,
        })?;
        Ok(Self { child, port })
    }

    /// Where it listens, on loopback.
    #[must_use]
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Sets the meter to zero for `child`, which is up and waits.
    ///
    /// # Errors
    /// Either has gone.
    pub(super) async fn zero(&mut self, child: &mut Process) -> Result<Baseline, BenchFault> {
        child.rest().await?;
        self.child.ask("reset").await?;
        Ok(Baseline {
            cpu: usage::cpu(child.pid()),
            threads: usage::threads(child.pid()),
            receiver: usage::cpu(self.child.pid()),
        })
    }

    /// Sets the meter to zero for a process that is about to be started: what its start takes counts with the rest.
    ///
    /// # Errors
    /// The receiver has gone.
    pub(super) async fn zero_before_start(&mut self) -> Result<Baseline, BenchFault> {
        self.reset().await?;
        let nothing = Some(Duration::ZERO);
        Ok(Baseline { cpu: nothing, threads: Some(Vec::new()), receiver: usage::cpu(self.child.pid()) })
    }

    /// Forgets what has come, when what is still in its sockets has come too.
    ///
    /// # Errors
    /// The receiver has gone.
    pub(super) async fn reset(&mut self) -> Result<(), BenchFault> {
        self.child.rest().await?;
        Ok(self.child.ask("reset").await.map(drop)?)
    }

    /// Waits until `expected` requests have come, or until `time` is over if there is one and two have come.
    ///
    /// # Errors
    /// `child` has gone, or nothing has come for a minute.
    pub(super) async fn wait(
        &mut self,
        child: &mut Process,
        expected: u64,
        time: Option<Duration>,
    ) -> Result<(), BenchFault> {
        let began = Instant::now();
        let (mut before, mut at) = (0, began);
        loop {
            let count = self.total().await?.count;
            let is_over = time.is_some_and(|time| began.elapsed() >= time);
            if count >= expected || (is_over && count >= RATED_MIN) {
                return Ok(());
            }
            if count > before {
                (before, at) = (count, Instant::now());
            }
            child.drain().await;
            child.must_run()?;
            if at.elapsed() > STALL {
                return Err(child.stalled(format!("at {count} of {expected} deliveries"), STALL).into());
            }
            sleep(LOOK).await;
        }
    }

    /// What has come over all.
    ///
    /// # Errors
    /// The receiver has gone, or talks nonsense.
    pub(super) async fn total(&mut self) -> Result<ArrivalStats, BenchFault> {
        self.asked("total", "a count").await
    }

    /// What has come to each path, the others last.
    ///
    /// # Errors
    /// As [`Meter::total`].
    pub(super) async fn paths(&mut self) -> Result<Vec<ArrivalStats>, BenchFault> {
        self.asked("paths", "a list of counts").await
    }

    async fn asked<T: serde::de::DeserializeOwned>(
        &mut self,
        words: &str,
        expected: &'static str,
    ) -> Result<T, BenchFault> {
        let said = self.child.ask(words).await?;
        serde_json::from_str(&said).map_err(|_| BenchFault::Answer {
            what: "the receiver".to_owned(),
            expected,
            said,
        })
    }

    /// What the run of `child` has come to, of which the receiver saw `seen`.
    #[must_use]
    pub(super) fn read(&self, child: &Process, baseline: &Baseline, seen: ArrivalStats) -> Run {
        let per_delivery = |used: Duration| used.as_secs_f64() * 1e6 / seen.count.max(1) as f64;
        let since = |before: Option<Duration>, now: Option<Duration>| {
            before.zip(now).map(|(before, now)| per_delivery(now.saturating_sub(before)))
        };
        let threads = baseline.threads.as_ref().zip(usage::threads(child.pid()));
        let memory = usage::memory(child.pid());
        Run {
            deliveries: seen.count,
            per_second: seen.per_second(),
            cpu_micros: since(baseline.cpu, usage::cpu(child.pid())),
            receiver_cpu_micros: since(baseline.receiver, usage::cpu(self.child.pid())),
            memory_now: memory.map(|memory| memory.now),
            memory_most: memory.map(|memory| memory.most),
            threads: threads.map(|(before, now)| Threads::between(child.pid(), before, &now, per_delivery)),
        }
    }

    /// Ends the receiver.
    ///
    /// # Errors
    /// It does not end.
    pub(super) async fn end(self) -> Result<(), BenchFault> {
        Ok(self.child.end().await.map(drop)?)
    }
}
