//! Finds the partitions of a topic: options and what is on record enter, one source per partition leaves, connected to no
//! one yet. A cluster that is away, or a topic that does not exist, is waited for, and the log says so; or it is a fault
//! at once. Then watches whether the topic grows.

use std::{convert::Infallible, sync::Arc, time::Duration};

use state::Clock;
use tokio::time::sleep;

use super::{
    FluvioSource,
    begin::{Begin, Beginning, Checkpoints},
    client::{ClusterClient, PartitionClient},
    counts::PartitionCounts,
    look::{Settled, answered},
    name_of,
    options::{FluvioOptions, Partitions},
    partition::{Cluster, ClusterFault, Partition},
    patience::Patience,
};
use crate::source::SourceFault;

/// How often the topic's partitions are counted.
const COUNT_EVERY: Duration = Duration::from_secs(60);

/// A topic that is going to be read.
pub struct Connected<P, Growth> {
    /// A source for each partition, ascending.
    pub sources: Vec<FluvioSource<P>>,
    /// Says in the log when the topic has partitions that nobody reads; never ends.
    pub growth: Growth,
}

/// Opens the partitions that `options` name. Where each begins is found out when it is first polled, and put on record
/// in `checkpoints` before anything is read.
///
/// With `fail_fast` a cluster that is away, or has no such topic, or a partition without a leader, is a fault at once;
/// without, this returns when it is known which partitions there are, and may be dropped any time before.
///
/// # Errors
/// [`SourceFault::Cluster`] with `fail_fast`, or if the topic has no partition of a number that is named;
/// [`SourceFault::Tls`] if the certificates are no good; [`SourceFault::ForeignMark`] and [`SourceFault::NoCheckpoint`]
/// if a partition cannot be taken up where it should.
pub async fn connect<C: Checkpoints>(
    options: &FluvioOptions,
    checkpoints: C,
    fail_fast: bool,
    clock: Clock,
) -> Result<Connected<PartitionClient, impl Future<Output = Infallible> + use<C>>, SourceFault> {
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
) -> Result<(Vec<FluvioSource<C::Partition>>, u32), SourceFault> {
    let mut patience = Patience::new(options, &options.topic, fail_fast);
    let count = patience.wait(|| count(cluster, options)).await?;
    let numbers: Vec<u32> = match &options.partitions {
        Partitions::All => (0..count).collect(),
        Partitions::These(these) => these.clone(),
    };
    let topic = name_of(&options.topic, 0);
    let known = checkpoints.knows(topic.trim_end_matches('0')).map_err(SourceFault::State)?;
    let grown = known && options.partitions == Partitions::All;
    let mut sources = Vec::with_capacity(numbers.len());
    for number in numbers {
        let partition = Arc::new(cluster.partition(number));
        if fail_fast {
            let reached = || answered(options.connect_timeout, "a connection", partition.connect());
            let _bounds = patience.wait(reached).await?;
        }
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
) -> Result<FluvioSource<P>, SourceFault> {
    let name = name_of(&options.topic, number);
    let (begin, mark) = Begin::look_up(options, &checkpoints, &name, number, grown)?;
    let settled = options.mirror.is_some().then(|| {
        let (checkpoints, name) = (checkpoints.clone(), Arc::clone(&name));
        Settled::new(move || Some(checkpoints.checkpoint(&name).ok()??.offset))
    });
    let patience = Patience::new(options, &name, false);
    let counts = Arc::new(PartitionCounts::new(name, number, begin.known(), begin.known()));
    let beginning = Beginning {
        partition: Arc::clone(&partition),
        begin,
        mark: mark.bare(),
        counts: Arc::clone(&counts),
        checkpoints,
        patience,
    };
    Ok(FluvioSource::new(options, mark, (partition, beginning.reach()), counts, settled, clock))
}

/// How many partitions the topic has, if it has those that are named.
async fn count(cluster: &impl Cluster, options: &FluvioOptions) -> Result<u32, ClusterFault> {
    let topic = &options.topic;
    let count = answered(options.connect_timeout, "the topic's partitions", cluster.count(topic)).await?;
    let beyond = match &options.partitions {
        // A topic that is just being made.
        Partitions::All => (count == 0).then_some(0),
        Partitions::These(these) => these.iter().copied().find(|partition| *partition >= count),
    };
    match beyond {
        None => Ok(count),
        Some(_) if count == 0 => Err(ClusterFault::NoTopic { topic: topic.clone() }),
        Some(partition) => Err(ClusterFault::NoPartition { topic: topic.clone(), partition, count }),
    }
}

async fn watch_growth(cluster: impl Cluster, options: FluvioOptions, mut known: u32) -> Infallible {
    loop {
        sleep(COUNT_EVERY).await;
        if options.partitions != Partitions::All {
            continue;
        }
        // Whether the cluster answers is for the partitions to tell.
        if let Ok(count) = count(&cluster, &options).await
            && count > known
        {
            let topic = &options.topic;
            tracing::warn!(%topic, partitions = count, read = known, "the topic has grown: restart to read the new partitions too, from their beginning");
            known = count;
        }
    }
}
