//! Commits that are refused, or cut off, around a rebalance: what the group has not taken is sent again before whoever is
//! next begins.

use crate::fault::ClusterFault;

use super::*;

fn rebalancing() -> ClusterFault {
    ClusterFault::Rebalancing { detail: "the script".to_owned() }
}

/// A member of which so many records of partition 0 are settled.
async fn settled(cluster: &Scripted, count: usize) -> Site {
    let site = Site::new(cluster, in_group());
    site.member.assign(&[0]).await.unwrap();
    let records = read(&mut site.take().await.unwrap(), count).await;
    site.line.settle(0, &records[count - 1]);
    site
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_a_rebalance_refuses_takes_nothing_away_and_is_sent_again() {
    let cluster = Scripted::new(1, 10);
    let site = settled(&cluster, 4).await;
    cluster.0.lock().refuse.push(rebalancing());
    site.member.commit_settled().await;
    assert_eq!((cluster.committed_at(0), site.member.counts.commits_refused()), (Some(0), 1));
    assert_eq!((site.member.counts.assigned(), site.member.counts.lost()), (1, 0));
    site.member.commit_settled().await;
    assert_eq!(cluster.committed_at(0), Some(4));
}

#[tokio::test(start_paused = true)]
async fn a_partition_is_not_given_up_before_a_refused_commit_of_it_has_been_taken() {
    for fault in [rebalancing(), ClusterFault::Refused { what: "a commit", detail: "load".into() }] {
        let cluster = Scripted::new(1, 10);
        let site = settled(&cluster, 4).await;
        cluster.0.lock().refuse = vec![fault; 3];
        site.member.revoke(&[0], false).await;
        assert_eq!((cluster.committed_at(0), site.member.counts.lost()), (Some(4), 0));
        // The same at the end of a run.
        let site = settled(&cluster, 5).await;
        cluster.0.lock().refuse = vec![rebalancing(); 3];
        site.member.finish().await;
        assert_eq!(cluster.committed_at(0), Some(9));
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_stays_refused_holds_the_group_for_no_longer_than_an_answer_may_take() {
    let cluster = Scripted::new(1, 10);
    let site = settled(&cluster, 4).await;
    cluster.0.lock().refuse = vec![rebalancing(); 1_000];
    let before = tokio::time::Instant::now();
    site.member.revoke(&[0], false).await;
    assert!(before.elapsed() < 6 * SECOND, "{:?}", before.elapsed());
    assert_eq!((cluster.committed_at(0), site.member.counts.lost()), (Some(0), 1));
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_and_refused_while_its_partition_was_being_given_up_is_sent_again() {
    let cluster = Scripted::new(1, 10);
    let site = settled(&cluster, 4).await;
    {
        let mut inside = cluster.0.lock();
        (inside.commit_takes, inside.refuse) = (SECOND, vec![rebalancing()]);
    }
    let member = Arc::clone(&site.member);
    let under_way = tokio::spawn(async move { member.commit_settled().await });
    sleep(SECOND / 2).await;
    // Nothing has been settled since.
    site.member.revoke(&[0], false).await;
    under_way.await.unwrap();
    assert_eq!(cluster.committed_at(0), Some(4));
}

#[tokio::test(start_paused = true)]
async fn what_a_commit_that_was_cut_off_had_sent_is_sent_again_at_the_end() {
    let cluster = Scripted::new(1, 10);
    let site = settled(&cluster, 4).await;
    cluster.0.lock().commit_takes = SECOND;
    let member = Arc::clone(&site.member);
    let under_way = tokio::spawn(async move { member.commit_settled().await });
    sleep(SECOND / 2).await;
    under_way.abort();
    site.member.finish().await;
    assert_eq!(cluster.committed_at(0), Some(4));
}
