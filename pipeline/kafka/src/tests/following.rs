//! Members whose partitions' state follows them: what is claimed, committed under, and said of how it was given up.

use line::SourcePartition;
use state::{Horizon, Outcome, PartitionChange, PartitionLog, Restored};

use super::*;
use crate::{
    commit_mark::CommitMark,
    fault::ClusterFault,
    follow::{
        FollowOptions, Follower,
        scripted::{ScriptedConsumer, ScriptedLogs},
        testing::entry,
    },
};

type Topics = Follower<ScriptedConsumer, ScriptedLogs>;

/// A member of its own over the same cluster and the same state topics.
fn site(cluster: &Scripted, logs: &ScriptedLogs, seed: u64) -> (Site, Arc<Topics>) {
    site_over(cluster, logs.another(), seed)
}

/// One that writes to the state topics by this producer.
fn site_over(cluster: &Scripted, logs: ScriptedLogs, seed: u64) -> (Site, Arc<Topics>) {
    let [ledger, waiting] = logs.consumers();
    let options = FollowOptions { seed, ..crate::follow::testing::options() };
    let topics = Arc::new(Follower::new(options, ledger, waiting, logs));
    let site = Site::following(cluster, in_group(), Kept::default(), Some(topics.clone()));
    let member = Arc::downgrade(&site.member);
    topics.on_superseded(Box::new(move |source| {
        assert_eq!(source, "kafka:t/0");
        member.upgrade().unwrap().lose(&[0]);
    }));
    (site, topics)
}

async fn take(site: &Site) -> SourcePartition<RecordStream> {
    site.member.given.clone().next().await.expect("there is no end").unwrap()
}

/// Everything that a partition is given back, and the rest of it.
async fn restored(partition: SourcePartition<RecordStream>) -> (usize, Option<Horizon>, RecordStream) {
    let (mut outcomes, mut left) = (0, None);
    let mut restored = partition.restored.expect("its state follows it");
    while let Some(item) = restored.next().await {
        match item.unwrap() {
            Restored::Outcome { .. } => outcomes += 1,
            Restored::Left(found) => left = found,
            Restored::Waiting(waiting) => panic!("nothing waits: {waiting:?}"),
        }
    }
    (outcomes, left, partition.records)
}

async fn append(topics: &Topics, change: PartitionChange) -> state::PartitionLogFault {
    topics.append(&name_of("t", 0), vec![change]).await.unwrap_err()
}

async fn delivered(topics: &Topics, event: u32) {
    let entry = entry(Outcome::Delivered, 1);
    let change = PartitionChange::Outcome { broker: "b".into(), event_id: format!("e{event}").into(), entry };
    topics.append(&name_of("t", 0), vec![change]).await.unwrap();
}

fn claim_committed(cluster: &Scripted) -> Option<u64> {
    let inside = cluster.0.lock();
    CommitMark::decode(&inside.committed.get(&0)?.metadata)?.claim
}

#[tokio::test(start_paused = true)]
async fn a_partition_brings_its_state_and_is_committed_under_its_claim() {
    let (cluster, logs) = (Scripted::new(1, 10), ScriptedLogs::default());
    let (one, topics) = site(&cluster, &logs, 1);
    one.member.assign(&[0]).await.unwrap();
    let partition = take(&one).await;
    assert_eq!(topics.epoch(0), None, "it is claimed when the line takes it");
    let (outcomes, left, mut records) = restored(partition).await;
    assert_eq!((outcomes, left, topics.epoch(0)), (0, None, Some(1)));
    let read = read(&mut records, 5).await;
    delivered(&topics, 1).await;
    one.line.settle(0, &read[4]);
    one.member.revoke(&[0], false).await;
    assert_eq!((cluster.committed_at(0), claim_committed(&cluster)), (Some(5), Some(1)));
    let (two, _) = site(&cluster, &logs, 2);
    two.member.assign(&[0]).await.unwrap();
    let (outcomes, left, mut records) = restored(take(&two).await).await;
    assert_eq!((outcomes, left), (1, None), "given up in good order");
    assert_eq!(offsets(&super::read(&mut records, 1).await), [5]);
    // Its topics are gone, and the group knows of them.
    two.member.revoke(&[0], false).await;
    let (three, _) = site(&cluster, &ScriptedLogs::default(), 3);
    three.member.assign(&[0]).await.unwrap();
    let mut refused = take(&three).await.restored.unwrap();
    let fault = refused.next().await.unwrap().unwrap_err().to_string();
    assert!(fault.contains("t-ledger") && fault.contains("deleted and made anew"), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn what_was_not_given_up_in_good_order_is_in_doubt() {
    let nothing_told = Some(Horizon { epoch: 0, offset: 0 });
    for case in ["in doubt", "refused", "too late", "lost", "died"] {
        let (cluster, logs) = (Scripted::new(1, 10), ScriptedLogs::default());
        let (one, topics) = site(&cluster, &logs, 1);
        one.member.assign(&[0]).await.unwrap();
        let (_, _, mut records) = restored(take(&one).await).await;
        one.line.settle(0, &read(&mut records, 1).await[0]);
        match case {
            "in doubt" => one.line.0.lock().in_doubt = true,
            "refused" => {
                cluster.0.lock().refuse.push(ClusterFault::Fenced { detail: "no".into() });
            }
            "too late" => one.line.0.lock().release_takes = 3_600 * SECOND,
            _ => {}
        }
        if case != "died" {
            one.member.revoke(&[0], case == "lost").await;
            let fault = append(&topics, PartitionChange::Horizon(None)).await;
            assert!(matches!(fault, state::PartitionLogFault::Superseded { .. }), "{case}: {fault}");
        }
        let (two, _) = site(&cluster, &logs, 2);
        two.member.assign(&[0]).await.unwrap();
        assert_eq!(restored(take(&two).await).await.1, nothing_told, "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_run_gives_everything_up_in_good_order() {
    let (cluster, logs) = (Scripted::new(1, 10), ScriptedLogs::default());
    let (one, _) = site(&cluster, &logs, 1);
    one.member.assign(&[0]).await.unwrap();
    let (_, _, mut records) = restored(take(&one).await).await;
    one.line.settle(0, &read(&mut records, 3).await[2]);
    one.member.finish().await;
    assert_eq!((cluster.committed_at(0), claim_committed(&cluster)), (Some(3), Some(1)));
    let (two, _) = site(&cluster, &logs, 2);
    two.member.assign(&[0]).await.unwrap();
    assert_eq!(restored(take(&two).await).await.1, None);
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_somebody_else_claims_is_lost_before_the_group_says_so() {
    let (cluster, logs) = (Scripted::new(1, 10), ScriptedLogs::default());
    let (one, _) = site(&cluster, &logs, 1);
    one.member.assign(&[0]).await.unwrap();
    let (_, _, mut records) = restored(take(&one).await).await;
    let read = read(&mut records, 3).await;
    one.line.settle(0, &read[2]);
    let (two, topics) = site(&cluster, &logs, 2);
    two.member.assign(&[0]).await.unwrap();
    let _its = restored(take(&two).await).await;
    sleep(SECOND).await;
    assert!(records.next().await.is_none(), "it is read no more");
    one.member.commit_settled().await;
    assert_eq!((cluster.committed_at(0), one.member.counts.lost()), (Some(0), 1));
    delivered(&topics, 1).await;
    one.member.revoke(&[0], true).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_away_before_the_line_has_taken_it_claims_nothing() {
    let (cluster, logs) = (Scripted::new(1, 10), ScriptedLogs::default());
    let (one, topics) = site(&cluster, &logs, 1);
    one.member.assign(&[0]).await.unwrap();
    one.member.revoke(&[0], false).await;
    // The line has taken it, and looks at it too late.
    one.member.assign(&[0]).await.unwrap();
    let mut late = take(&one).await.restored.unwrap();
    one.member.revoke(&[0], false).await;
    assert!(late.next().now_or_never().is_none());
    sleep(SECOND).await;
    assert_eq!((logs.written(), topics.epoch(0)), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_partition_is_not_given_up_while_its_claim_is_on_its_way() {
    let (cluster, logs) = (Scripted::new(1, 10), ScriptedLogs::default());
    let slow = logs.another();
    slow.hold();
    let (one, _) = site_over(&cluster, slow.clone(), 1);
    one.member.assign(&[0]).await.unwrap();
    let mut coming = take(&one).await.restored.unwrap();
    assert!(coming.next().now_or_never().is_none());
    sleep(SECOND / 10).await;
    let mut given_up = Box::pin(one.member.revoke(&[0], false));
    assert!(tokio::time::timeout(SECOND, &mut given_up).await.is_err());
    slow.go_on();
    given_up.await;
    let (two, _) = site(&cluster, &logs, 2);
    two.member.assign(&[0]).await.unwrap();
    let (_, _, mut records) = restored(take(&two).await).await;
    sleep(SECOND).await;
    assert_eq!(offsets(&read(&mut records, 1).await), [0], "nobody has claimed it since");
}

#[tokio::test(start_paused = true)]
async fn the_groups_answers_keep_the_lease_and_nothing_else_does() {
    let (cluster, logs) = (Scripted::new(1, 10), ScriptedLogs::default());
    let (one, _topics) = site(&cluster, &logs, 1);
    let member = Arc::clone(&one.member);
    let renewing = tokio::spawn(async move { member.renew_on().await });
    sleep(SECOND).await;
    assert_eq!(one.lease.left(), Duration::ZERO, "nothing is this member's");
    one.member.assign(&[0]).await.unwrap();
    sleep(SECOND / 2).await;
    // Five seconds before the group would miss it, counted from the question.
    assert!(one.lease.covers(15 * SECOND) && one.lease.left() < 40 * SECOND, "{:?}", one.lease.left());
    // Nothing is settled for minutes, and the group is asked all the same.
    sleep(300 * SECOND).await;
    assert!(one.lease.left() > 30 * SECOND);
    // In a rebalance commits may be refused.
    cluster.0.lock().refuse = vec![ClusterFault::Rebalancing { detail: "the script".into() }; 20];
    sleep(60 * SECOND).await;
    assert!(one.lease.left() > 30 * SECOND);
    cluster.0.lock().refuse = vec![ClusterFault::Unreachable { detail: "the script".into() }; 1_000];
    sleep(25 * SECOND).await;
    assert!(!one.lease.covers(15 * SECOND) && one.lease.covers(10 * SECOND));
    sleep(20 * SECOND).await;
    assert_eq!(one.lease.left(), Duration::ZERO);
    cluster.0.lock().refuse.clear();
    sleep(10 * SECOND).await;
    assert!(one.lease.left() > 30 * SECOND);
    renewing.abort();
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_late_counts_from_when_it_was_asked_for() {
    let (cluster, logs) = (Scripted::new(1, 10), ScriptedLogs::default());
    let (one, _topics) = site(&cluster, &logs, 1);
    one.member.assign(&[0]).await.unwrap();
    cluster.0.lock().commit_takes = 12 * SECOND;
    one.member.keep_alive().await;
    assert_eq!(one.lease.left(), 28 * SECOND);
}
