//! One system's run: it is put through the traffic of a profile, and evidence and samples are kept.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use http::StatusCode;
use state::UnixMillis;

use super::{
    fault::SurgeFault,
    runner::{Runner, Watcher},
    sample::Sampler,
    system::{
        Alone, StateReport, System, Which, read_state, secret, write_legacy_config, write_loadline_config,
    },
};
use crate::{
    DeliveryLog,
    receiver::{Fleet, Post, ReceiverSpec, Recorder, Refusal, Taken},
};
use crate::{
    oracle::{BrokerEvidence, Evidence, Observer, ReceiverLog, index_events},
    report::Sample,
    traffic::{
        Appended, LogFile, Producer, RunClock, Traffic, millis,
        profile::{BrokerProfile, Profile},
        records_before,
    },
};
use service::config::{BrokerConfig, Config};

/// The log of what the brokers took, in the directory of the run.
const TAKEN: &str = "taken.ndjson";

/// A run that came to its end.
#[derive(Debug)]
pub struct RunOutcome {
    /// Which system.
    pub which: Which,
    /// What is known of it.
    pub evidence: Evidence,
    /// The run over time.
    pub samples: Vec<Sample>,
    /// The most memory the system had, in bytes.
    pub memory_max: Option<u64>,
    /// Whether it was asked to end before the profile's end.
    pub interrupted: bool,
    /// Batches the producer sent again because it did not know that they were taken.
    pub sent_again: u64,
}

/// Puts `which`, a process of the binary `loadline`, through `traffic` in a new directory `dir`. `stop` ends the run early.
///
/// # Errors
/// [`SurgeFault`].
pub async fn run(
    which: Which,
    profile: &Profile,
    traffic: &Traffic,
    (loadline, dir): (&Path, &Path),
    watcher: &mut dyn Watcher,
    stop: impl Future<Output = ()>,
) -> Result<RunOutcome, SurgeFault> {
    let files = |error| SurgeFault::Files { dir: dir.display().to_string(), error };
    let (clock, known) = (RunClock::default(), index_events(traffic));
    let observers: Vec<_> =
        profile.brokers.iter().map(|_| Arc::new(Observer::new(clock.clone(), Arc::clone(&known)))).collect();
    let taken = Arc::new(DeliveryLog::create(&dir.join(TAKEN)).map_err(files)?);
    let mut receivers = receivers(which, profile, &observers);
    for ((receiver, broker), observer) in receivers.iter_mut().zip(&profile.brokers).zip(&observers) {
        let (log, observer) = (Arc::clone(&taken), Arc::clone(observer));
        receiver.recorder = Arc::new(Logged { log, broker: broker.id.clone(), observer });
    }
    let fleet = Fleet::start(receivers, profile.seed)?;
    let log_path = dir.join("log.ndjson");
    let log = LogFile::create(&log_path, traffic).map_err(files)?;
    let (ends, appended) = (log.ends(), log.appended());
    let config = write_config(which, profile, dir, &log_path, &fleet.addresses).map_err(files)?;
    let config_of_loadline = match which {
        Which::Legacy => None,
        // Before it is started: here what is wrong can be told.
        Which::Loadline => {
            Some(Config::load(&config).map_err(|errors| SurgeFault::Config(errors.to_string()))?)
        }
    };
    let system = Alone::start(which, (loadline, &config), dir, ends.clone()).await?;
    let mut system = System::Alone(Box::new(system));
    clock.begin();
    let brokers = fleet.begin();
    watcher.begins(which);
    let sampler = Sampler::new(clock.clone(), appended.clone(), observers.clone(), profile, traffic);
    let mut runner = Runner::new(profile, which, clock, appended.clone(), sampler);
    let interrupted = runner.play(Some(&mut system), Producer::File(log), traffic, watcher, stop).await?;
    let stopped = system.stop().await?;
    let _counts = brokers.stop()?;
    taken.finish().map_err(files)?;
    let report = match &config_of_loadline {
        None => StateReport { settled_to: None, ..StateReport::default() },
        Some(config) => read_state(config, traffic)?,
    };
    let settled_to = match report.settled_to {
        Some(byte) => records_before(&ends, byte),
        None => usize::try_from(stopped.status.settled_to).unwrap_or(usize::MAX).min(appended.count()),
    };
    let received = observers.iter().map(|observer| observer.take_log());
    let brokers = match &config_of_loadline {
        None => profile
            .brokers
            .iter()
            .zip(received)
            .map(|(part, received)| legacy_evidence(profile, part, received))
            .collect(),
        Some(config) => {
            let agreed = config.brokers.iter().zip(&profile.brokers).zip(received);
            agreed.map(|((broker, part), received)| loadline_evidence(broker, part, received)).collect()
        }
    };
    let evidence = Evidence {
        traffic: as_appended(traffic, &appended),
        appended: appended.count(),
        brokers,
        dead: report.dead,
        spilled: report.spilled,
        settled_to,
        done: runner.done,
        ended_ms: runner.ended_ms(),
        kills_ms: runner.kills,
        stalls: runner.stalls,
    };
    Ok(RunOutcome {
        which,
        evidence,
        samples: runner.samples,
        memory_max: stopped.memory_max,
        interrupted,
        sent_again: 0,
    })
}

/// An observer that also writes what its broker took into a log, in one order.
struct Logged {
    log: Arc<DeliveryLog>,
    broker: String,
    observer: Arc<Observer>,
}

impl Recorder for Logged {
    fn taken(&self, taken: &Taken<'_>) {
        self.log.add(&self.broker, taken.body, None, || self.observer.taken(taken));
    }

    fn answered(&self, taken: &Taken<'_>, status: StatusCode) {
        self.observer.answered(taken, status);
    }

    fn posted(&self, post: Post<'_>, status: Option<StatusCode>) {
        self.observer.posted(post, status);
    }

    fn turned_away(&self, at: UnixMillis, path: &str, why: Refusal) {
        self.observer.turned_away(at, path, why);
    }
}

/// What was agreed with a broker of the legacy model, which keeps to no quota, and what its receiver saw.
pub(super) fn legacy_evidence(
    profile: &Profile,
    part: &BrokerProfile,
    received: ReceiverLog,
) -> BrokerEvidence {
    BrokerEvidence {
        id: part.id.clone(),
        rate: part.rate,
        burst: part.burst.unwrap_or(part.rate.ceil() as u32),
        timeout_ms: millis(profile.legacy.timeout),
        well: part.is_well(),
        received,
    }
}

/// What Loadline's config says was agreed with `broker`, whose part in the run is `part`, and what its receiver saw.
pub(super) fn loadline_evidence(
    broker: &BrokerConfig,
    part: &BrokerProfile,
    received: ReceiverLog,
) -> BrokerEvidence {
    BrokerEvidence {
        id: broker.id.clone(),
        rate: broker.rate,
        burst: broker.burst,
        timeout_ms: millis(broker.timeout),
        well: part.is_well(),
        received,
    }
}

pub(super) fn receivers(which: Which, profile: &Profile, observers: &[Arc<Observer>]) -> Vec<ReceiverSpec> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let secrets = |id: &str| match which {
        Which::Legacy => Vec::new(),
        Which::Loadline => vec![secret(id)],
    };
    let brokers = profile.brokers.iter().zip(observers);
    let receivers = brokers.map(|(broker, observer)| ReceiverSpec {
        listen: any,
        secrets: secrets(&broker.id),
        script: broker.script(),
        recorder: Arc::clone(observer) as Arc<dyn Recorder>,
    });
    receivers.collect()
}

fn write_config(
    which: Which,
    profile: &Profile,
    dir: &Path,
    log: &Path,
    addresses: &[SocketAddr],
) -> io::Result<PathBuf> {
    match which {
        Which::Legacy => write_legacy_config(dir, log, profile, addresses),
        Which::Loadline => write_loadline_config(dir, profile, addresses),
    }
}

/// The traffic with the times at which it really was appended; what was not keeps the time at which it was due.
pub(super) fn as_appended(traffic: &Traffic, appended: &Appended) -> Traffic {
    let mut traffic = traffic.clone();
    for (entry, at_ms) in traffic.log.iter_mut().zip(appended.times()) {
        entry.at_ms = at_ms.unwrap_or(entry.at_ms);
    }
    traffic
}
