//! Appends: in which order records reach both topics, and what an append that is answered means.

use super::*;
use crate::fault::ClusterFault;

/// What this member has written: the topic's letter, and what it says.
fn written(logs: &ScriptedLogs) -> Vec<String> {
    let said = |record: &super::super::port::StateRecord| {
        let topic = if record.topic == StateTopic::Ledger { 'l' } else { 'w' };
        let Some(value) = &record.value else { return format!("{topic} tombstone") };
        match StateValue::decode(value).unwrap().said {
            Said::Outcome { event_id, entry, .. } => format!("{topic} {event_id} {:?}", entry.outcome),
            Said::Horizon(_) => format!("{topic} horizon"),
            Said::Claim(_) => format!("{topic} claim"),
            Said::Released(_) => format!("{topic} released"),
            Said::Waiting(delivery) => format!("{topic} {}", delivery.event.event_id),
        }
    };
    logs.taken().iter().map(said).collect()
}

/// A member that has partition 0, whose cluster takes nothing until it is let through.
async fn held() -> Site {
    let site = Site::new(ScriptedLogs::default(), 1);
    site.claim().await;
    site.logs.hold();
    site
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_there_before_its_outcome_and_removed_behind_the_last_one() {
    let site = held().await;
    let mut spilled =
        site.append(vec![outcome(1, Outcome::Spilled), waits("x", 1), outcome(2, Outcome::Delivered)]);
    settle().await;
    assert_eq!(site.logs.let_through(9), 1, "the delivery alone");
    settle().await;
    assert!((&mut spilled).now_or_never().is_none());
    assert_eq!(site.logs.let_through(9), 2);
    spilled.await.unwrap();
    let ended = site.append(vec![outcome(1, Outcome::Delivered), done(1)]);
    settle().await;
    assert_eq!(site.logs.let_through(9), 1, "the outcome alone");
    ended.await.unwrap();
    settle().await;
    assert_eq!(site.logs.let_through(9), 1, "once it was read back");
    let expected =
        ["l claim", "w claim", "w e1", "l e1 Spilled", "l e2 Delivered", "l e1 Delivered", "w tombstone"];
    assert_eq!(written(&site.logs), expected);
}

#[tokio::test(start_paused = true)]
async fn several_appends_are_under_way_and_keep_their_order() {
    let site = held().await;
    let all: Vec<_> = (0..20)
        .map(|event| {
            let waits = (event % 5 == 0).then(|| waits("x", event));
            let as_told = if event % 5 == 0 { Outcome::Spilled } else { Outcome::Delivered };
            site.append(waits.into_iter().chain([outcome(event, as_told)]).collect())
        })
        .collect();
    settle().await;
    assert_eq!(site.logs.let_through(usize::MAX), 4, "what waits, of all of them");
    settle().await;
    assert_eq!(site.logs.let_through(usize::MAX), 20, "then all outcomes, none waits for the one before");
    for appended in all {
        appended.await.unwrap();
    }
    let outcomes: Vec<_> = written(&site.logs).into_iter().filter(|said| said.starts_with("l e")).collect();
    let in_order =
        (0..20).map(|event| format!("l e{event} {}", if event % 5 == 0 { "Spilled" } else { "Delivered" }));
    assert_eq!(outcomes, in_order.collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_waits_again_is_not_removed_by_an_earlier_end() {
    let site = held().await;
    let appends = [
        site.append(vec![waits("x", 1), outcome(1, Outcome::Spilled)]),
        site.append(vec![outcome(1, Outcome::DeadLettered), done(1)]),
        site.append(vec![waits("x", 1), outcome(1, Outcome::Spilled)]),
    ];
    for _ in 0..5 {
        settle().await;
        site.logs.let_through(usize::MAX);
    }
    for appended in appends {
        appended.await.unwrap();
    }
    assert!(!written(&site.logs).contains(&"w tombstone".to_owned()), "{:?}", written(&site.logs));
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_away_for_an_hour_is_waited_for_and_told_of_once() {
    let site = held().await;
    let mut appended = site.append(vec![outcome(1, Outcome::Delivered)]);
    for _ in 0..3_600 {
        settle().await;
    }
    assert!((&mut appended).now_or_never().is_none() && site.follower.is_away());
    site.logs.go_on();
    appended.await.unwrap();
    assert!(!site.follower.is_away());
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_refused_fails_this_append_and_all_that_follow() {
    let site = Site::new(ScriptedLogs::default(), 1);
    site.claim().await;
    site.appended(vec![outcome(1, Outcome::Delivered)]).await;
    site.logs.refuse(ClusterFault::Refused { what: "a record", detail: "too long".to_owned() });
    for _ in 0..2 {
        let fault = site.append(vec![outcome(2, Outcome::Delivered)]).await.unwrap_err();
        let PartitionLogFault::Failed { detail } = fault else { panic!("{fault}") };
        assert!(detail.contains("t-ledger") && detail.contains("max.message.bytes"), "{detail}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_appended_before_the_claim_is_read_back_waits_for_it() {
    let logs = ScriptedLogs::default();
    let one = Site::new(logs.clone(), 1);
    logs.hold();
    let mut stream = one.claim_with(None, None);
    assert!(stream.next().now_or_never().is_none());
    let appended = one.append(vec![PartitionChange::Horizon(horizon(5))]);
    settle().await;
    logs.go_on();
    appended.await.unwrap();
    restored(stream).await.unwrap();
    let ledger: Vec<_> = written(&logs).into_iter().filter(|said| said.starts_with('l')).collect();
    assert_eq!(ledger, ["l claim", "l horizon"]);
    let fault = one.follower.append(&name_of("other", 0), vec![done(1)]).await.unwrap_err();
    assert!(matches!(fault, PartitionLogFault::Superseded { epoch: 0, .. }));
}
