//! The topics in which a partition's state follows it: what one member has written is what the next is given, whatever
//! happens between them. The line has no part in this; members are played here.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt;
use kafka_engine::{
    follow::{ClaimRequest, FollowFault, FollowOptions, StateTopics},
    name_of,
};
use parking_lot::Mutex;
use state::{
    BodyDigest, Event, Horizon, LedgerEntry, Outcome, PartitionChange, PartitionLog, PartitionLogFault,
    Position, Restored, SpilledDelivery,
};
use tests::{KafkaCluster, KafkaTopic, PATIENCE};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};

/// What a member is given of a partition.
#[derive(Debug, Default, PartialEq)]
struct Given {
    outcomes: BTreeMap<String, LedgerEntry>,
    left: Option<Horizon>,
    waiting: Vec<SpilledDelivery>,
}

/// Runs a part of a scenario to its end, on the runtime of all of them: what is claimed is followed between the parts.
fn run<T>(part: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime =
        RUNTIME.get_or_init(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());
    runtime.block_on(async { timeout(PATIENCE, part).await.expect("it comes to an end") })
}

async fn member(topic: &KafkaTopic<'_>, seed: u64) -> StateTopics {
    let partitions = i32::try_from(topic.leaders().len()).unwrap();
    open(topic.follow_options(seed), partitions).await.unwrap()
}

async fn open(options: FollowOptions, partitions: i32) -> Result<StateTopics, FollowFault> {
    let topics = StateTopics::new(options)?;
    topics.cover(partitions, true).await?;
    Ok(topics)
}

async fn claim_under(topics: &StateTopics, partition: i32, under: Option<u64>) -> Result<Given, FollowFault> {
    let mut restored = topics.claim(ClaimRequest { partition, committed_under: under, from: None });
    let mut given = Given::default();
    while let Some(item) = restored.next().await {
        match item? {
            Restored::Outcome { event_id, entry, .. } => {
                given.outcomes.insert(event_id.to_string(), entry);
            }
            Restored::Left(left) => given.left = left,
            Restored::Waiting(delivery) => given.waiting.push(*delivery),
        }
    }
    Ok(given)
}

async fn claim(topics: &StateTopics, partition: i32) -> Given {
    claim_under(topics, partition, None).await.unwrap()
}

fn entry(outcome: Outcome, event: u64) -> LedgerEntry {
    LedgerEntry { outcome, digest: BodyDigest::of(b"body"), failed_attempts: 1, at: 1_000 + event }
}

fn outcome(event: u64, outcome: Outcome) -> PartitionChange {
    PartitionChange::Outcome {
        broker: "acme".into(),
        event_id: format!("e{event}").into(),
        entry: entry(outcome, event),
    }
}

fn delivery(topic: &KafkaTopic<'_>, partition: i32, event: u64) -> SpilledDelivery {
    let body = Bytes::from(format!("{{\"eventId\":\"e{event}\"}}"));
    let event = Event {
        position: Position::new(name_of(topic.name(), partition), 0, event),
        event_id: format!("e{event}").into(),
        load_id: format!("LD-{}", event % 7).into(),
        status: "posted".into(),
        occurred_at: 5,
        sequence: Some(event),
        traceparent: None,
        read_at: 6,
        digest: BodyDigest::of(&body),
        body,
    };
    SpilledDelivery { not_before: 7, ..SpilledDelivery::untried("acme".into(), 0, event) }
}

/// What becomes of event number `event`: every tenth waits, and half of those are delivered later.
fn changes(topic: &KafkaTopic<'_>, partition: i32, event: u64) -> Vec<PartitionChange> {
    if !event.is_multiple_of(10) {
        return vec![outcome(event, Outcome::Delivered)];
    }
    let mut changes = vec![
        PartitionChange::Waiting(Box::new(delivery(topic, partition, event))),
        outcome(event, Outcome::Spilled),
    ];
    if event.is_multiple_of(20) && event >= 100 {
        let earlier = event - 100;
        let position = Position::new(name_of(topic.name(), partition), 0, earlier);
        changes.push(outcome(earlier, Outcome::Delivered));
        changes.push(PartitionChange::Done { broker: "acme".into(), position });
    }
    changes
}

/// What whoever claims `partition` next must be given once the first `events` have been appended.
fn expected(topic: &KafkaTopic<'_>, partition: i32, events: u64, left: Option<Horizon>) -> Given {
    let mut given = Given { left, ..Given::default() };
    for change in (0..events).flat_map(|event| changes(topic, partition, event)) {
        match change {
            PartitionChange::Outcome { event_id, entry, .. } => {
                given.outcomes.insert(event_id.to_string(), entry);
            }
            PartitionChange::Waiting(delivery) => given.waiting.push(*delivery),
            PartitionChange::Done { position, .. } => {
                given.waiting.retain(|waits| waits.event.position != position);
            }
            PartitionChange::Horizon(_) => {}
        }
    }
    given
}

/// Appends events in commits of a hundred, several of them under way.
async fn append(topics: &StateTopics, topic: &KafkaTopic<'_>, partition: i32, events: std::ops::Range<u64>) {
    let source = name_of(topic.name(), partition);
    let mut under_way = Vec::new();
    let all: Vec<u64> = events.collect();
    for commit in all.chunks(100) {
        let changes = commit.iter().flat_map(|event| changes(topic, partition, *event));
        under_way.push(topics.append(&source, changes.collect()));
        if under_way.len() == 4 {
            under_way.remove(0).await.unwrap();
        }
    }
    for appended in under_way {
        appended.await.unwrap();
    }
}

/// Without those that have ended: whoever died may have recorded that, and not removed them yet.
fn open_ones(given: Given) -> Given {
    let mut given = by_load(given);
    let has_ended = |waits: &SpilledDelivery| {
        given.outcomes.get(&*waits.event.event_id).is_some_and(|entry| entry.outcome == Outcome::Delivered)
    };
    given.waiting.retain(|waits| !has_ended(waits));
    given
}

/// Of a load they come in the order of their events; of the others in any.
fn by_load(mut given: Given) -> Given {
    let mut last = BTreeMap::new();
    for waits in &given.waiting {
        let before = last.insert(waits.event.load_id.clone(), waits.event.position.offset);
        assert!(before < Some(waits.event.position.offset), "{waits:?} comes too late");
    }
    given.waiting.sort_by_key(|waits| waits.event.position.offset);
    given
}

fn horizon(offset: u64) -> PartitionChange {
    PartitionChange::Horizon(Some(Horizon { epoch: 0, offset }))
}

#[test]
fn what_one_member_has_written_the_next_is_given_after_a_release_and_after_a_crash() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(3);
    run(async {
        let one = member(&topic, 1).await;
        for partition in 0..3 {
            assert_eq!(claim(&one, partition).await, Given::default(), "nobody has had it");
            append(&one, &topic, partition, 0..2_000).await;
        }
        one.append(&name_of(topic.name(), 2), vec![horizon(3_000)]).await.unwrap();
        one.release(0, None).await.unwrap();
        one.release(1, None).await.unwrap();
        let two = member(&topic, 2).await;
        for (partition, left) in [(0, None), (1, None), (2, Some(Horizon { epoch: 0, offset: 3_000 }))] {
            // The first is alive, and finds out that it has lost the third.
            let given = open_ones(claim(&two, partition).await);
            assert!(
                given == expected(&topic, partition, 2_000, left),
                "partition {partition}: {:?}",
                given.left
            );
        }
        // It goes on where the other has ended.
        append(&two, &topic, 0, 2_000..2_500).await;
        two.release(0, None).await.unwrap();
        assert!(by_load(claim(&one, 0).await) == expected(&topic, 0, 2_500, None));
        one.finish().await;
        two.finish().await;
    });
}

#[test]
fn after_a_later_claim_only_what_an_earlier_claimant_has_delivered_counts() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(1);
    run(async {
        let (one, two, three) = (member(&topic, 1).await, member(&topic, 2).await, member(&topic, 3).await);
        claim(&one, 0).await;
        append(&one, &topic, 0, 0..100).await;
        let late: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = Arc::clone(&late);
        two.on_late(Box::new(move |_, restored| {
            let Restored::Outcome { event_id, .. } = restored else { panic!("{restored:?}") };
            told.lock().push(event_id.to_string());
        }));
        let given = by_load(claim(&two, 0).await);
        assert_eq!((given.outcomes.len(), given.left), (100, Some(Horizon { epoch: 0, offset: 0 })));
        // Whether or not the first knows by now, of these one counts.
        let source = name_of(topic.name(), 0);
        let changes = [
            outcome(200, Outcome::Delivered),
            outcome(201, Outcome::DeadLettered),
            outcome(202, Outcome::Spilled),
        ];
        let fault = one.append(&source, changes.into()).await;
        assert!(matches!(fault, Ok(()) | Err(PartitionLogFault::Superseded { .. })), "{fault:?}");
        append(&two, &topic, 0, 300..310).await;
        while late.lock().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(*late.lock(), ["e200"]);
        let given = claim(&three, 0).await;
        let known = |event: &str| given.outcomes.get(event).map(|entry| entry.outcome);
        assert_eq!((known("e200"), known("e201"), known("e202")), (Some(Outcome::Delivered), None, None));
        assert!(known("e309").is_some() && given.outcomes.len() == 111);
    });
}

#[test]
fn a_node_is_killed_in_the_middle_and_nothing_that_was_acknowledged_is_missing() {
    let Some(cluster) = KafkaCluster::of_three() else { return };
    let topic = cluster.topic(2);
    let one = run(member(&topic, 1));
    for partition in 0..2 {
        run(claim(&one, partition));
        run(append(&one, &topic, partition, 0..500));
    }
    for (node, from) in (0..3).zip([500, 1_500, 2_500]) {
        cluster.kill(node);
        for partition in 0..2 {
            run(append(&one, &topic, partition, from..from + 1_000));
        }
        // Claimed while a node is missing: by a member that is told of all three.
        let two = run(member(&topic, 10 + node as u64));
        for partition in 0..2 {
            let (given, known) =
                (open_ones(run(claim(&two, partition))), expected(&topic, partition, from + 1_000, None));
            assert!(given.outcomes == known.outcomes, "node {node}");
            assert!(given.waiting == known.waiting, "node {node}: {:?}", given.waiting);
            run(two.release(partition, None)).unwrap();
        }
        run(two.finish());
        cluster.start_again(node);
        cluster.wait_until_whole();
        for partition in 0..2 {
            run(claim(&one, partition));
        }
    }
    run(one.finish());
}

#[test]
fn topics_that_are_missing_or_wrong_are_refused_with_the_command_that_helps() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(2);
    let strict = FollowOptions { create: false, ..topic.follow_options(1) };
    let look = |partitions| run(open(strict.clone(), partitions));
    // As somebody would who follows what it says.
    let obey = |fault: FollowFault, class: &str| {
        let FollowFault::Topic { command, .. } = fault else { panic!("{fault}") };
        let arguments: Vec<_> = command.split(' ').skip(1).collect();
        let _said = cluster.tool(class, &arguments);
    };
    const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
    const CONFIGS: &str = "org.apache.kafka.tools.ConfigCommand";
    // The ledger's, that of waiting deliveries, and the group's.
    for _ in 0..3 {
        obey(look(2).unwrap_err(), TOPICS);
    }
    run(look(2).unwrap().finish());
    // The source has grown.
    obey(look(3).unwrap_err(), TOPICS);
    obey(look(3).unwrap_err(), TOPICS);
    run(look(3).unwrap().finish());
    let wrong = FollowOptions { dedupe_window: Duration::from_secs(48 * 3_600), ..strict.clone() };
    let fault = run(open(wrong.clone(), 3)).unwrap_err();
    assert!(fault.to_string().contains("retention.ms"), "{fault}");
    obey(fault, CONFIGS);
    run(async { open(wrong, 3).await.unwrap().finish().await });
    // A member that may do it grows them itself.
    run(async {
        let topics = open(topic.follow_options(1), 3).await.unwrap();
        topics.cover(5, true).await.unwrap();
        assert_eq!(claim(&topics, 4).await, Given::default());
        topics.finish().await;
    });
    run(look(5).unwrap().finish());
}

#[test]
fn topics_that_were_made_anew_are_refused_by_who_has_committed_under_them() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(1);
    run(async {
        let one = member(&topic, 1).await;
        claim(&one, 0).await;
        append(&one, &topic, 0, 0..10).await;
        let under = one.epoch(0);
        one.release(0, None).await.unwrap();
        let again = claim_under(&one, 0, under).await.unwrap();
        assert_eq!(again.outcomes.len(), 10);
        let other =
            FollowOptions { ledger_topic: format!("{}-other", topic.name()), ..topic.follow_options(2) };
        let two = open(other, 1).await.unwrap();
        let fault = claim_under(&two, 0, one.epoch(0)).await.unwrap_err();
        assert!(matches!(fault, FollowFault::Forgotten { .. }), "{fault}");
        one.finish().await;
        two.finish().await;
    });
}
