//! Where partitions are taken up, and how a cluster that is away is waited for.

use std::{collections::BTreeMap, iter, sync::Arc};

use futures::stream;
use parking_lot::Mutex;
use state::{Checkpoint, StateFault};
use tokio::time::Instant;
use topics::Checkpoints;

use super::{
    super::{
        connect::sources,
        name_of,
        partition::ClusterFault,
        scripted::{ScriptedCluster, refused},
    },
    *,
};

fn cluster(bounds: &[(u64, u64)]) -> ScriptedCluster {
    let partitions = bounds.iter().map(|bounds| ScriptedPartition::new(*bounds, [])).collect();
    ScriptedCluster { counts: Mutex::default(), partitions }
}

/// What is on record, by source.
#[derive(Clone, Default)]
struct OnRecord(Arc<Mutex<BTreeMap<Arc<str>, Checkpoint>>>);

impl Checkpoints for OnRecord {
    fn checkpoint(&self, source: &str) -> Result<Option<Checkpoint>, StateFault> {
        Ok(self.0.lock().get(source).cloned())
    }

    async fn begin(&self, source: Arc<str>, at: Checkpoint) -> Result<(), StateFault> {
        self.0.lock().insert(source, at);
        Ok(())
    }
}

impl OnRecord {
    /// What is on record now, by partition.
    fn offsets(&self) -> Vec<(u32, u64)> {
        let all = self.0.lock();
        let number = |source: &str| source.rsplit_once('/')?.1.parse().ok();
        all.iter().filter_map(|(source, checkpoint)| Some((number(source)?, checkpoint.offset))).collect()
    }
}

/// Checkpoints at these offsets, by partition.
fn checkpoints(offsets: &[(u32, u64)]) -> OnRecord {
    let by_name = offsets.iter().map(|(number, offset)| {
        let mark = Mark::new("t", *number).encode().to_vec();
        (name_of("t", *number), Checkpoint { epoch: 0, offset: *offset, mark })
    });
    OnRecord(Arc::new(Mutex::new(by_name.collect())))
}

/// Where each partition begins.
async fn begins(
    options: &FluvioOptions,
    bounds: &[(u64, u64)],
    at: &[(u32, u64)],
) -> Result<Vec<(u32, u64)>, TopicFault> {
    begin_all(options, bounds, &checkpoints(at)).await
}

/// The same, with what is on record.
async fn begin_all(
    options: &FluvioOptions,
    bounds: &[(u64, u64)],
    on_record: &OnRecord,
) -> Result<Vec<(u32, u64)>, TopicFault> {
    let (sources, _) =
        sources(&cluster(bounds), options, on_record.clone(), false, Clock::simulated(0)).await?;
    let mut begun = Vec::new();
    for source in sources {
        let counts = source.counts();
        source.begins.await?;
        begun.push((counts.partition(), counts.began_at()));
    }
    assert_eq!(on_record.offsets(), begun, "it is on record before anything is read");
    Ok(begun)
}

#[tokio::test(start_paused = true)]
async fn a_partition_begins_at_its_checkpoint_and_without_one_where_the_config_says() {
    let bounds = [(3, 9), (0, 20)];
    for (start, expected) in [
        (Start::Beginning, [(0, 3), (1, 12)]),
        (Start::End, [(0, 9), (1, 12)]),
        (Start::Offset(5), [(0, 5), (1, 12)]),
        (Start::Offset(7), [(0, 7), (1, 12)]),
    ] {
        let partitions = Partitions::These(vec![0, 1]);
        let options = FluvioOptions { start, partitions, ..options() };
        assert_eq!(begins(&options, &bounds, &[(1, 12)]).await.unwrap(), expected, "{start:?}");
    }
    let partitions = Partitions::These(vec![0, 1]);
    let options = FluvioOptions { start: Start::Checkpoint, partitions, ..options() };
    let fault = begins(&options, &bounds, &[(1, 12)]).await.unwrap_err();
    assert!(matches!(&fault, TopicFault::NoCheckpoint { source_name } if &**source_name == "fluvio:t/0"));
    assert_eq!(begins(&options, &bounds, &[(0, 4), (1, 12)]).await.unwrap(), [(0, 4), (1, 12)]);
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_before_the_log_is_a_loss_wherever_a_partition_without_one_would_begin() {
    for start in [Start::Beginning, Start::End, Start::Offset(15), Start::Checkpoint] {
        let options = FluvioOptions { start, ..options() };
        let fault = begins(&options, &[(10, 20)], &[(0, 4)]).await.unwrap_err();
        assert!(matches!(fault, TopicFault::Lost { partition: 0, from: 4, to: 9, .. }), "{fault}");
        let way_out = "loadline state seek --partition 0 --to 10 ";
        assert!(fault.to_string().contains(way_out), "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_the_topic_did_not_have_before_is_read_from_its_beginning() {
    for start in [Start::Beginning, Start::End, Start::Offset(15), Start::Checkpoint] {
        let options = FluvioOptions { start, ..options() };
        let on_record = checkpoints(&[(0, 4)]);
        begin_all(&options, &[(0, 20)], &on_record).await.unwrap();
        // Until each of them has a place of its own, they are new ones.
        for _ in 0..2 {
            let clock = Clock::simulated(0);
            let (found, _) =
                sources(&cluster(&[(0, 20), (2, 30)]), &options, on_record.clone(), false, clock)
                    .await
                    .unwrap();
            drop(found);
        }
        let begun = begin_all(&options, &[(0, 20), (2, 30)], &on_record).await.unwrap();
        assert_eq!(begun, [(0, 4), (1, 2)], "{start:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_was_away_when_the_topic_was_begun_is_not_a_new_one() {
    let bounds = [(0, 20), (2, 30)];
    let options = FluvioOptions { start: Start::End, ..options() };
    let on_record = checkpoints(&[]);
    let (found, _) =
        sources(&cluster(&bounds), &options, on_record.clone(), false, Clock::simulated(0)).await.unwrap();
    found.into_iter().next().unwrap().begins.await.unwrap();
    assert_eq!(on_record.offsets(), [(0, 20)]);
    assert_eq!(begin_all(&options, &bounds, &on_record).await.unwrap(), [(0, 20), (1, 30)]);
    // Nor is one that another process has begun.
    let options = FluvioOptions { start: Start::Checkpoint, ..options };
    let fault = begin_all(&options, &bounds, &checkpoints(&[(0, 4)])).await.unwrap_err();
    assert!(matches!(fault, TopicFault::NoCheckpoint { .. }), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn a_partition_without_a_leader_holds_no_other() {
    let away = ScriptedPartition::new((0, 9), iter::repeat_n(ScriptStep::Hang, 20));
    let there = ScriptedPartition::new((0, 9), [ScriptStep::Follow, ScriptStep::Follow]);
    let cluster = ScriptedCluster { counts: Mutex::default(), partitions: vec![away, there] };
    let found = sources(&cluster, &options(), checkpoints(&[]), false, Clock::simulated(0)).await;
    let streams = found.unwrap().0.into_iter().map(|source| source.into_stream().boxed());
    let mut all = stream::select_all(streams);
    let first = all.next().await.unwrap().unwrap();
    assert_eq!((&*first.raw.position.source, first.raw.position.offset), ("fluvio:t/1", 0));
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_of_something_else_is_refused() {
    let foreign = checkpoints(&[]);
    let checkpoint = Checkpoint { epoch: 0, offset: 4, mark: vec![1, 2, 3] };
    foreign.0.lock().insert(name_of("t", 0), checkpoint);
    let outcome = sources(&cluster(&[(0, 9)]), &options(), foreign, true, Clock::simulated(0)).await;
    assert!(matches!(outcome.err(), Some(TopicFault::ForeignMark { len: 3, .. })));
}

#[tokio::test(start_paused = true)]
async fn partitions_are_those_that_are_named_and_must_be_there() {
    let bounds = [(0, 1), (0, 2), (0, 3)];
    let these = |these: &[u32]| FluvioOptions { partitions: Partitions::These(these.to_vec()), ..options() };
    assert_eq!(begins(&these(&[0, 2]), &bounds, &[]).await.unwrap(), [(0, 0), (2, 0)]);
    let fault = begins(&these(&[1, 3]), &bounds, &[]).await.unwrap_err();
    let missing = ClusterFault::NoPartition { topic: "t".to_owned(), partition: 3, count: 3 };
    assert!(matches!(fault, TopicFault::Cluster { fault, .. } if fault == missing));
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
    assert_eq!(found.0.len(), 1);
    assert!(began.elapsed() >= SECOND / 10 * 7, "three pauses: {:?}", began.elapsed());

    let began = Instant::now();
    let fault = sources(&away(), &options(), checkpoints(&[]), true, Clock::simulated(0)).await.err();
    assert!(matches!(fault, Some(TopicFault::Cluster { .. })));
    assert_eq!(began.elapsed(), Duration::ZERO, "it fails at once");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_hangs_at_the_start_is_given_up_after_the_timeout() {
    let script = ScriptedPartition::new((0, 9), [ScriptStep::Hang]);
    let cluster = ScriptedCluster { counts: Mutex::default(), partitions: vec![script] };
    let fault = sources(&cluster, &options(), checkpoints(&[]), true, Clock::simulated(0)).await.err();
    let silent = ClusterFault::Silent { what: "a connection", after: 10 * SECOND };
    assert!(matches!(fault, Some(TopicFault::Cluster { fault, .. }) if fault == silent));
}
