//! Claims: whose records count, and what is given back.

use state::Checkpoint;

use super::*;

#[tokio::test(start_paused = true)]
async fn what_one_has_appended_the_next_is_given() {
    let logs = ScriptedLogs::default();
    let one = Site::new(logs.clone(), 1);
    assert_eq!(one.claim().await, Given { left: Some(None), ..Given::default() });
    one.appended(vec![PartitionChange::Horizon(horizon(1024)), outcome(1, Outcome::Delivered)]).await;
    one.appended(vec![
        waits("x", 2),
        outcome(2, Outcome::Spilled),
        waits("x", 3),
        outcome(3, Outcome::Spilled),
    ])
    .await;
    one.appended(vec![waits("y", 4), outcome(4, Outcome::Spilled), waits("x", 2)]).await;
    one.appended(vec![outcome(4, Outcome::Delivered), done(4)]).await;
    let two = Site::new(logs.another(), 2);
    let given = two.claim().await;
    assert_eq!(
        (given.left, &given.waiting[..]),
        (Some(horizon(1024)), &[2, 3][..]),
        "2 was written again, behind 3"
    );
    let outcomes: Vec<_> = given.outcomes.values().map(|entry| entry.outcome).collect();
    assert_eq!(outcomes, [Outcome::Delivered, Outcome::Spilled, Outcome::Spilled, Outcome::Delivered]);
    assert_eq!(given.outcomes["e4"].at, 1_004);
    settle().await;
    assert_eq!(*one.told.superseded.lock(), ["kafka:t/0"]);
    let fault = one.append(vec![outcome(5, Outcome::Spilled)]).await.unwrap_err();
    assert!(
        matches!(fault, PartitionLogFault::Superseded { epoch, .. } if Some(epoch) == two.follower.epoch(0))
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_release_nothing_is_in_doubt_and_all_is_there() {
    let logs = ScriptedLogs::default();
    let one = Site::new(logs.clone(), 1);
    one.claim().await;
    one.appended(vec![PartitionChange::Horizon(horizon(1024)), waits("x", 2), outcome(2, Outcome::Spilled)])
        .await;
    one.appended(vec![waits("x", 3), outcome(3, Outcome::Spilled)]).await;
    one.appended(vec![outcome(2, Outcome::DeadLettered), done(2)]).await;
    one.follower.release(0, Some(Checkpoint { epoch: 0, offset: 5, mark: Vec::new() })).await.unwrap();
    assert!(one.append(vec![outcome(9, Outcome::Delivered)]).await.is_err(), "it was given up");
    let given = Site::new(logs.another(), 2).claim().await;
    assert_eq!((given.left, given.waiting), (Some(None), vec![3]));
    assert!(one.told.superseded.lock().is_empty());
    let tombstone = logs.taken().into_iter().filter(|record| record.value.is_none()).count();
    assert_eq!(tombstone, 1, "before it was released");
}

#[tokio::test(start_paused = true)]
async fn what_a_zombie_writes_counts_only_if_it_was_delivered() {
    let logs = ScriptedLogs::default();
    let one = Site::new(logs.clone(), 1);
    one.claim().await;
    one.appended(vec![waits("x", 1), outcome(1, Outcome::Spilled)]).await;
    // Its producer stands still; what it has appended comes after the next claim.
    logs.hold();
    let late = one.append(vec![
        outcome(2, Outcome::Delivered),
        outcome(3, Outcome::DeadLettered),
        outcome(1, Outcome::DeadLettered),
        done(1),
    ]);
    let two = Site::new(logs.another(), 2);
    assert_eq!(two.claim().await.waiting, [1]);
    settle().await;
    logs.go_on();
    let _refused = late.await;
    settle().await;
    assert_eq!(logs.taken().iter().filter(|record| record.value.is_none()).count(), 0, "it removes nothing");
    let late = two.told.late.lock().clone();
    assert!(matches!(&late[..], [Restored::Outcome { event_id, .. }] if &**event_id == "e2"), "{late:?}");
    // What it was told is a superseded partition; what it delivers until it has stopped is written all the same.
    let fault = one.append(vec![outcome(4, Outcome::Delivered), outcome(5, Outcome::Spilled)]).await;
    assert!(fault.is_err());
    settle().await;
    let last = logs.taken().pop().and_then(|record| record.value).unwrap();
    let said = StateValue::decode(&last).unwrap().said;
    assert!(matches!(said, Said::Outcome { event_id, .. } if &*event_id == "e4"), "and nothing else");
    assert_eq!(two.told.late.lock().len(), 2);
    let three = Site::new(logs.another(), 3).claim().await;
    let known: Vec<_> = three.outcomes.iter().map(|(event, entry)| (event.as_str(), entry.outcome)).collect();
    assert_eq!(known, [("e1", Outcome::Spilled), ("e2", Outcome::Delivered), ("e4", Outcome::Delivered)]);
    assert_eq!(three.waiting, [1]);
}

#[tokio::test(start_paused = true)]
async fn what_a_zombie_puts_back_may_have_been_sent_by_its_successor() {
    let logs = ScriptedLogs::default();
    let one = Site::new(logs.clone(), 1);
    one.claim().await;
    one.appended(vec![waits("x", 1), outcome(1, Outcome::Spilled), waits("y", 2)]).await;
    logs.hold();
    let late = one.append(vec![waits("x", 1)]);
    let two = Site::new(logs.another(), 2);
    assert_eq!(two.claim().await.waiting, [1, 2]);
    two.appended(vec![waits("x", 1)]).await;
    logs.go_on();
    let _refused = late.await;
    settle().await;
    two.follower.release(0, None).await.unwrap();
    let three = Site::new(logs.another(), 3).claim().await;
    assert_eq!((three.waiting, three.repeats), (vec![2, 1], vec![1]));
}

#[tokio::test(start_paused = true)]
async fn of_two_that_claim_at_once_the_later_one_has_it_and_the_earlier_one_never_ends() {
    let logs = ScriptedLogs::default();
    let before = Site::new(logs.clone(), 9);
    before.claim().await;
    before.appended(vec![waits("x", 1), outcome(1, Outcome::Spilled)]).await;
    let (one, two) = (Site::new(logs.another(), 1), Site::new(logs.another(), 2));
    one.logs.hold();
    let mut of_one = one.claim_with(None, None);
    assert!(of_one.next().now_or_never().is_none());
    settle().await;
    // Its claim of the ledger's topic is there, the other's stands behind it.
    assert_eq!(one.logs.let_through(1), 1);
    settle().await;
    let given = two.claim().await;
    assert_eq!(given.waiting, [1]);
    one.logs.go_on();
    settle().await;
    let mut taken = Vec::new();
    while let Some(item) = of_one.next().now_or_never() {
        taken.push(item.expect("it does not end").unwrap());
    }
    assert!(taken.len() <= 2, "what it was given before it knew: {taken:?}");
    assert_eq!(*one.told.superseded.lock(), ["kafka:t/0"]);
    assert!(two.told.superseded.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_was_made_anew_is_refused_and_one_that_retention_has_shortened_is_not() {
    let logs = ScriptedLogs::default();
    let one = Site::new(logs.clone(), 1);
    one.claim().await;
    one.appended(vec![outcome(1, Outcome::Delivered)]).await;
    let epoch = one.follower.epoch(0);
    assert_eq!(
        restored(Site::new(logs.another(), 2).claim_with(epoch, None)).await.unwrap().outcomes.len(),
        1
    );
    // Both are another cluster's.
    let fault = restored(Site::new(ScriptedLogs::default(), 3).claim_with(Some(7), None)).await.unwrap_err();
    assert!(
        matches!(&fault, FollowFault::Forgotten { topic, expected: 7, found: 0, .. } if topic == "t-ledger")
    );
    assert!(fault.to_string().contains("--reset-offsets"), "{fault}");
    // One of them is, and has had claims since.
    let mut waiting_lost = logs.another();
    waiting_lost.waiting = Default::default();
    let fault = restored(Site::new(waiting_lost, 4).claim_with(epoch, None)).await.unwrap_err();
    assert!(matches!(&fault, FollowFault::Forgotten { topic, .. } if topic == "t-waiting"), "{fault}");
    let mut ledger_lost = logs.another();
    ledger_lost.ledger = Default::default();
    let site = Site::new(ledger_lost, 5);
    site.logs.ledger.change(0, |log| (log.start, log.next) = (500, 500));
    let given = restored(site.claim_with(epoch, None)).await.unwrap();
    assert_eq!((given.outcomes.len(), given.left), (0, Some(horizon(0))), "retention has removed all of it");
}

#[tokio::test(start_paused = true)]
async fn a_local_copy_needs_only_what_came_since() {
    let logs = ScriptedLogs::default();
    let one = Site::new(logs.clone(), 1);
    one.claim().await;
    one.appended((0..50).map(|event| outcome(event, Outcome::Delivered)).collect()).await;
    settle().await;
    let stamp = one.follower.stamp(0);
    one.appended(vec![outcome(50, Outcome::Delivered), waits("x", 51), outcome(51, Outcome::Spilled)]).await;
    one.follower.release(0, None).await.unwrap();
    let given = restored(one.claim_with(None, stamp)).await.unwrap();
    let events: Vec<_> = given.outcomes.keys().map(String::as_str).collect();
    assert_eq!((events, &given.waiting[..], given.left), (vec!["e50", "e51"], &[51][..], Some(None)));
    // Retention has overtaken the copy: what is there is given.
    logs.ledger.change(0, |log| {
        log.start = 52;
        log.records.retain(|record| record.offset() >= 52);
    });
    let given = restored(one.claim_with(None, Some(Stamp { epoch: 1, offset: 20 }))).await.unwrap();
    assert_eq!(given.outcomes.len(), 1);
    // The copy is of a topic that is no more.
    let of_another = Some(Stamp { epoch: 900, offset: 1_000 });
    let fault = restored(one.claim_with(None, of_another)).await.unwrap_err();
    assert!(matches!(fault, FollowFault::Forgotten { expected: 900, .. }), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn a_record_of_a_newer_version_is_named_with_its_place() {
    let logs = ScriptedLogs::default();
    let one = Site::new(logs.clone(), 1);
    one.claim().await;
    logs.ledger.change(0, |log| {
        let mut record = log.records[0].clone();
        record.mark.offset = log.next;
        record.value = Some(bytes::Bytes::from_static(b"\x02\x01"));
        log.records.push(record);
        log.next += 1;
    });
    let fault = restored(Site::new(logs.another(), 2).claim_with(None, None)).await.unwrap_err();
    let said = fault.to_string();
    assert!(
        said.contains("record at 1 of partition 0 of the state topic t-ledger") && said.contains("version 2"),
        "{said}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_compaction_replaces_while_it_is_read_is_found_again() {
    let logs = ScriptedLogs::default();
    let one = Site::new(logs.clone(), 1);
    one.claim().await;
    // More than the stream holds, so that the second reading stands still in the middle.
    let all = 600;
    one.appended(
        (0..all)
            .flat_map(|event| [waits(&format!("l{event}"), event), outcome(event, Outcome::Spilled)])
            .collect(),
    )
    .await;
    let two = Site::new(logs.another(), 2);
    let mut stream = two.claim_with(None, None);
    for _ in 0..=all {
        stream.next().await.unwrap().unwrap();
    }
    settle().await;
    // The one before writes the last one again, and all that it replaces goes.
    let value = StateValue { epoch: 1, said: Said::Waiting(Box::new(waiting("b", "l599", all - 1, b"{}"))) };
    let key = super::super::record::WaitingKey::new("b", &Position::new(name_of("t", 0), 0, all - 1));
    let record = super::super::port::StateRecord {
        topic: StateTopic::Waiting,
        partition: 0,
        key: Some(key.as_bytes().to_vec()),
        value: Some(value.encode().unwrap()),
    };
    let writer = logs.another();
    assert!(super::super::port::StateWriter::offer(&writer, &record, &Arc::default()).unwrap());
    logs.compact(0);
    let mut given: Vec<_> = Vec::new();
    while let Some(item) = stream.next().await {
        let Restored::Waiting(delivery) = item.unwrap() else { panic!("only what waits") };
        given.push(delivery.event.position.offset);
    }
    assert_eq!(given, (0..all).collect::<Vec<_>>());
}
