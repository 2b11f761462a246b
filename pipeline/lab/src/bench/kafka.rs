//! The section over a Kafka cluster: one member whose state follows its partitions beside a run over a file whose state
//! stays, and how soon a member with an empty directory has taken over what the last one remembered.

use std::{path::Path, sync::Arc, time::Duration};

use kafka_engine::{
    Producer,
    produce::{Outgoing, ProduceFault, Sender},
};
use state::Durability;
use tokio::task::spawn_blocking;

use super::{
    Bench,
    configs::{Settings, make_dir, split_evenly, urls, write_loadline},
    fault::BenchFault,
    figures::{Bound, Goal, Spread, Unit},
    meter::Meter,
    report::{Contestant, OverKafka, Run, speed},
    run::{Loadline, Turn, Work},
    turns,
    workload::Workload,
};
use crate::{
    kafka::Cluster,
    member_source::MemberSource,
    process::clock::monotonic,
    traffic::corpus::{load, load_id},
};

/// The partitions of the topic.
const PARTITIONS: u32 = 12;
/// After which silence the group would miss a member; no member is missed here.
const SESSION: Duration = Duration::from_secs(45);
/// What the member does beside the run over a file.
const GOAL: f64 = 0.7;
/// In how many seconds a million entries are to be restored.
const RESTORE_MAX: f64 = 20.0;
/// The fewest entries for which that is judged.
const RESTORED_MIN: u64 = 900_000;
/// The block of the events by which it is seen that all partitions are restored.
const AFTER_BLOCK: u64 = 3_000;
/// How many deliveries these make: enough that each partition has some.
const AFTER: u64 = 6_000;

const NAMES: [&str; 2] = ["a file, the state stays", "a Kafka topic, the state follows"];

/// Measures the section.
pub(super) async fn measure(bench: &Bench<'_>, bootstrap: &str) -> Result<OverKafka, BenchFault> {
    let cluster = Arc::new(Cluster::new(bootstrap)?);
    let asked = Arc::clone(&cluster);
    let nodes = spawn_blocking(move || asked.nodes()).await.unwrap_or(Ok(1))?;
    let workload = bench.workload();
    let events = bench.dir.join("events.ndjson");
    workload.write(&events)?;
    let work = Work { workload: &workload, events: &events };
    let mut meter = Meter::start(bench.program, bench.dir, Duration::ZERO, workload.brokers()).await?;
    let (mut contestants, mut seconds) = (NAMES.map(Contestant::new).to_vec(), Vec::new());
    for round in 0..bench.terms.rounds {
        for which in turns(round, NAMES.len()) {
            bench.say(format!("Kafka, round {}: {}", round + 1, NAMES[which]));
            let dir = make_dir(bench.dir, &format!("kafka-{round}-{which}"))?;
            let shares = split_evenly(bench.terms.concurrency, workload.brokers());
            let mut settings = Settings::new(Durability::Process, shares);
            let mut turn = Turn { program: bench.program, dir: &dir, meter: &mut meter, work };
            if which == 0 {
                contestants[0].runs.push(turn.loadline(&settings).await?);
                continue;
            }
            let source = MemberSource::new(bootstrap, "bench", SESSION, nodes);
            cluster.create(&source.topic, PARTITIONS).await?;
            settings.topic = Some(source.clone());
            let ran = over_topic(turn.reborrow(), &settings, &source).await;
            let restored = match ran {
                Ok(run) => {
                    contestants[1].runs.push(run);
                    bench.say(format!("Kafka, round {}: a member with an empty directory", round + 1));
                    restore(bench, &mut meter, &format!("restored-{round}"), &settings, &source).await
                }
                Err(fault) => Err(fault),
            };
            cluster.remove(&source.topics().each_ref().map(String::as_str), &source.group).await;
            seconds.push(restored?);
        }
    }
    meter.end().await?;
    Ok(OverKafka { contestants, entries: workload.deliveries(), restore_seconds: Spread::of(seconds) })
}

/// A run over a topic that has everything before the member comes: whoever produces takes nothing from it.
async fn over_topic(turn: Turn<'_>, settings: &Settings, source: &MemberSource) -> Result<Run, BenchFault> {
    let Turn { program, dir, meter, work } = turn;
    let urls = urls(meter.port(), work.workload.brokers());
    let config = write_loadline(dir, work.workload, &urls, settings)?;
    put_on_topic(work.workload, source).await?;
    let baseline = meter.zero_before_start().await?;
    let mut running = Loadline::start(program, dir, &config, settings).await?;
    let expected = work.workload.deliveries();
    meter.wait(running.child(), expected, None).await?;
    running.child().rest().await?;
    let seen = meter.total().await?;
    let run = meter.read(running.child(), &baseline, seen);
    if run.deliveries != expected {
        let counts = format!("{} arrived, {expected} to be delivered", run.deliveries);
        return Err(BenchFault::Inexact { what: "the member".to_owned(), counts });
    }
    running.stop(expected, None).await?;
    Ok(run)
}

/// Seconds from the start of a member that has nothing to the last of a few more events, which are in all partitions: each
/// is read only when its state has arrived.
async fn restore(
    bench: &Bench<'_>,
    meter: &mut Meter,
    name: &str,
    settings: &Settings,
    source: &MemberSource,
) -> Result<f64, BenchFault> {
    let more = Workload::by_status(AFTER, bench.terms.brokers, AFTER_BLOCK).with(bench.terms.ids);
    let dir: &Path = &make_dir(bench.dir, name)?;
    let config = write_loadline(dir, &more, &urls(meter.port(), more.brokers()), settings)?;
    put_on_topic(&more, source).await?;
    meter.reset().await?;
    let began = monotonic();
    let mut running = Loadline::start(bench.program, dir, &config, settings).await?;
    meter.wait(running.child(), more.deliveries(), None).await?;
    let last = meter.total().await?.last;
    running.stop(more.deliveries(), None).await?;
    Ok(last.saturating_sub(began) as f64 / 1e9)
}

/// Puts all events onto the topic, keyed by load, and waits until the cluster has them.
async fn put_on_topic(workload: &Workload, source: &MemberSource) -> Result<(), BenchFault> {
    let options = source.produce_options();
    let producer = Producer::new(&options).map_err(ProduceFault::from)?;
    let deliveries = Arc::default();
    let sender = Sender::new(&options, &producer, &deliveries);
    for (number, body) in workload.numbered() {
        let key = Some(load_id(load(number)));
        sender.send(&Outgoing { partition: None, key, value: body.into() }).await?;
    }
    Ok(sender.settled().await?)
}

/// What should come out.
pub(super) fn goals(section: &OverKafka) -> Vec<Goal> {
    let [file, topic] = section.contestants.as_slice() else { return Vec::new() };
    let ratio = "one member with a state that follows / a file";
    let mut goals =
        vec![Goal::judged(ratio.to_owned(), Unit::Ratio, topic.beside(file, speed), Bound::AtLeast(GOAL))];
    if section.entries >= RESTORED_MIN {
        let what = format!("{} entries restored, from the start of the process", section.entries);
        goals.push(Goal::judged(what, Unit::Seconds, section.restore_seconds, Bound::AtMost(RESTORE_MAX)));
    }
    goals
}
