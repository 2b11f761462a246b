//! Publishing to a scripted topic: in order, at least once, across restarts, and never endlessly.

use std::{fs::File, path::Path, time::Duration};

use state::{DeadLetter, Ledger, Record};
use tokio::time::{Instant, timeout};

use super::{
    publisher::Publisher,
    scripted_topic::{BatchOutcome, ScriptedTopic},
};
use crate::{
    config::{DeadCluster, DeadTopicConfig},
    dead::testing::{ledger, letter, put},
};
use fluvio_engine::ClusterOptions;
use line::stop::{Level, stop};

fn config() -> DeadTopicConfig {
    DeadTopicConfig {
        cluster: DeadCluster::Fluvio(ClusterOptions { endpoint: "127.0.0.1:1".to_owned(), tls: None }),
        topic: "dead".to_owned(),
        value_max: 256 << 10,
        timeout: Duration::from_secs(1),
        backoff_min: Duration::from_millis(2),
        backoff_max: Duration::from_millis(20),
        grace: Duration::from_secs(60),
    }
}

fn of_load(offset: u64, load: &str) -> DeadLetter {
    DeadLetter { load_id: Some(load.to_owned()), ..letter(offset, None) }
}

/// Publishes what is there, to its end; how many are left.
async fn publish(topic: &ScriptedTopic, ledger: &Ledger) -> u64 {
    let (_stopper, mut stop) = stop();
    Publisher::over(topic.clone(), &config(), ledger).finish(&mut stop).await
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let waited = timeout(Duration::from_secs(30), async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

/// A store that is opened again, as after a crash: what was recorded is there, and nobody said goodbye.
async fn again(dir: &Path, before: Ledger) -> Ledger {
    drop(before);
    // Its thread and what was cut off end a moment later.
    let lock = File::open(dir.join("lock")).unwrap();
    until("the directory is free", || lock.try_lock().is_ok()).await;
    drop(lock);
    ledger(dir)
}

#[tokio::test]
async fn letters_go_out_in_the_order_they_were_recorded_in_those_from_before_and_those_that_come() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(dir.path());
    put(&ledger, [30, 10].map(|offset| letter(offset, Some("acme")))).await;
    let topic = ScriptedTopic::new(1);
    let publisher = Publisher::over(topic.clone(), &config(), &ledger);
    let counts = publisher.counts();
    until("the two from before are out", || counts.published() == 2).await;
    put(&ledger, [20, 5].map(|offset| letter(offset, Some("acme")))).await;
    until("those that came are out", || counts.published() == 4).await;
    let (_stopper, mut stop) = stop();
    assert!(counts.is_connected());
    assert_eq!(publisher.finish(&mut stop).await, 0);
    assert_eq!(topic.offsets(), [30, 10, 20, 5]);
    let (_, key, letter) = topic.taken().remove(0);
    assert_eq!((key.as_deref(), letter.id.as_str()), (Some("L-1"), "test@0:30/acme"));
}

#[tokio::test]
async fn a_second_run_goes_on_where_the_first_ended_and_a_letter_that_changed_goes_out_again() {
    let dir = tempfile::tempdir().unwrap();
    let first = ledger(dir.path());
    put(&first, [1, 2].map(|offset| letter(offset, None))).await;
    let topic = ScriptedTopic::new(1);
    assert_eq!(publish(&topic, &first).await, 0);
    let second = again(dir.path(), first).await;
    put(&second, [letter(3, None), DeadLetter { detail: "again".to_owned(), ..letter(1, None) }]).await;
    assert_eq!((publish(&topic, &second).await, topic.offsets()), (0, vec![1, 2, 3, 1]));
    assert_eq!(topic.taken()[3].2.detail, "again");
}

#[tokio::test]
async fn what_the_cluster_took_and_nobody_recorded_goes_out_again_and_nothing_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let first = ledger(dir.path());
    put(&first, [1, 2, 3].map(|offset| letter(offset, None))).await;
    let topic = ScriptedTopic::new(1);
    // The batch is taken, its answer is lost, and the process with it.
    topic.then([BatchOutcome::Lost, BatchOutcome::Hangs]);
    let publisher = Publisher::over(topic.clone(), &config(), &first);
    until("the cluster has them", || topic.offsets().len() == 3).await;
    drop(publisher);
    let dead = first.store().dead_letters();
    assert_eq!((dead.published(), dead.unpublished()), (0, 3));
    let topic = ScriptedTopic::new(1);
    let second = again(dir.path(), first).await;
    assert_eq!((publish(&topic, &second).await, topic.offsets()), (0, vec![1, 2, 3]));
}

#[tokio::test]
async fn a_letter_that_is_gone_before_its_turn_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(dir.path());
    put(&ledger, (1..=5).map(|offset| letter(offset, None))).await;
    for offset in [2, 5] {
        let _proof = ledger.record(Record::LetterRemoved(Box::new(letter(offset, None)))).await.unwrap();
    }
    let topic = ScriptedTopic::new(1);
    assert_eq!((publish(&topic, &ledger).await, topic.offsets()), (0, vec![1, 3, 4]));
    // Purged once it was out: nothing is sent for that, and what comes next is.
    let _proof = ledger.record(Record::LetterRemoved(Box::new(letter(4, None)))).await.unwrap();
    put(&ledger, [letter(6, None)]).await;
    assert_eq!((publish(&topic, &ledger).await, topic.offsets()), (0, vec![1, 3, 4, 6]));
}

#[tokio::test]
async fn refused_and_lost_batches_are_sent_again_and_each_load_stays_in_order_in_its_partition() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(dir.path());
    // Long enough for several batches of each partition.
    let long = |offset: u64| DeadLetter {
        detail: "x".repeat(20_000),
        ..of_load(offset, &format!("L-{}", offset % 5))
    };
    put(&ledger, (0..60).map(long)).await;
    let topic = ScriptedTopic::new(3);
    topic.then([
        BatchOutcome::Refused,
        BatchOutcome::Lost,
        BatchOutcome::RecordMark,
        BatchOutcome::Lost,
        BatchOutcome::Refused,
        BatchOutcome::Lost,
    ]);
    assert_eq!(publish(&topic, &ledger).await, 0);
    let taken = topic.taken();
    assert!(taken.len() > 60, "answers were lost, so some are there twice: {}", taken.len());
    for load in 0..5 {
        let of_load: Vec<_> = taken.iter().filter(|(_, _, letter)| letter.offset % 5 == load).collect();
        assert!(of_load.iter().all(|(partition, ..)| *partition == of_load[0].0), "one partition");
        let mut firsts: Vec<u64> = Vec::new();
        for (_, _, letter) in of_load {
            if !firsts.contains(&letter.offset) {
                firsts.push(letter.offset);
            }
        }
        let expected: Vec<u64> = (0..60).filter(|offset| offset % 5 == load).collect();
        assert_eq!(firsts, expected);
    }
    let partitions: std::collections::BTreeSet<u32> =
        taken.iter().map(|(partition, ..)| *partition).collect();
    assert!(partitions.len() > 1, "{partitions:?}");
}

#[tokio::test]
async fn a_topic_that_is_not_there_is_waited_for_and_one_that_has_grown_is_spread_over_anew() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(dir.path());
    let topic = ScriptedTopic::new(1);
    topic.has(None);
    let publisher = Publisher::over(topic.clone(), &config(), &ledger);
    until("it has been asked for", || topic.asked() > 3).await;
    put(&ledger, (0..20).map(|offset| of_load(offset, &format!("L-{offset}")))).await;
    assert_eq!((topic.offsets().len(), publisher.counts().is_connected()), (0, false));
    topic.then([BatchOutcome::Refused]);
    topic.has(Some(1));
    until("they are out", || publisher.counts().published() == 20).await;
    assert!(topic.taken().iter().all(|(partition, ..)| *partition == 0));
    // Noticed after the next fault, as by any producer.
    topic.has(Some(8));
    topic.then([BatchOutcome::Refused]);
    put(&ledger, (20..60).map(|offset| of_load(offset, &format!("L-{offset}")))).await;
    until("the others are out", || publisher.counts().published() == 60).await;
    assert!(topic.taken().iter().any(|(partition, ..)| *partition > 0));
}

#[tokio::test(start_paused = true)]
async fn an_end_waits_no_longer_than_its_grace_and_says_how_many_are_left() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(dir.path());
    put(&ledger, (0..3).map(|offset| letter(offset, None))).await;
    let grace = Duration::from_secs(5);
    let config = DeadTopicConfig { grace, backoff_max: Duration::from_secs(30), ..config() };
    for hangs in [false, true] {
        let topic = ScriptedTopic::new(1);
        if hangs {
            topic.then([BatchOutcome::Hangs]);
        } else {
            topic.has(None);
        }
        let began = Instant::now();
        let (stopper, mut stop) = stop();
        let left = Publisher::over(topic.clone(), &config, &ledger).finish(&mut stop).await;
        assert_eq!((left, began.elapsed().as_secs()), (3, grace.as_secs()), "hangs: {hangs}");
        let began = Instant::now();
        let publisher = Publisher::over(topic, &config, &ledger);
        stopper.ask(Level::Now);
        assert_eq!((publisher.finish(&mut stop).await, began.elapsed().as_millis()), (3, 0));
    }
    let none = tempfile::tempdir().unwrap();
    let topic = ScriptedTopic::new(1);
    topic.has(None);
    let began = Instant::now();
    assert_eq!(publish(&topic, &crate::dead::testing::ledger(none.path())).await, 0);
    assert_eq!(began.elapsed().as_secs(), 0, "nothing is left, so nothing is waited for");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_away_while_the_controller_answers_is_not_asked_without_pauses() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(dir.path());
    put(&ledger, [letter(1, None)]).await;
    let topic = ScriptedTopic::new(1);
    topic.then([BatchOutcome::Refused; 10_000]);
    let (_stopper, mut stop) = stop();
    let config = DeadTopicConfig {
        backoff_min: Duration::from_millis(200),
        backoff_max: Duration::from_secs(30),
        ..config()
    };
    let publisher = Publisher::over(topic.clone(), &config, &ledger);
    let counts = publisher.counts();
    assert_eq!((publisher.finish(&mut stop).await, counts.is_connected()), (1, false));
    // 200 ms, doubled seven times, and about 20 s each from then on: a minute.
    assert!((5..25).contains(&topic.asked()), "asked {} times in a minute", topic.asked());
}

#[tokio::test]
async fn letters_that_fill_many_pages_all_come_and_those_too_long_without_their_bodies() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(dir.path());
    let record = |offset: u64| {
        let bytes = if offset < 4 {
            300 << 10
        } else if offset < 30 {
            100 << 10
        } else {
            10
        };
        let letter = DeadLetter { body: vec![b'x'; bytes], body_len: bytes as u64, ..letter(offset, None) };
        Record::DeadLettered { letter: Box::new(letter), key: None, spilled: None }
    };
    let _proofs = ledger.record_all((0..2_500).map(record).collect()).await.unwrap();
    let topic = ScriptedTopic::new(2);
    assert_eq!(publish(&topic, &ledger).await, 0);
    assert!(topic.offsets().into_iter().eq(0..2_500));
    let omitted = topic.taken().iter().filter(|(_, _, letter)| letter.body_omitted).count();
    assert_eq!(omitted, 4);
}
