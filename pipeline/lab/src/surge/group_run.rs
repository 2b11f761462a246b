//! A system's run as a consumer group on a Kafka cluster: the run makes a topic of its own, the members are processes,
//! and at the end all that was made is removed.
//!
//! Both systems are looked at from outside: the lag is what is acknowledged to the producer and not committed by the
//! group.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use service::config::Config;
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, sleep},
};

use super::{
    fault::SurgeFault,
    run::{RunOutcome, as_appended, legacy_evidence, loadline_evidence, receivers},
    runner::{Runner, Watcher},
    sample::Sampler,
    system::{
        Group, GroupProgress, Plan, StateReport, System, Which, read_state, write_legacy_member,
        write_loadline_member,
    },
};
use crate::{
    kafka::{Cluster, GroupOffsets},
    legacy::LegacyTopic,
    member_source::MemberSource,
    oracle::{BrokerEvidence, Evidence, Observer, ReceiverLog, index_events},
    receiver::Fleet,
    traffic::{
        KafkaPublisher, Producer, ProducerFault, RunClock, Traffic, profile::Profile, spread_over_partitions,
    },
};

/// After which silence the cluster gives a member's partitions to others: the least that a cluster takes by default.
const SESSION: Duration = Duration::from_secs(6);
/// How often the group's offsets are asked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the group may take to settle before the run.
const SETTLE_MAX: Duration = Duration::from_secs(60);

/// Puts `which`, a group of processes of the binary `loadline`, through `traffic` over a topic of the cluster at
/// `bootstrap`; their directories are in `dir`. `stop` ends the run early.
///
/// # Errors
/// [`SurgeFault`].
pub async fn run_as_group(
    (which, bootstrap): (Which, &str),
    profile: &Profile,
    traffic: &Traffic,
    (loadline, dir): (&Path, &Path),
    watcher: &mut dyn Watcher,
    stop: impl Future<Output = ()>,
) -> Result<RunOutcome, SurgeFault> {
    let cluster = Arc::new(Cluster::new(bootstrap)?);
    let asked = Arc::clone(&cluster);
    let nodes = spawn_blocking(move || asked.nodes()).await.unwrap_or(Ok(1))?;
    let name = format!("surge-{}", which.as_str());
    let source = MemberSource::new(bootstrap, &name, SESSION, nodes);
    cluster.create(&source.topic, profile.legacy.partitions).await?;
    let run = GroupRun { which, cluster: &cluster, source: &source, profile, traffic };
    let ran = run.play((loadline, dir), watcher, stop).await;
    cluster.remove(&source.topics().each_ref().map(String::as_str), &source.group).await;
    ran
}

/// One run.
struct GroupRun<'r> {
    which: Which,
    cluster: &'r Arc<Cluster>,
    source: &'r MemberSource,
    profile: &'r Profile,
    traffic: &'r Traffic,
}

impl GroupRun<'_> {
    async fn play(
        &self,
        (loadline, dir): (&Path, &Path),
        watcher: &mut dyn Watcher,
        stop: impl Future<Output = ()>,
    ) -> Result<RunOutcome, SurgeFault> {
        let Self { which, source, profile, traffic, .. } = *self;
        let (clock, known) = (RunClock::default(), index_events(traffic));
        let observer = || Arc::new(Observer::new(clock.clone(), Arc::clone(&known)));
        let observers: Vec<_> = profile.brokers.iter().map(|_| observer()).collect();
        let fleet = Fleet::start(receivers(which, profile, &observers), profile.seed)?;
        let plan = self.plan(loadline, dir, fleet.addresses.clone());
        let group = Group::start(plan, self.progress()?, profile.legacy.consumers).await?;
        let mut system = System::Group(group);
        self.settle(profile.legacy.consumers).await?;
        let publisher = Box::pin(KafkaPublisher::connect(source.produce_options())).await;
        let publisher = publisher.map_err(ProducerFault::from)?;
        let appended = publisher.appended();
        clock.begin();
        let brokers = fleet.begin();
        watcher.begins(which);
        let sampler = Sampler::new(clock.clone(), appended.clone(), observers.clone(), profile, traffic);
        let mut runner = Runner::new(profile, which, clock, appended.clone(), sampler);
        let producer = Producer::KafkaTopic(Box::new(publisher));
        let interrupted = runner.play(Some(&mut system), producer, traffic, watcher, stop).await?;
        let configs = configs_of(&system);
        let stopped = system.stop().await?;
        let _counts = brokers.stop()?;
        let left = if which == Which::Loadline { read_states(&configs, traffic)? } else { Left::default() };
        let done = runner.done;
        let settled_to = if done { appended.count() } else { place(stopped.status.settled_to) };
        let evidence = Evidence {
            traffic: as_appended(traffic, &appended),
            appended: appended.count(),
            brokers: self.evidence(&observers, left.config.as_ref()),
            dead: left.report.dead,
            spilled: if done { Vec::new() } else { left.report.spilled },
            settled_to,
            done,
            ended_ms: runner.ended_ms(),
            kills_ms: runner.kills,
            stalls: runner.stalls,
        };
        let (samples, memory_max) = (runner.samples, stopped.memory_max);
        Ok(RunOutcome { which, evidence, samples, memory_max, interrupted, sent_again: 0 })
    }

    fn plan(&self, loadline: &Path, dir: &Path, addresses: Vec<SocketAddr>) -> Plan {
        let (which, profile, source) = (self.which, self.profile.clone(), self.source.clone());
        let topic = LegacyTopic {
            bootstrap: source.bootstrap.clone(),
            topic: source.topic.clone(),
            group: source.group.clone(),
            session_timeout: source.session_timeout,
            rebalance_timeout: profile.legacy.rebalance_timeout.max(source.session_timeout),
        };
        let write = move |dir: &Path| match which {
            Which::Legacy => write_legacy_member(dir, topic.clone(), &profile, &addresses),
            Which::Loadline => write_loadline_member(dir, &source, &profile, &addresses),
        };
        Plan { which, loadline: loadline.to_owned(), dir: dir.to_owned(), write: Box::new(write) }
    }

    /// How far the group is, looked at until nobody wants to know any more.
    fn progress(&self) -> Result<GroupProgress, SurgeFault> {
        let MemberSource { bootstrap, group, topic, .. } = self.source;
        let partitions = self.profile.legacy.partitions;
        let offsets = Arc::new(GroupOffsets::new(bootstrap, group, topic, partitions)?);
        let (says, committed) = watch::channel(vec![0; partitions as usize]);
        tokio::spawn(async move {
            while !says.is_closed() {
                let asked = Arc::clone(&offsets);
                // While the coordinator moves, what it said last stands.
                if let Ok(Ok(committed)) = spawn_blocking(move || asked.committed()).await {
                    says.send_replace(committed);
                }
                sleep(LOOK_EVERY).await;
            }
        });
        Ok(GroupProgress { places: spread_over_partitions(self.traffic, partitions), committed })
    }

    /// Waits until every member has its partitions.
    async fn settle(&self, members: u32) -> Result<(), SurgeFault> {
        let end = Instant::now() + SETTLE_MAX;
        loop {
            let (cluster, group) = (Arc::clone(self.cluster), self.source.group.clone());
            let members = usize::try_from(members).unwrap_or(usize::MAX);
            let stable = spawn_blocking(move || cluster.is_stable(&group, members)).await;
            if stable.unwrap_or(false) {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(SurgeFault::Unsettled(SETTLE_MAX));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn evidence(&self, observers: &[Arc<Observer>], config: Option<&Config>) -> Vec<BrokerEvidence> {
        let logs: Vec<ReceiverLog> = observers.iter().map(|observer| observer.take_log()).collect();
        let parts = self.profile.brokers.iter().zip(logs);
        match config {
            None => parts.map(|(part, log)| legacy_evidence(self.profile, part, log)).collect(),
            Some(config) => {
                let agreed = config.brokers.iter().zip(parts);
                agreed.map(|(broker, (part, log))| loadline_evidence(broker, part, log)).collect()
            }
        }
    }
}

/// What the members' state directories say after the run.
#[derive(Default)]
struct Left {
    config: Option<Config>,
    report: StateReport,
}

/// Reads those of all members there have been, also of those that were killed.
fn read_states(configs: &[PathBuf], traffic: &Traffic) -> Result<Left, SurgeFault> {
    let mut left = Left::default();
    for path in configs {
        let config = Config::load(path).map_err(|errors| SurgeFault::Config(errors.to_string()))?;
        let report = read_state(&config, traffic)?;
        left.report.dead.extend(report.dead);
        left.report.spilled.extend(report.spilled);
        left.config = Some(config);
    }
    left.report.spilled.sort_unstable();
    left.report.spilled.dedup();
    Ok(left)
}

fn configs_of(system: &System) -> Vec<PathBuf> {
    match system {
        System::Group(group) => group.configs().to_vec(),
        System::Alone(_) => Vec::new(),
    }
}

fn place(settled: u64) -> usize {
    usize::try_from(settled).unwrap_or(usize::MAX)
}
