//! Finds the partitions of a topic: options and what is on record enter, one source per partition leaves, connected to no
//! one yet. A cluster that is away, or a topic that does not exist, is waited for, and the log says so; or it is a fault
//! at once. Then watches whether the topic grows.

use std::{convert::Infallible, sync::Arc, time::Duration};

use state::{Checkpoint, Clock, StateFault};
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
    topic_name,
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
    let numbers = numbers(options, count)?;
    let known = known(options, &checkpoints, count).await.map_err(SourceFault::State)?;
    let mut sources = Vec::with_capacity(numbers.len());
    for number in numbers {
        let partition = Arc::new(cluster.partition(number));
        if fail_fast {
            let reached = || answered(options.connect_timeout, "a connection", partition.connect());
            let _bounds = patience.wait(reached).await?;
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

/// How many partitions the topic has.
async fn count(cluster: &impl Cluster, options: &FluvioOptions) -> Result<u32, ClusterFault> {
    let topic = &options.topic;
    match answered(options.connect_timeout, "the topic's partitions", cluster.count(topic)).await? {
        // It is just being made.
        0 => Err(ClusterFault::NoTopic { topic: topic.clone() }),
        count => Ok(count),
    }
}

/// The partitions to be read of a topic that has `count`.
fn numbers(options: &FluvioOptions, count: u32) -> Result<Vec<u32>, SourceFault> {
    match &options.partitions {
        Partitions::All => Ok((0..count).collect()),
        Partitions::These(these) => match these.iter().find(|partition| **partition >= count) {
            None => Ok(these.clone()),
            // Nobody waits for another partition by naming one too many.
            Some(&partition) => Err(SourceFault::Cluster {
                endpoint: options.cluster.endpoint.clone(),
                fault: ClusterFault::NoPartition { topic: options.topic.clone(), partition, count },
            }),
        },
    }
}

/// How many partitions the topic had when all of it was begun: one beyond them has come since, and all of it is still to
/// be read. None if only some of the topic is read here: then somebody else may have begun a partition.
async fn known(
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
    // Those that have come since are known once each has a place of its own on record.
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
