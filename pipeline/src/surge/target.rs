//! A pipeline that already runs is put through a profile: its config says where its brokers are, and there they are
//! simulated; events are appended to its intake, and what the brokers saw is judged.
//!
//! What such a pipeline gives up or holds for later cannot be asked from here, so what was not delivered when the run
//! ends counts as lost: give it the time it needs, and no profile with records nobody may be given.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use stages::models::Subscription;

use super::{
    evidence::{self, Evidence},
    play::{LogFile, Producer, ProducerFault},
    post::Poster,
    profile::{BrokerProfile, Profile},
    publish::Publisher,
    run::{Ran, SurgeFault, as_appended},
    sample::Sampler,
    stage::{Stage, Watcher},
    system::Which,
    topic::{TopicAt, TopicFault, options},
    traffic::Traffic,
    witness::{RunClock, Witness, known},
};
use crate::{
    config::{BrokerConfig, Config, Secret, SecretFault, SecretRef, SourceKind},
    receive::{Fleet, Part, Recorder},
};

/// Where events are appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An intake: the URL of its `POST /events`.
    Http(String),
    /// A file the pipeline follows.
    File(PathBuf),
    /// A topic of a Fluvio cluster; none is the one the pipeline's config reads.
    Topic(Option<TopicAt>),
}

/// How events are appended.
#[derive(Clone, Copy, Debug)]
pub struct Intake<'a> {
    /// Where.
    pub target: &'a Target,
    /// The token an intake asks for.
    pub token: Option<&'a SecretRef>,
    /// How long a cluster may take nothing before the run is given up.
    pub timeout: Duration,
}

/// Why a pipeline cannot be put through a profile.
#[derive(Debug, thiserror::Error)]
pub enum TargetFault {
    /// It is not known what to append to.
    #[error(
        "--target {0} is neither http://…, file:PATH, fluvio:HOST:PORT/TOPIC nor fluvio: for the config's own topic"
    )]
    Unknown(String),
    /// It is no topic.
    #[error(transparent)]
    Topic(#[from] TopicFault),
    /// A broker is somewhere else.
    #[error(
        "broker {broker} is at {url}: only an address of this machine and a port, over http, can be simulated"
    )]
    NotHere {
        /// The broker.
        broker: String,
        /// Its URL.
        url: String,
    },
    /// A secret cannot be had.
    #[error("a secret of broker {broker} {fault}")]
    Secret {
        /// The broker.
        broker: String,
        /// Why.
        fault: SecretFault,
    },
    /// Its dead letters would have to be known.
    #[error(
        "the profile has records nobody may be given: their dead letters cannot be seen from here, choose another"
    )]
    Faults,
}

impl Target {
    /// Reads `http://…`, `file:PATH`, `fluvio:HOST:PORT/TOPIC` or `fluvio:`.
    ///
    /// # Errors
    /// [`TargetFault::Unknown`] or [`TargetFault::Topic`].
    pub fn parse(text: &str) -> Result<Self, TargetFault> {
        match text.split_once(':') {
            Some(("http" | "https", _)) => Ok(Self::Http(text.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            Some(("fluvio", "")) => Ok(Self::Topic(None)),
            Some(("fluvio", place)) => Ok(Self::Topic(Some(TopicAt::parse(place)?))),
            _ => Err(TargetFault::Unknown(text.to_owned())),
        }
    }
}

/// The cast of `profile` as the brokers of `config`: by id, and otherwise in order. A broker the profile has no part
/// for is well; the profile's settings of a system that is started do not apply.
///
/// # Errors
/// [`TargetFault::Faults`].
pub fn cast(profile: &Profile, config: &Config) -> Result<Profile, TargetFault> {
    if profile.faults.garbage + profile.faults.conflicts > 0.0 {
        return Err(TargetFault::Faults);
    }
    let named = |id: &str| config.brokers.iter().any(|broker| broker.id == id);
    let mut spare = profile.brokers.iter().filter(|part| !named(&part.id));
    let brokers = config.brokers.iter().map(|broker| {
        let part = profile.brokers.iter().find(|part| part.id == broker.id).or_else(|| spare.next());
        let usual = || BrokerProfile::well(&broker.id, Duration::from_millis(3));
        BrokerProfile {
            id: broker.id.clone(),
            rate: broker.rate,
            burst: Some(broker.burst),
            ..part.cloned().unwrap_or_else(usual)
        }
    });
    let brokers = brokers.collect();
    Ok(Profile { brokers, scale_out: None, kills: Vec::new(), ..profile.clone() })
}

/// The subscriptions of the brokers of `config`.
#[must_use]
pub fn subscriptions(config: &Config) -> Vec<Subscription> {
    config.brokers.iter().map(|broker| broker.subscription.clone()).collect()
}

/// Puts the pipeline behind `intake` through `traffic`; `profile` is its [`cast`].
///
/// # Errors
/// [`SurgeFault`].
pub async fn run_against(
    intake: Intake<'_>,
    (profile, config): (&Profile, &Config),
    traffic: &Traffic,
    watcher: &mut dyn Watcher,
    stop: impl Future<Output = ()>,
) -> Result<Ran, SurgeFault> {
    let mut stop = std::pin::pin!(stop);
    let (clock, known) = (RunClock::default(), known(traffic));
    let witnesses: Vec<_> =
        config.brokers.iter().map(|_| Arc::new(Witness::new(clock.clone(), Arc::clone(&known)))).collect();
    let cast = config.brokers.iter().zip(&profile.brokers).zip(&witnesses);
    let parts = cast.map(|((broker, part), witness)| part_of(broker, part, witness));
    let fleet = Fleet::start(parts.collect::<Result<_, _>>()?, profile.seed)?;
    let producer = tokio::select! {
        producer = producer(intake, config, traffic) => producer?,
        () = &mut stop => return Err(SurgeFault::Stopped),
    };
    let (appended, sent) = (producer.appended(), producer.sent());
    clock.begin();
    let brokers = fleet.begin();
    watcher.begins(Which::Loadline);
    let sampler = Sampler::new(clock.clone(), appended.clone(), witnesses.clone(), profile, traffic);
    let mut stage = Stage::new(profile, Which::Loadline, clock.clone(), appended.clone(), sampler);
    let interrupted = stage.play(None, producer, traffic, watcher, stop).await?;
    // What was due may have been taken even if that was not said any more; for nothing of it there was the time.
    let due = || traffic.log.partition_point(|entry| entry.at_ms <= clock.now_ms());
    let (reached, settled_to) = if interrupted { (due(), 0) } else { (appended.count(), appended.count()) };
    let _counts = brokers.stop()?;
    let saw = witnesses.iter().map(|witness| witness.testify());
    let brokers = config
        .brokers
        .iter()
        .zip(&profile.brokers)
        .zip(saw)
        .map(|((broker, part), saw)| evidence::Witness::of(broker, part, saw));
    let evidence = Evidence {
        traffic: as_appended(traffic, &appended),
        appended: reached,
        brokers: brokers.collect(),
        dead: Vec::new(),
        spilled: Vec::new(),
        settled_to,
        kills_ms: Vec::new(),
        done: stage.done,
        ended_ms: stage.ended_ms(),
        stalls: stage.stalls,
    };
    let (samples, which) = (stage.samples, Which::Loadline);
    let sent_again = sent.map_or(0, |sent| sent.again());
    Ok(Ran { which, evidence, samples, memory_max: None, interrupted, sent_again })
}

/// Whoever appends; a cluster that is away is waited for.
async fn producer(intake: Intake<'_>, config: &Config, traffic: &Traffic) -> Result<Producer, SurgeFault> {
    match intake.target {
        Target::Http(url) => Ok(Producer::Http(poster(url, intake.token)?)),
        Target::File(path) => {
            let files = |error| SurgeFault::Files { dir: path.display().to_string(), error };
            Ok(Producer::File(LogFile::extend(path, traffic).map_err(files)?))
        }
        Target::Topic(named) => {
            let source = match &config.source.kind {
                SourceKind::Fluvio(source) => Some(source),
                SourceKind::File { .. } | SourceKind::Stdin | SourceKind::Http(_) => None,
            };
            let options = options(named.as_ref(), source, intake.timeout).map_err(TargetFault::from)?;
            let publisher = Box::pin(Publisher::connect(&options, traffic)).await;
            Ok(Producer::Topic(publisher.map_err(ProducerFault::from)?))
        }
    }
}

fn poster(url: &str, token: Option<&SecretRef>) -> Result<Poster, SurgeFault> {
    let token = token.map(SecretRef::resolve).transpose();
    let token: Option<Secret> =
        token.map_err(|fault| TargetFault::Secret { broker: "(the intake)".to_owned(), fault })?;
    Ok(Poster::new(url, token.as_ref()).map_err(ProducerFault::from)?)
}

fn part_of(broker: &BrokerConfig, part: &BrokerProfile, witness: &Arc<Witness>) -> Result<Part, TargetFault> {
    let secrets = broker.secrets.iter().map(|secret| Ok(secret.resolve()?.expose().to_owned()));
    let secrets = secrets
        .collect::<Result<_, _>>()
        .map_err(|fault| TargetFault::Secret { broker: broker.id.clone(), fault })?;
    let address = || {
        let ip = match broker.url.host()? {
            url::Host::Ipv4(ip) if ip.is_loopback() => ip.into(),
            url::Host::Ipv6(ip) if ip.is_loopback() => ip.into(),
            _ => return None,
        };
        (broker.url.scheme() == "http").then_some(SocketAddr::new(ip, broker.url.port_or_known_default()?))
    };
    let not_here = || TargetFault::NotHere { broker: broker.id.clone(), url: broker.url.as_str().to_owned() };
    let recorder = Arc::clone(witness) as Arc<dyn Recorder>;
    Ok(Part { listen: address().ok_or_else(not_here)?, secrets, script: part.script(), recorder })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_url_a_file_or_a_topic() {
        let http = "http://127.0.0.1:8080/events";
        assert_eq!(Target::parse(http).unwrap(), Target::Http(http.to_owned()));
        assert_eq!(Target::parse("file:log.ndjson").unwrap(), Target::File("log.ndjson".into()));
        assert_eq!(Target::parse("fluvio:").unwrap(), Target::Topic(None));
        let there = TopicAt { endpoint: "127.0.0.1:9003".to_owned(), topic: "events".to_owned() };
        assert_eq!(Target::parse("fluvio:127.0.0.1:9003/events").unwrap(), Target::Topic(Some(there)));
        for wrong in ["log.ndjson", "file:", "ftp://x", "fluvio", "kafka:9092/events"] {
            assert!(matches!(Target::parse(wrong), Err(TargetFault::Unknown(_))), "{wrong}");
        }
        assert!(matches!(Target::parse("fluvio:9003"), Err(TargetFault::Topic(_))));
    }
}
