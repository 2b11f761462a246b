//! One system's run: profile and traffic enter, the system is put through them, and evidence and samples leave.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use state::StateFault;

use super::{
    evidence::{self, Evidence},
    millis,
    play::{Appended, LogFile, Producer, ProducerFault, records_before},
    profile::{BrokerProfile, Profile},
    report::Sample,
    sample::Sampler,
    sighting::Witnessed,
    stage::{Stage, Watcher},
    system::{
        Book, System, SystemFault, Which, read_book, secret, write_legacy_config, write_loadline_config,
    },
    target::TargetFault,
    traffic::Traffic,
    witness::{RunClock, Witness, known},
};
use crate::{
    config::Config,
    receive::{Fleet, FleetFault, Part, Recorder},
};

/// Why a run failed. That the system did badly is no failure of the run.
#[derive(Debug, thiserror::Error)]
pub enum SurgeFault {
    /// The brokers could not be simulated.
    #[error(transparent)]
    Fleet(#[from] FleetFault),
    /// The system could not be run.
    #[error(transparent)]
    System(#[from] SystemFault),
    /// A file of the run could not be written or read.
    #[error("the run's directory {dir}: {error}")]
    Files {
        /// The directory.
        dir: String,
        /// The system's words.
        error: io::Error,
    },
    /// The profile makes a config Loadline does not take.
    #[error("the profile's [loadline] section: {0}")]
    Config(String),
    /// What Loadline left behind cannot be read.
    #[error("the state directory after the run: {0}")]
    State(#[from] StateFault),
    /// The producer came to grief.
    #[error(transparent)]
    Producer(#[from] ProducerFault),
    /// The pipeline that runs already cannot be put through it.
    #[error(transparent)]
    Target(#[from] TargetFault),
    /// It was asked to end while it waited for what it appends to.
    #[error("the run was stopped before it began")]
    Stopped,
}

/// A run that came to its end.
#[derive(Debug)]
pub struct Ran {
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
) -> Result<Ran, SurgeFault> {
    let files = |error| SurgeFault::Files { dir: dir.display().to_string(), error };
    let (clock, known) = (RunClock::default(), known(traffic));
    let witnesses: Vec<_> =
        profile.brokers.iter().map(|_| Arc::new(Witness::new(clock.clone(), Arc::clone(&known)))).collect();
    let fleet = Fleet::start(parts(which, profile, &witnesses), profile.seed)?;
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
    let mut system = System::start(which, (loadline, &config), dir, ends.clone()).await?;
    clock.begin();
    let brokers = fleet.begin();
    watcher.begins(which);
    let sampler = Sampler::new(clock.clone(), appended.clone(), witnesses.clone(), profile, traffic);
    let mut stage = Stage::new(profile, which, clock, appended.clone(), sampler);
    let interrupted = stage.play(Some(&mut system), Producer::File(log), traffic, watcher, stop).await?;
    let stopped = system.stop().await?;
    let _counts = brokers.stop()?;
    let book = match &config_of_loadline {
        None => Book { settled_to: None, ..Book::default() },
        Some(config) => read_book(config, traffic)?,
    };
    let settled_to = match book.settled_to {
        Some(byte) => records_before(&ends, byte),
        None => usize::try_from(stopped.heard.settled_to).unwrap_or(usize::MAX).min(appended.count()),
    };
    let saw = witnesses.iter().map(|witness| witness.testify());
    let brokers = match &config_of_loadline {
        None => profile.brokers.iter().zip(saw).map(|(part, saw)| of_legacy(profile, part, saw)).collect(),
        Some(config) => {
            let cast = config.brokers.iter().zip(&profile.brokers).zip(saw);
            cast.map(|((broker, part), saw)| evidence::Witness::of(broker, part, saw)).collect()
        }
    };
    let evidence = Evidence {
        traffic: as_appended(traffic, &appended),
        appended: appended.count(),
        brokers,
        dead: book.dead,
        spilled: book.spilled,
        settled_to,
        done: stage.done,
        ended_ms: stage.ended_ms(),
        kills_ms: stage.kills,
        stalls: stage.stalls,
    };
    Ok(Ran {
        which,
        evidence,
        samples: stage.samples,
        memory_max: stopped.memory_max,
        interrupted,
        sent_again: 0,
    })
}

/// What was agreed with a broker of the legacy model, which keeps to no quota, and what its receiver saw.
fn of_legacy(profile: &Profile, part: &BrokerProfile, saw: Witnessed) -> evidence::Witness {
    evidence::Witness {
        id: part.id.clone(),
        rate: part.rate,
        burst: part.burst.unwrap_or(part.rate.ceil() as u32),
        timeout_ms: millis(profile.legacy.timeout),
        well: part.is_well(),
        saw,
    }
}

fn parts(which: Which, profile: &Profile, witnesses: &[Arc<Witness>]) -> Vec<Part> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let secrets = |id: &str| match which {
        Which::Legacy => Vec::new(),
        Which::Loadline => vec![secret(id)],
    };
    let cast = profile.brokers.iter().zip(witnesses);
    let parts = cast.map(|(broker, witness)| Part {
        listen: any,
        secrets: secrets(&broker.id),
        script: broker.script(),
        recorder: Arc::clone(witness) as Arc<dyn Recorder>,
    });
    parts.collect()
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
