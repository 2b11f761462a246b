//! Partitions that are given and taken: what is settled, what is committed, and by whom.

use crate::fault::ClusterFault;

use super::*;

fn fenced() -> ClusterFault {
    ClusterFault::Fenced { detail: "the script".to_owned() }
}

#[tokio::test(start_paused = true)]
async fn what_comes_to_an_end_while_a_partition_is_given_up_is_committed_before_it_is_gone() {
    let cluster = Scripted::new(2, 10);
    let site = Site::new(&cluster, in_group());
    site.member.assign(&[0, 1]).await.unwrap();
    let (mut zero, mut one) = (site.take().await.unwrap(), site.take().await.unwrap());
    let records = read(&mut zero, 6).await;
    site.line.settle(0, &records[2]);
    {
        let mut line = site.line.0.lock();
        line.on_the_wire.insert(name_of("t", 0), records[5].next.clone());
        line.release_takes = 8 * SECOND;
    }
    site.member.revoke(&[0], false).await;
    assert!(zero.next().await.is_none(), "the stream has ended");
    assert_eq!((cluster.committed_at(0), cluster.0.lock().unassigned.clone()), (Some(6), vec![0]));
    assert_eq!(site.member.counts.assigned(), 1);
    assert_eq!(offsets(&read(&mut one, 1).await), [0], "the other goes on");
    // It comes again, to where it was left, with a queue of its own.
    site.member.assign(&[0]).await.unwrap();
    let mut zero = site.take().await.unwrap();
    assert_eq!(offsets(&read(&mut zero, 4).await), [6, 7, 8, 9]);
    assert!(!cluster.0.lock().queue_twice, "the queue before was gone");
}

#[tokio::test(start_paused = true)]
async fn a_late_settle_commits_nothing_of_a_partition_that_was_given_up_or_has_come_again() {
    let cluster = Scripted::new(1, 10);
    let site = Site::new(&cluster, in_group());
    site.member.assign(&[0]).await.unwrap();
    let records = read(&mut site.take().await.unwrap(), 6).await;
    site.line.settle(0, &records[1]);
    site.member.revoke(&[0], false).await;
    assert_eq!(cluster.committed_at(0), Some(2));
    site.line.settle(0, &records[5]);
    site.member.commit_settled().await;
    assert_eq!(cluster.committed_at(0), Some(2));
    site.line.0.lock().settled.clear();
    // Another member settles more, and the partition comes back.
    cluster.0.lock().committed.get_mut(&0).unwrap().offset = 8;
    site.member.assign(&[0]).await.unwrap();
    site.member.commit_settled().await;
    assert_eq!(cluster.committed_at(0), Some(8), "never backwards");
}

#[tokio::test(start_paused = true)]
async fn a_commit_under_way_has_been_answered_before_a_partition_is_gone() {
    let cluster = Scripted::new(1, 10);
    let site = Site::new(&cluster, in_group());
    site.member.assign(&[0]).await.unwrap();
    let records = read(&mut site.take().await.unwrap(), 6).await;
    site.line.settle(0, &records[1]);
    cluster.0.lock().commit_takes = 3 * SECOND;
    let member = Arc::clone(&site.member);
    let under_way = tokio::spawn(async move { member.commit_settled().await });
    sleep(SECOND).await;
    // The next would overtake it.
    cluster.0.lock().commit_takes = Duration::ZERO;
    site.line.0.lock().on_the_wire.insert(name_of("t", 0), records[5].next.clone());
    site.member.revoke(&[0], false).await;
    under_way.await.unwrap();
    assert_eq!(cluster.0.lock().commits, [(0, 0), (0, 2), (0, 6)], "in this order");
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_is_forgotten_and_commits_nothing() {
    let cluster = Scripted::new(1, 10);
    let site = Site::new(&cluster, in_group());
    site.member.assign(&[0]).await.unwrap();
    let mut zero = site.take().await.unwrap();
    let records = read(&mut zero, 6).await;
    site.line.settle(0, &records[5]);
    site.member.revoke(&[0], true).await;
    assert!(zero.next().await.is_none());
    site.member.commit_settled().await;
    site.member.finish().await;
    assert_eq!(cluster.committed_at(0), Some(0));
    let line = site.line.0.lock();
    assert_eq!((line.released.len(), &*line.lost), (0, &[name_of("t", 0)][..]));
    assert_eq!(site.member.counts.lost(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_refused_for_good_means_that_all_is_lost_and_any_other_is_sent_again() {
    let cluster = Scripted::new(1, 10);
    let site = Site::new(&cluster, in_group());
    site.member.assign(&[0]).await.unwrap();
    let mut zero = site.take().await.unwrap();
    let records = read(&mut zero, 6).await;
    site.line.settle(0, &records[1]);
    cluster.0.lock().refuse.push(ClusterFault::Refused { what: "a commit", detail: "rebalancing".into() });
    site.member.commit_settled().await;
    assert_eq!((cluster.committed_at(0), site.member.counts.commits_refused()), (Some(0), 1));
    site.member.commit_settled().await;
    assert_eq!(cluster.committed_at(0), Some(2), "though nothing has been settled since");
    cluster.0.lock().refuse.push(fenced());
    site.line.settle(0, &records[3]);
    site.member.commit_settled().await;
    assert!(zero.next().await.is_none());
    assert_eq!((site.member.counts.lost(), site.member.counts.assigned()), (1, 0));
    // The client tells it too, if it does.
    site.member.revoke(&[0], true).await;
    assert_eq!(site.member.counts.lost(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_rebalances_gives_every_record_once_in_order_to_whoever_has_the_partition() {
    let cluster = Scripted::new(4, 100);
    let sites = [Site::new(&cluster, in_group()), Site::new(&cluster, in_group())];
    let mut given = vec![Vec::new(); 4];
    for round in 0..25 {
        let site = &sites[round % 2];
        site.member.assign(&[0, 1, 2, 3]).await.unwrap();
        // Some are taken away before the line has taken them.
        for (partition, given) in given.iter_mut().enumerate().take(round % 5) {
            let mut records = site.take().await.unwrap();
            let some = read(&mut records, 3).await;
            given.extend(offsets(&some));
            site.line.0.lock().on_the_wire.insert(name_of("t", partition as i32), some[2].next.clone());
        }
        site.member.revoke(&[0, 1, 2, 3], false).await;
    }
    for (partition, given) in given.iter().enumerate() {
        assert_eq!(*given, (0..given.len() as u64).collect::<Vec<_>>(), "partition {partition}");
    }
    assert!(given[0].len() >= 60 && !cluster.0.lock().queue_twice);
    let released = sites.iter().map(|site| site.line.0.lock().released.len()).sum::<usize>();
    assert_eq!(released, given.iter().map(Vec::len).sum::<usize>() / 3, "the others it has never seen");
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_full_for_an_hour_takes_nothing_and_loses_nothing() {
    let cluster = Scripted::new(1, 10);
    let site = Site::new(&cluster, in_group());
    site.member.assign(&[0]).await.unwrap();
    let mut zero = site.take().await.unwrap();
    let records = read(&mut zero, 2).await;
    site.line.settle(0, &records[1]);
    let member = Arc::clone(&site.member);
    let commits = tokio::spawn(async move { member.commit_on().await });
    let member = Arc::clone(&site.member);
    let looks = tokio::spawn(async move { member.look_on().await });
    for offset in 10..70 {
        sleep(60 * SECOND).await;
        cluster.append(0, offset);
    }
    sleep(60 * SECOND).await;
    assert_eq!((site.member.counts.rebalances(), site.member.counts.lag()), (1, Some(68)));
    assert_eq!(site.member.partitions()[0].unread(), 68, "as the looks have seen");
    assert_eq!(cluster.0.lock().commits, [(0, 0), (0, 2)], "each place once");
    assert_eq!(offsets(&read(&mut zero, 68).await), (2..70).collect::<Vec<u64>>());
    commits.abort();
    looks.abort();
}

#[tokio::test(start_paused = true)]
async fn deliveries_that_do_not_come_to_an_end_in_time_hold_the_group_no_longer() {
    let cluster = Scripted::new(1, 10);
    let site = Site::new(&cluster, in_group());
    site.member.assign(&[0]).await.unwrap();
    let records = read(&mut site.take().await.unwrap(), 6).await;
    site.line.settle(0, &records[3]);
    site.line.0.lock().release_takes = 3_600 * SECOND;
    let before = tokio::time::Instant::now();
    site.member.revoke(&[0], false).await;
    assert!(before.elapsed() < 60 * SECOND, "the group waits for a minute");
    assert_eq!(cluster.committed_at(0), Some(4), "what was settled by then");
    assert_eq!(site.line.0.lock().lost, [name_of("t", 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_partition_counts_for_the_limits_until_it_is_given_up_and_at_once_no_more_if_it_is_lost() {
    let cluster = Scripted::new(4, 10);
    let site = Site::new(&cluster, in_group());
    type Told = Vec<(Vec<u32>, u32)>;
    let told: Arc<Mutex<Told>> = Arc::default();
    let tell = Arc::clone(&told);
    site.member
        .counted
        .tell(Box::new(move |held, of| tell.lock().push((held.iter().copied().collect(), of))));
    site.member.assign(&[0, 1, 2]).await.unwrap();
    let last = || told.lock().last().cloned().unwrap();
    assert_eq!(last(), (vec![0, 1, 2], 4));
    for _ in 0..3 {
        let _taken = site.take().await.unwrap();
    }
    site.line.0.lock().release_takes = 8 * SECOND;
    let member = Arc::clone(&site.member);
    let gives_up = tokio::spawn(async move { member.revoke(&[0], false).await });
    sleep(4 * SECOND).await;
    assert_eq!(last(), (vec![0, 1, 2], 4), "what is on the wire of it is still permitted");
    gives_up.await.unwrap();
    assert_eq!(last(), (vec![1, 2], 4));
    assert_eq!(cluster.committed_at(0), Some(0));
    site.member.revoke(&[1], true).await;
    assert_eq!(last(), (vec![2], 4));
    // It gets none of those that are added, and hears of them all the same.
    (4..8).for_each(|partition| cluster.change(partition, |_| ()));
    site.member.look().await;
    assert_eq!(last(), (vec![2], 8));
    site.member.finish().await;
    assert_eq!(last(), (vec![], 8));
}
