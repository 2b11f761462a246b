//! What a cluster no longer has, or has in another form.

use tokio::time::timeout;

use crate::options::OnLoss;

use super::*;

/// A group that has settled five records of partition 0, and its directory's checkpoints.
async fn settled_five(cluster: &Scripted) -> Kept {
    let site = Site::new(cluster, in_group());
    site.member.assign(&[0]).await.unwrap();
    let records = read(&mut site.take().await.unwrap(), 5).await;
    site.line.settle(0, &records[4]);
    site.member.finish().await;
    assert_eq!(cluster.committed_at(0), Some(5));
    site.kept
}

#[tokio::test(start_paused = true)]
async fn retention_that_overtakes_a_stopped_consumer_stops_its_partition_with_the_range_named() {
    let cluster = Scripted::new(2, 10);
    settled_five(&cluster).await;
    cluster.remove_before(0, 8);
    let site = Site::new(&cluster, in_group());
    site.member.assign(&[0, 1]).await.unwrap();
    let (mut zero, mut one) = (site.take().await.unwrap(), site.take().await.unwrap());
    assert!(timeout(60 * SECOND, zero.next()).await.is_err(), "nothing is read in silence");
    let counts = site.member.partitions();
    let halted = counts[0].halted().unwrap();
    assert!(halted.contains("records 5 to 7") && halted.contains("partition 0 of topic t"), "{halted}");
    assert_eq!((counts[1].halted(), counts[0].lost_records()), (None, 0));
    assert_eq!(site.member.losses.count(), 1);
    assert!(site.member.losses.texts()[0].contains("the records 5 to 7"), "{:?}", site.member.losses);
    assert_eq!(offsets(&read(&mut one, 1).await), [0], "the others go on");
    site.member.commit_settled().await;
    assert_eq!(cluster.committed_at(0), Some(5), "its offset stays");
    site.member.revoke(&[0], false).await;
    assert!(zero.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_loss_that_may_be_passed_is_counted_and_reading_goes_on_at_the_oldest_record() {
    let cluster = Scripted::new(1, 10);
    settled_five(&cluster).await;
    cluster.remove_before(0, 7);
    let site = Site::new(&cluster, KafkaOptions { on_loss: OnLoss::Continue, ..in_group() });
    site.member.assign(&[0]).await.unwrap();
    let mut zero = site.take().await.unwrap();
    assert_eq!(offsets(&read(&mut zero, 1).await), [7]);
    assert_eq!(site.member.partitions()[0].lost_records(), 2);
    // And while it runs: the line was full, and retention did not wait.
    cluster.append(0, 10);
    cluster.remove_before(0, 10);
    assert_eq!(offsets(&read(&mut zero, 1).await), [10]);
    assert_eq!(site.member.partitions()[0].lost_records(), 4);
    site.member.revoke(&[0], false).await;
    let told = site.member.losses.texts();
    assert_eq!(site.member.losses.count(), 2, "{told:?}");
    assert!(told[0].contains("5 to 6") && told[1].contains("8 to 9"), "they outlive the partition: {told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_was_made_anew_is_known_by_its_end_or_by_the_last_settled_record() {
    let cluster = Scripted::new(1, 10);
    let kept = settled_five(&cluster).await;
    for (records, words) in [(3, "ends at 3"), (10, "another record")] {
        cluster.change(0, |log| {
            log.records.clear();
            for offset in 0..records {
                let mut record = crate::testing::log_record(offset);
                record.mark = topics::RecordMark::new(offset, Some(9_000), b"another");
                log.records.push(record);
            }
        });
        let site = Site::with(&cluster, in_group(), kept.clone());
        site.member.assign(&[0]).await.unwrap();
        let mut zero = site.take().await.unwrap();
        assert!(timeout(60 * SECOND, zero.next()).await.is_err());
        let halted = site.member.partitions()[0].halted().unwrap();
        assert!(halted.contains(words), "{halted}");
    }
}

#[tokio::test(start_paused = true)]
async fn offsets_may_have_gaps_and_a_compacted_mark_is_no_loss() {
    let cluster = Scripted::new(1, 10);
    settled_five(&cluster).await;
    // Compaction has taken the record that was settled last, and some behind it.
    cluster.change(0, |log| log.records.retain(|record| !(3..7).contains(&record.offset())));
    let site = Site::new(&cluster, in_group());
    site.member.assign(&[0]).await.unwrap();
    let mut zero = site.take().await.unwrap();
    assert_eq!(offsets(&read(&mut zero, 3).await), [7, 8, 9]);
    let counts = &site.member.partitions()[0];
    assert_eq!((counts.halted(), counts.lost_records(), counts.unread()), (None, 0, 0));
}
