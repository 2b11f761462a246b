//! Where partitions are taken up, and how a cluster that is away is waited for.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use state::{Checkpoint, StateFault};
use tokio::time::Instant;

use super::{
    super::{
        connect::sources,
        mark::mark,
        name_of,
        partition::ClusterFault,
        script::{ScriptedCluster, refused},
    },
    *,
};

fn cluster(bounds: &[(u64, u64)]) -> ScriptedCluster {
    let partitions = bounds.iter().map(|bounds| Scripted::new(*bounds, [])).collect();
    ScriptedCluster { counts: Mutex::default(), partitions }
}

/// Checkpoints at these offsets, by partition.
fn checkpoints(
    offsets: &[(u32, u64)],
) -> impl Fn(&str) -> Result<Option<Checkpoint>, StateFault> + Clone + Send + Sync + 'static {
    let by_name: BTreeMap<_, _> = offsets
        .iter()
        .map(|(number, offset)| {
            let mark = mark("t", *number).to_vec();
            (name_of("t", *number), Checkpoint { epoch: 0, offset: *offset, mark })
        })
        .collect();
    move |name| Ok(by_name.get(name).cloned())
}

/// Where each partition begins.
async fn begins(
    options: &FluvioOptions,
    bounds: &[(u64, u64)],
    at: &[(u32, u64)],
) -> Result<Vec<(u32, u64)>, SourceFault> {
    let sources = sources(&cluster(bounds), options, checkpoints(at), true, Clock::simulated(0)).await?;
    Ok(sources.iter().map(|source| (source.counts().partition(), source.counts().began_at())).collect())
}

#[tokio::test(start_paused = true)]
async fn a_partition_begins_at_its_checkpoint_and_without_one_where_the_config_says() {
    let bounds = [(3, 9), (0, 20)];
    for (start, expected) in [
        (Start::Beginning, [(0, 3), (1, 12)]),
        (Start::End, [(0, 9), (1, 12)]),
        (Start::Offset(5), [(0, 5), (1, 12)]),
        (Start::Offset(15), [(0, 15), (1, 15)]),
    ] {
        let options = FluvioOptions { start, ..options() };
        assert_eq!(begins(&options, &bounds, &[(1, 12)]).await.unwrap(), expected, "{start:?}");
    }
    let options = FluvioOptions { start: Start::Checkpoint, ..options() };
    let fault = begins(&options, &bounds, &[(1, 12)]).await.unwrap_err();
    assert!(matches!(&fault, SourceFault::NoCheckpoint { source_name } if &**source_name == "fluvio:t/0"));
    assert_eq!(begins(&options, &bounds, &[(0, 4), (1, 12)]).await.unwrap(), [(0, 4), (1, 12)]);
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_before_the_log_is_a_loss_until_the_config_passes_over_it() {
    let fault = begins(&options(), &[(10, 20)], &[(0, 4)]).await.unwrap_err();
    assert!(matches!(fault, SourceFault::Lost { from: 4, to: 9, .. }), "{fault}");
    let options = FluvioOptions { start: Start::Offset(10), ..options() };
    assert_eq!(begins(&options, &[(10, 20)], &[(0, 4)]).await.unwrap(), [(0, 10)]);
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_of_something_else_is_refused() {
    let foreign = |_: &str| Ok(Some(Checkpoint { epoch: 0, offset: 4, mark: vec![1, 2, 3] }));
    let outcome = sources(&cluster(&[(0, 9)]), &options(), foreign, true, Clock::simulated(0)).await;
    assert!(matches!(outcome.err(), Some(SourceFault::ForeignMark { len: 3, .. })));
}

#[tokio::test(start_paused = true)]
async fn partitions_are_those_that_are_named_and_must_be_there() {
    let bounds = [(0, 1), (0, 2), (0, 3)];
    let these = |these: &[u32]| FluvioOptions { partitions: Partitions::These(these.to_vec()), ..options() };
    assert_eq!(begins(&these(&[0, 2]), &bounds, &[]).await.unwrap(), [(0, 0), (2, 0)]);
    let fault = begins(&these(&[1, 3]), &bounds, &[]).await.unwrap_err();
    let missing = ClusterFault::NoPartition { topic: "t".to_owned(), partition: 3, count: 3 };
    assert!(matches!(fault, SourceFault::Cluster { fault, .. } if fault == missing));
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_away_and_a_topic_that_is_not_there_yet_are_waited_for() {
    let away = || -> ScriptedCluster {
        let cluster = cluster(&[(0, 9)]);
        let missing = ClusterFault::NoTopic { topic: "t".to_owned() };
        cluster.counts.lock().extend([Err(refused()), Err(refused()), Err(missing)]);
        cluster
    };
    let began = Instant::now();
    let found = sources(&away(), &options(), checkpoints(&[]), false, Clock::simulated(0)).await.unwrap();
    assert_eq!(found.len(), 1);
    assert!(began.elapsed() >= SECOND / 10 * 7, "three pauses: {:?}", began.elapsed());

    let began = Instant::now();
    let fault = sources(&away(), &options(), checkpoints(&[]), true, Clock::simulated(0)).await.err();
    assert!(matches!(fault, Some(SourceFault::Cluster { .. })));
    assert_eq!(began.elapsed(), Duration::ZERO, "it fails at once");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_hangs_at_the_start_is_given_up_after_the_timeout() {
    let script = Scripted::new((0, 9), [Act::Hang]);
    let cluster = ScriptedCluster { counts: Mutex::default(), partitions: vec![script] };
    let fault = sources(&cluster, &options(), checkpoints(&[]), true, Clock::simulated(0)).await.err();
    let silent = ClusterFault::Silent { what: "a connection", after: 10 * SECOND };
    assert!(matches!(fault, Some(SourceFault::Cluster { fault, .. }) if fault == silent));
}
