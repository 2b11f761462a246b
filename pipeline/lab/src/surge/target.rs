//! A pipeline that already runs is put through a profile: its config says where its brokers are, and there they are
//! simulated; events are appended to its intake, and what the brokers saw is judged.
//!
//! What such a pipeline gives up or holds for later cannot be asked from here, so what was not delivered when the run
//! ends counts as lost: give it the time it needs, and no profile with records nobody may be given.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use stages::Subscription;

use super::{
    fault::{SurgeFault, TargetFault},
    run::{RunOutcome, as_appended, loadline_evidence},
    runner::{Runner, Watcher},
    sample::Sampler,
    system::Which,
};
use crate::receiver::{Fleet, ReceiverSpec, Recorder};
use crate::{
    oracle::{Evidence, Observer, index_events},
    traffic::{
        FLUVIO, KAFKA, KafkaPublisher, LogFile, Poster, Producer, ProducerFault, Publisher, RunClock,
        TopicAt, Traffic, kafka_options, produce_options,
        profile::{BrokerProfile, Profile},
    },
};
use service::config::{BrokerConfig, Config, Secret, SecretRef, SourceKind};

/// Where events are appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An intake: the URL of its `POST /events`.
    Http(String),
    /// A file the pipeline follows.
    File(PathBuf),
    /// A topic of a Fluvio cluster; none is the one the pipeline's config reads.
    Topic(Option<TopicAt>),
    /// The same of a Kafka cluster.
    KafkaTopic(Option<TopicAt>),
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

impl Target {
    /// Reads `http://…`, `file:PATH`, `fluvio:HOST:PORT/TOPIC` or `fluvio:`, and likewise `kafka:…`.
    ///
    /// # Errors
    /// [`TargetFault::Unknown`] or [`TargetFault::Topic`].
    pub fn parse(text: &str) -> Result<Self, TargetFault> {
        match text.split_once(':') {
            Some(("http" | "https", _)) => Ok(Self::Http(text.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            Some(("fluvio", "")) => Ok(Self::Topic(None)),
            Some(("fluvio", place)) => Ok(Self::Topic(Some(TopicAt::parse(place, &FLUVIO)?))),
            Some(("kafka", "")) => Ok(Self::KafkaTopic(None)),
            Some(("kafka", place)) => Ok(Self::KafkaTopic(Some(TopicAt::parse(place, &KAFKA)?))),
            _ => Err(TargetFault::Unknown(text.to_owned())),
        }
    }
}

/// The brokers of `profile` as those of `config`: by id, and otherwise in order. A broker the profile has no part
/// for is well; the profile's settings of a system that is started do not apply.
///
/// # Errors
/// [`TargetFault::Faults`].
pub fn for_brokers_of(profile: &Profile, config: &Config) -> Result<Profile, TargetFault> {
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
    Ok(Profile { brokers, scale_out: None, scale_in: None, kills: Vec::new(), ..profile.clone() })
}

/// The subscriptions of the brokers of `config`.
#[must_use]
pub fn subscriptions(config: &Config) -> Vec<Subscription> {
    config.brokers.iter().map(|broker| broker.subscription.clone()).collect()
}

/// Puts the pipeline behind `intake` through `traffic`; `profile` is the outcome of [`for_brokers_of`].
///
/// # Errors
/// [`SurgeFault`].
pub async fn run_against(
    intake: Intake<'_>,
    (profile, config): (&Profile, &Config),
    traffic: &Traffic,
    watcher: &mut dyn Watcher,
    stop: impl Future<Output = ()>,
) -> Result<RunOutcome, SurgeFault> {
    let mut stop = std::pin::pin!(stop);
    let (clock, known) = (RunClock::default(), index_events(traffic));
    let observers: Vec<_> =
        config.brokers.iter().map(|_| Arc::new(Observer::new(clock.clone(), Arc::clone(&known)))).collect();
    let brokers = config.brokers.iter().zip(&profile.brokers).zip(&observers);
    let receivers = brokers.map(|((broker, part), observer)| receiver(broker, part, observer));
    let fleet = Fleet::start(receivers.collect::<Result<_, _>>()?, profile.seed)?;
    let producer = tokio::select! {
        producer = producer(intake, config, traffic) => producer?,
        () = &mut stop => return Err(SurgeFault::Stopped),
    };
    let (appended, sent) = (producer.appended(), producer.sent());
    clock.begin();
    let brokers = fleet.begin();
    watcher.begins(Which::Loadline);
    let sampler = Sampler::new(clock.clone(), appended.clone(), observers.clone(), profile, traffic);
    let mut runner = Runner::new(profile, Which::Loadline, clock.clone(), appended.clone(), sampler);
    let interrupted = runner.play(None, producer, traffic, watcher, stop).await?;
    // What was due may have been taken even if that was not said any more; for nothing of it there was the time.
    let due = || traffic.log.partition_point(|entry| entry.at_ms <= clock.now_ms());
    let (reached, settled_to) = if interrupted { (due(), 0) } else { (appended.count(), appended.count()) };
    let _counts = brokers.stop()?;
    let received = observers.iter().map(|observer| observer.take_log());
    let brokers = config
        .brokers
        .iter()
        .zip(&profile.brokers)
        .zip(received)
        .map(|((broker, part), received)| loadline_evidence(broker, part, received));
    let evidence = Evidence {
        traffic: as_appended(traffic, &appended),
        appended: reached,
        brokers: brokers.collect(),
        dead: Vec::new(),
        spilled: Vec::new(),
        settled_to,
        kills_ms: Vec::new(),
        done: runner.done,
        ended_ms: runner.ended_ms(),
        stalls: runner.stalls,
    };
    let (samples, which) = (runner.samples, Which::Loadline);
    let sent_again = sent.map_or(0, |sent| sent.again());
    Ok(RunOutcome { which, evidence, samples, memory_max: None, interrupted, sent_again })
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
                SourceKind::File { .. } | SourceKind::Stdin | SourceKind::Http(_) | SourceKind::Kafka(_) => {
                    None
                }
            };
            let options =
                produce_options(named.as_ref(), source, intake.timeout).map_err(TargetFault::from)?;
            let publisher = Box::pin(Publisher::connect(&options, traffic)).await;
            Ok(Producer::Topic(publisher.map_err(ProducerFault::from)?))
        }
        Target::KafkaTopic(named) => {
            let source = match &config.source.kind {
                SourceKind::Kafka(source) => Some(&**source),
                SourceKind::File { .. } | SourceKind::Stdin | SourceKind::Http(_) | SourceKind::Fluvio(_) => {
                    None
                }
            };
            let options = kafka_options(named.as_ref(), source, intake.timeout).map_err(TargetFault::from)?;
            let publisher = Box::pin(KafkaPublisher::connect(options)).await.map_err(ProducerFault::from)?;
            Ok(Producer::KafkaTopic(Box::new(publisher)))
        }
    }
}

fn poster(url: &str, token: Option<&SecretRef>) -> Result<Poster, SurgeFault> {
    let token = token.map(SecretRef::resolve).transpose();
    let token: Option<Secret> =
        token.map_err(|fault| TargetFault::Secret { broker: "(the intake)".to_owned(), fault })?;
    Ok(Poster::new(url, token.as_ref()).map_err(ProducerFault::from)?)
}

fn receiver(
    broker: &BrokerConfig,
    part: &BrokerProfile,
    observer: &Arc<Observer>,
) -> Result<ReceiverSpec, TargetFault> {
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
    let recorder = Arc::clone(observer) as Arc<dyn Recorder>;
    Ok(ReceiverSpec { listen: address().ok_or_else(not_here)?, secrets, script: part.script(), recorder })
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
        for wrong in ["log.ndjson", "file:", "ftp://x", "fluvio", "kafka"] {
            assert!(matches!(Target::parse(wrong), Err(TargetFault::Unknown(_))), "{wrong}");
        }
        assert!(matches!(Target::parse("fluvio:9003"), Err(TargetFault::Topic(_))));
        assert_eq!(Target::parse("kafka:").unwrap(), Target::KafkaTopic(None));
        assert!(matches!(Target::parse("kafka:127.0.0.1:9092/a.b"), Ok(Target::KafkaTopic(Some(_)))));
        assert!(matches!(Target::parse("kafka:9092/events"), Err(TargetFault::Topic(_))));
    }
}
