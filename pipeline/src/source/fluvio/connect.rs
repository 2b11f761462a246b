//! Finds the partitions of a topic, and the place of each to begin at: options and checkpoints enter, one source per
//! partition leaves, connected to no one yet. A cluster that is away, or a topic that does not exist, is waited for,
//! and the log says so; or it is a fault at once.

use std::{mem, sync::Arc};

use state::{Checkpoint, Clock, StateFault};
use tokio::time::{Instant, sleep};

use super::{
    FluvioSource,
    backoff::Backoff,
    client::ClusterClient,
    look::{Settled, answered},
    mark::mark,
    options::{FluvioOptions, Partitions, Start},
    partition::{Bounds, Cluster, ClusterFault, Partition},
};
use crate::source::SourceFault;

/// Opens the partitions that `options` name, ascending. `checkpoints` gives the checkpoint of a source by its name: now,
/// and later again if settled offsets are mirrored.
///
/// With `fail_fast` a cluster that is away, or has no such topic, is a fault at once; without, this returns when it is
/// there, and may be dropped any time before.
///
/// # Errors
/// [`SourceFault::Cluster`] with `fail_fast`; [`SourceFault::Tls`] if the certificates are no good;
/// [`SourceFault::ForeignMark`], [`SourceFault::NoCheckpoint`], [`SourceFault::Lost`] and [`SourceFault::Shortened`] if
/// a partition cannot be taken up where it should.
pub async fn connect<Checkpoints>(
    options: &FluvioOptions,
    checkpoints: Checkpoints,
    fail_fast: bool,
    clock: Clock,
) -> Result<Vec<FluvioSource>, SourceFault>
where
    Checkpoints: Fn(&str) -> Result<Option<Checkpoint>, StateFault> + Clone + Send + Sync + 'static,
{
    sources(&ClusterClient::new(options)?, options, checkpoints, fail_fast, clock).await
}

pub(super) async fn sources<C: Cluster, Checkpoints>(
    cluster: &C,
    options: &FluvioOptions,
    checkpoints: Checkpoints,
    fail_fast: bool,
    clock: Clock,
) -> Result<Vec<FluvioSource<C::Partition>>, SourceFault>
where
    Checkpoints: Fn(&str) -> Result<Option<Checkpoint>, StateFault> + Clone + Send + Sync + 'static,
{
    let mut patience = Patience::new(options, fail_fast);
    let mut sources = Vec::new();
    for number in patience.wait(|| numbers(cluster, options)).await? {
        let partition = cluster.partition(number);
        let reached = || answered(options.connect_timeout, "a connection", partition.connect());
        let bounds = patience.wait(reached).await?;
        let name = super::name_of(&options.topic, number);
        let checkpoint = checkpoints(&name).map_err(SourceFault::State)?;
        let at = begin(options, &name, number, checkpoint, bounds)?;
        tracing::info!(source = %name, position = at, start = bounds.start, end = bounds.end, "the partition is read");
        let settled = options.mirror.is_some().then(|| {
            let (checkpoints, name) = (checkpoints.clone(), Arc::clone(&name));
            Settled::new(move || Some(checkpoints(&name).ok()??.offset))
        });
        sources.push(FluvioSource::new(
            options,
            (partition, number),
            (at, bounds.end),
            settled,
            clock.clone(),
        ));
    }
    Ok(sources)
}

/// The partitions that are to be read.
async fn numbers(cluster: &impl Cluster, options: &FluvioOptions) -> Result<Vec<u32>, ClusterFault> {
    let topic = &options.topic;
    let count = answered(options.connect_timeout, "the topic's partitions", cluster.count(topic)).await?;
    match &options.partitions {
        Partitions::All => Ok((0..count).collect()),
        Partitions::These(these) => match these.iter().find(|partition| **partition >= count) {
            None => Ok(these.clone()),
            Some(&partition) => Err(ClusterFault::NoPartition { topic: topic.clone(), partition, count }),
        },
    }
}

/// Where a partition is taken up.
fn begin(
    options: &FluvioOptions,
    name: &Arc<str>,
    number: u32,
    checkpoint: Option<Checkpoint>,
    bounds: Bounds,
) -> Result<u64, SourceFault> {
    let source_name = || Arc::clone(name);
    if let Some(checkpoint) = &checkpoint
        && *checkpoint.mark != *mark(&options.topic, number)
    {
        return Err(SourceFault::ForeignMark { source_name: source_name(), len: checkpoint.mark.len() });
    }
    let checkpoint = checkpoint.map(|checkpoint| checkpoint.offset);
    let at = match (options.start, checkpoint) {
        (Start::Offset(offset), checkpoint) => checkpoint.map_or(offset, |checkpoint| checkpoint.max(offset)),
        (_, Some(checkpoint)) => checkpoint,
        (Start::Beginning, None) => bounds.start,
        (Start::End, None) => bounds.end,
        (Start::Checkpoint, None) => return Err(SourceFault::NoCheckpoint { source_name: source_name() }),
    };
    if at < bounds.start {
        return Err(SourceFault::Lost { source_name: source_name(), from: at, to: bounds.start - 1 });
    }
    Ok(at)
}

/// Waits for a cluster that is away, or does not.
struct Patience<'o> {
    options: &'o FluvioOptions,
    fail_fast: bool,
    backoff: Backoff,
    since: Instant,
    told: Option<mem::Discriminant<ClusterFault>>,
}

impl<'o> Patience<'o> {
    fn new(options: &'o FluvioOptions, fail_fast: bool) -> Self {
        let backoff = Backoff::new(options.backoff_min, options.backoff_max);
        Self { options, fail_fast, backoff, since: Instant::now(), told: None }
    }

    async fn wait<T, Asked>(&mut self, ask: impl Fn() -> Asked) -> Result<T, SourceFault>
    where
        Asked: Future<Output = Result<T, ClusterFault>>,
    {
        loop {
            let fault = match ask().await {
                Ok(answer) => {
                    if self.told.take().is_some() {
                        tracing::info!(waited = ?self.since.elapsed(), "the cluster is there");
                    }
                    self.backoff.reset();
                    return Ok(answer);
                }
                Err(fault) => fault,
            };
            let endpoint = &self.options.cluster.endpoint;
            if self.fail_fast {
                return Err(SourceFault::Cluster { endpoint: endpoint.clone(), fault });
            }
            let kind = Some(mem::discriminant(&fault));
            if mem::replace(&mut self.told, kind) != kind {
                tracing::warn!(%endpoint, %fault, "waiting for the cluster; start with --fail-fast to fail instead");
            }
            sleep(self.backoff.pause()).await;
        }
    }
}
