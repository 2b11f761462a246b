//! Where partitions are taken up, and what is on record of it.

use crate::{commit_mark::CommitMark, consumer::Offset, headers::Headers, options::Start};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_new_group_begins_where_the_config_says_and_that_is_on_record_at_once() {
    let cluster = Scripted::new(2, 10);
    let site = Site::new(&cluster, KafkaOptions { start: Start::End, ..in_group() });
    site.member.assign(&[0, 1]).await.unwrap();
    assert_eq!((cluster.committed_at(0), cluster.committed_at(1)), (Some(10), Some(10)));
    let mut zero = site.take().await.unwrap();
    assert_eq!(ask(&mut zero), None);
    cluster.append(0, 10);
    assert_eq!(offsets(&read(&mut zero, 1).await), [10]);
}

#[tokio::test(start_paused = true)]
async fn named_partitions_are_pinned_in_the_directory_and_nothing_is_committed() {
    let cluster = Scripted::new(2, 10);
    let site = Site::new(&cluster, KafkaOptions { start: Start::Offset(4), ..fixed(&[1]) });
    site.member.assign(&[1]).await.unwrap();
    assert_eq!(site.kept.checkpoint("kafka:t/1").unwrap().unwrap().offset, 4);
    let mut one = site.take().await.unwrap();
    let records = read(&mut one, 6).await;
    assert_eq!(offsets(&records), (4..10).collect::<Vec<u64>>());
    site.line.settle(1, &records[5]);
    site.member.commit_settled().await;
    assert!(cluster.0.lock().commits.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_has_settled_more_than_the_group_goes_on_at_its_checkpoint() {
    let cluster = Scripted::new(1, 10);
    let site = Site::new(&cluster, in_group());
    site.member.assign(&[0]).await.unwrap();
    let mut zero = site.take().await.unwrap();
    let records = read(&mut zero, 6).await;
    let next = &records[5].next;
    site.kept.0.lock().insert("kafka:t/0".into(), next.into());
    // The process is gone before it has committed anything but where it began.
    let again = Site::with(&cluster, in_group(), site.kept.clone());
    assert_eq!(cluster.committed_at(0), Some(0));
    again.member.assign(&[0]).await.unwrap();
    assert_eq!(cluster.committed_at(0), Some(6), "other tools see it");
    let mut zero = again.take().await.unwrap();
    assert_eq!(
        offsets(&read(&mut zero, 4).await),
        [6, 7, 8, 9],
        "the last settled record is not given again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_has_come_since_is_read_whole_and_one_without_offsets_is_not_taken_for_it() {
    let cluster = Scripted::new(3, 10);
    let commit = |partitions| {
        let metadata = CommitMark { partitions, last: None, claim: None }.encode();
        cluster.0.lock().committed.insert(0, Offset { partition: 0, offset: 3, metadata });
    };
    commit(2);
    let site = Site::new(&cluster, KafkaOptions { start: Start::End, ..in_group() });
    site.member.assign(&[1, 2]).await.unwrap();
    assert_eq!((cluster.committed_at(1), cluster.committed_at(2)), (Some(10), Some(0)));
    commit(3);
    cluster.0.lock().committed.remove(&2);
    let site = Site::new(&cluster, KafkaOptions { start: Start::End, ..in_group() });
    site.member.assign(&[2]).await.unwrap();
    assert_eq!(cluster.committed_at(2), Some(10), "the topic had it already");
}

#[tokio::test(start_paused = true)]
async fn a_place_that_the_config_asks_for_and_nobody_has_ends_the_run() {
    let cluster = Scripted::new(1, 10);
    let site = Site::new(&cluster, KafkaOptions { start: Start::Committed, ..in_group() });
    let fault = site.member.assign(&[0]).await.unwrap_err();
    assert!(matches!(fault, KafkaFault::NoPlace { .. }), "{fault}");
    site.kept.0.lock().insert("kafka:t/0".into(), Checkpoint { epoch: 0, offset: 3, mark: vec![1, 2] });
    let fault = site.member.assign(&[0]).await.unwrap_err();
    assert!(matches!(fault, KafkaFault::ForeignMark { .. }), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_away_holds_up_no_other_partition() {
    let cluster = Scripted::new(2, 10);
    cluster.change(0, |log| log.away = true);
    let site = Site::new(&cluster, in_group());
    site.member.assign(&[0, 1]).await.unwrap();
    let (mut zero, mut one) = (site.take().await.unwrap(), site.take().await.unwrap());
    assert_eq!(offsets(&read(&mut one, 2).await), [0, 1]);
    assert_eq!((cluster.committed_at(0), cluster.committed_at(1)), (None, Some(0)));
    cluster.change(0, |log| log.away = false);
    read(&mut zero, 1).await;
    site.member.commit_settled().await;
    assert_eq!(cluster.committed_at(0), Some(0), "on record as soon as it is known");
    site.member.look().await;
    assert_eq!(site.member.counts.lag(), Some(20));
}

#[tokio::test(start_paused = true)]
async fn a_record_is_given_with_its_trace_and_a_tombstone_as_what_it_is() {
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let cluster = Scripted::new(1, 2);
    cluster.change(0, |log| {
        log.records[0].headers = Headers::of([("traceparent", trace.as_bytes())], None);
        (log.records[1].value, log.records[1].full_len) = (None, 0);
    });
    let site = Site::new(&cluster, in_group());
    site.member.assign(&[0]).await.unwrap();
    let records = read(&mut site.take().await.unwrap(), 2).await;
    assert_eq!(records[0].raw.traceparent.as_ref().unwrap().to_string(), trace);
    let unreadable = records[1].raw.unreadable.as_ref().unwrap();
    assert_eq!((unreadable.cause(), records[1].next.offset), ("no-value", 2), "it is settled like any other");
}

#[tokio::test(start_paused = true)]
async fn whoever_watches_the_partitions_keeps_nothing_of_the_member_open() {
    let cluster = Scripted::new(2, 10);
    let site = Site::new(&cluster, in_group());
    site.member.assign(&[0, 1]).await.unwrap();
    let (watch, kept) = (site.member.watch(), Arc::downgrade(&site.kept.0));
    assert_eq!(watch().len(), 2);
    drop(site);
    assert!(watch().is_empty());
    assert_eq!(kept.strong_count(), 0, "the state is held open by a watcher");
}
