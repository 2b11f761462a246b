//! Finds the partitions of a topic and makes one source for each, not connected yet. Waits for a cluster that cannot
//! be reached or a topic that does not exist, and logs it; or fails at once if configured. Also watches whether the
//! topic grows.

use std::{convert::Infallible, sync::Arc, time::Duration};

use state::{Checkpoint, Clock, StateFault};
use tokio::time::sleep;
use topics::{Checkpoints, PartitionCounts};

use super::{
    FluvioSource,
    client::{ClusterClient, PartitionClient},
    cluster_wait::ClusterWait,
    mirror::SettledOffset,
    name_of,
    options::{FluvioOptions, Partitions},
    partition::{Cluster, ClusterFault, Partition},
    start_position::{StartPosition, Startup},
    timeout::within_timeout,
    topic_name,
};
use crate::TopicFault;

/// How often the topic's partitions are counted.
const COUNT_EVERY: Duration = Duration::from_secs(60);

/// The sources of a topic.
pub struct Connected<P, Growth> {
    /// A source for each partition, ascending.
    pub sources: Vec<FluvioSource<P>>,
    /// Logs when the topic has partitions that nobody reads; never ends.
    pub growth: Growth,
}

/// Makes sources for the partitions that `options` name. The start offset of each is found when it is first polled,
/// and recorded in `checkpoints` before anything is read.
///
/// With `fail_fast`, a cluster that cannot be reached or has no such topic, or a partition without a leader, is a
/// fault at once. Without it, this returns when the partitions are known; cancel safe.
///
/// # Errors
/// [`TopicFault::Cluster`] with `fail_fast`, or if the topic lacks a named partition; [`TopicFault::Tls`] if the
/// certificates are no good; [`TopicFault::ForeignMark`] and [`TopicFault::NoCheckpoint`] if a partition cannot be
/// taken up where it should.
pub async fn connect<C: Checkpoints>(
    options: &FluvioOptions,
    checkpoints: C,
    fail_fast: bool,
    clock: Clock,
) -> Result<Connected<PartitionClient, impl Future<Output = Infallible> + use<C>>, TopicFault> {
    let cluster = ClusterClient::new(options)?;
    let (sources, count) = sources(&cluster, options, checkpoints, fail_fast, clock).await?;
    Ok(Connected { sources, growth: watch_growth(cluster, options.clone(), count) })
}

/// The partitions' sources, and how many partitions the topic has.
pub(super) async fn sources<C: Cluster>(
    cluster: &C,
    options: &FluvioOptions,
    checkpoints: impl Checkpoints,
    fail_fast: bool,
    clock: Clock,
) -> Result<(Vec<FluvioSource<C::Partition>>, u32), TopicFault> {
    let mut cluster_wait = ClusterWait::new(options, &options.topic, fail_fast);
    let count = cluster_wait.wait(|| count(cluster, options)).await?;
    let numbers = numbers(options, count)?;
    let known = recorded_count(options, &checkpoints, count).await.map_err(TopicFault::State)?;
    let mut sources = Vec::with_capacity(numbers.len());
    for number in numbers {
        let partition = Arc::new(cluster.partition(number));
        if fail_fast {
            let reached = || within_timeout(options.connect_timeout, "a connection", partition.connect());
            let _bounds = cluster_wait.wait(reached).await?;
        }
        let grown = known.is_some_and(|known| number >= known);
        sources.push(source(options, (partition, number), checkpoints.clone(), grown, clock.clone())?);
    }
    Ok((sources, count))
}

fn source<P: Partition>(
    options: &FluvioOptions,
    (partition, number): (Arc<P>, u32),
    checkpoints: impl Checkpoints,
    grown: bool,
    clock: Clock,
) -> Result<FluvioSource<P>, TopicFault> {
    let name = name_of(&options.topic, number);
    let (begin, mark) = StartPosition::look_up(options, &checkpoints, &name, number, grown)?;
    let settled = options.mirror.is_some().then(|| {
        let (checkpoints, name) = (checkpoints.clone(), Arc::clone(&name));
        SettledOffset::new(move || Some(checkpoints.checkpoint(&name).ok()??.offset))
    });
    let cluster_wait = ClusterWait::new(options, &name, false);
    let counts = Arc::new(PartitionCounts::new(name, number, begin.known(), begin.known()));
    let startup = Startup {
        partition: Arc::clone(&partition),
        begin,
        mark: mark.bare(),
        counts: Arc::clone(&counts),
        checkpoints,
        cluster_wait,
    };
    Ok(FluvioSource::new(options, mark, (partition, startup.run()), counts, settled, clock))
}

/// How many partitions the topic has.
async fn count(cluster: &impl Cluster, options: &FluvioOptions) -> Result<u32, ClusterFault> {
    let topic = &options.topic;
    match within_timeout(options.connect_timeout, "the topic's partitions", cluster.count(topic)).await? {
        // The topic is just being created.
        0 => Err(ClusterFault::NoTopic { topic: topic.clone() }),
        count => Ok(count),
    }
}

/// The partitions to be read of a topic that has `count`.
fn numbers(options: &FluvioOptions, count: u32) -> Result<Vec<u32>, TopicFault> {
    match &options.partitions {
        Partitions::All => Ok((0..count).collect()),
        Partitions::These(these) => match these.iter().find(|partition| **partition >= count) {
            None => Ok(these.clone()),
            // A partition that does not exist is a mistake in the config, and not waited for.
            Some(&partition) => Err(TopicFault::Cluster {
                endpoint: options.cluster.endpoint.clone(),
                fault: ClusterFault::NoPartition { topic: options.topic.clone(), partition, count },
            }),
        },
    }
}

/// How many partitions the topic had when reading all of it began: later ones were added since and are read from
/// their beginning. None if only some partitions are read here, because another process may have begun the others.
async fn recorded_count(
    options: &FluvioOptions,
    checkpoints: &impl Checkpoints,
    count: u32,
) -> Result<Option<u32>, StateFault> {
    if options.partitions != Partitions::All {
        return Ok(None);
    }
    let topic = topic_name(&options.topic);
    let known = checkpoints.checkpoint(&topic)?.and_then(|known| u32::try_from(known.offset).ok());
    let begun =
        |number| checkpoints.checkpoint(&name_of(&options.topic, number)).map(|found| found.is_some());
    // Added partitions count as known once each has a checkpoint of its own.
    let mut all_begun = true;
    for number in known.unwrap_or(count)..count {
        all_begun &= begun(number)?;
    }
    if known.is_none_or(|known| known < count && all_begun) {
        let count = Checkpoint { epoch: 0, offset: count.into(), mark: Vec::new() };
        checkpoints.begin(topic, count).await?;
    }
    Ok(Some(known.unwrap_or(count)))
}

async fn watch_growth(cluster: impl Cluster, options: FluvioOptions, mut known: u32) -> Infallible {
    loop {
        sleep(COUNT_EVERY).await;
        if options.partitions != Partitions::All {
            continue;
        }
        // The partitions report a cluster that does not answer.
        if let Ok(count) = count(&cluster, &options).await
            && count > known
        {
            let topic = &options.topic;
            tracing::warn!(%topic, partitions = count, read = known, "the topic has grown: restart to read the new partitions too, from their beginning");
            known = count;
        }
    }
}
