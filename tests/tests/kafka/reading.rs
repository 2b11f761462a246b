//! A topic as the source: every event once, in order per load, over a restart and a kill; transactions; long records.

use tests::{Events, Fleet, KafkaCluster, KafkaRecord, Oracle, Transaction, Wants, until};

use crate::site::{end, group, member, member_by, status};

#[test]
fn every_event_is_delivered_once_in_order_and_a_second_run_goes_on_where_the_first_ended() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(4);
    let log = Events::new(1, 200).take(6_000);
    let (fleet, wants) = (Fleet::start(2), [Wants::all(), Wants::all().only(&["delivered"])]);
    let (oracle, first) = (Oracle::new(&log, &wants), Oracle::new(&log[..4_000], &wants));
    let site = member(&fleet, &wants, &topic, &group(&topic));
    topic.produce(&log[..4_000]);
    let run = site.run();
    until("the first part is delivered", || fleet.taken() == first.deliveries());
    assert_eq!(end(run), 4_000);
    let next: Vec<_> = topic.offsets().into_iter().map(|(_, next)| Some(next)).collect();
    assert_eq!(topic.committed(&group(&topic)), next, "what other tools see as lag is none");

    let run = site.run();
    topic.produce(&log[4_000..]);
    until("the rest is delivered", || fleet.taken() == oracle.deliveries());
    assert_eq!(end(run), 2_000);
    oracle.assert_exactly_once(&fleet);
}

#[test]
fn a_run_that_is_killed_loses_nothing_and_counts_what_may_repeat() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(3);
    let log = Events::new(2, 100).take(6_000);
    let (fleet, wants) = (Fleet::start(1), [Wants::all()]);
    let oracle = Oracle::new(&log, &wants);
    let mut site = member(&fleet, &wants, &topic, &group(&topic));
    // A member that comes back under its name is given its partitions at once.
    site.set("source.instance_id", "the-only-one");
    topic.produce(&log);
    let run = site.run();
    until("some are delivered", || fleet.taken() > 500);
    let _killed = run.kill();
    let run = site.run();
    until("all are delivered", || oracle.judge_all(&fleet).iter().all(|given| given.missing == 0));
    run.terminate();
    let counted = run.wait().summary().possible_repeats.crash;
    let given = oracle.assert_nothing_lost(&fleet);
    assert!(given.repeats as u64 <= counted, "{given:?}, {counted} were counted");
}

#[test]
fn records_of_an_aborted_transaction_are_never_delivered_and_hold_nothing_up() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(2);
    let log = Events::new(3, 20).take(400);
    let records: Vec<_> = log.iter().map(KafkaRecord::of).collect();
    let kept = [&log[..100], &log[200..]].concat();
    let (fleet, wants) = (Fleet::start(1), [Wants::all()]);
    let oracle = Oracle::new(&kept, &wants);
    let site = member(&fleet, &wants, &topic, &group(&topic));
    topic.transact("billing", &records[..100], Transaction::Commit);
    topic.transact("billing", &records[100..200], Transaction::Abort);
    let run = site.run();
    topic.transact("billing", &records[200..300], Transaction::Commit);
    topic.produce(&log[300..]);
    until("what was committed is delivered", || fleet.taken() == oracle.deliveries());
    assert_eq!(end(run), 300);
    oracle.assert_exactly_once(&fleet);
}

#[test]
fn a_batch_that_is_longer_than_the_fetch_is_read_and_a_record_that_is_too_long_is_a_dead_letter() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(1);
    let log = Events::new(4, 20).take(2_000);
    let (fleet, wants) = (Fleet::start(1), [Wants::all()]);
    let oracle = Oracle::new(&log, &wants);
    let mut site = member(&fleet, &wants, &topic, &group(&topic));
    site.set("source.record_max", "64KiB");
    site.set("source.fetch_partition_max", "64KiB");
    site.set("source.fetch_queue_max", "64KiB");
    let long = KafkaRecord { value: Some(vec![b' '; 300 << 10]), ..KafkaRecord::default() };
    let records: Vec<_> = log.iter().map(KafkaRecord::of).collect();
    // About 800 KB in one batch.
    let settings = [("linger.ms", "2000"), ("batch.size", "1000000"), ("batch.num.messages", "100000")];
    topic.append_with(&records[..1_900], &settings);
    topic.append(&[long]);
    topic.append(&records[1_900..]);
    let run = site.run();
    until("all events are delivered", || fleet.taken() == oracle.deliveries());
    assert_eq!(end(run), 2_001);
    oracle.assert_exactly_once(&fleet);
    let letters = site.dead_letters();
    assert_eq!(letters.len(), 1, "{letters:?}");
}

#[test]
fn a_topic_that_is_made_later_and_partitions_that_are_added_are_read_from_their_beginning() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(1);
    topic.delete();
    let log = Events::new(5, 50).take(900);
    let (fleet, wants) = (Fleet::start(1), [Wants::all()]);
    let oracle = Oracle::new(&log, &wants);
    // Its coordinator tells members of a topic's new partitions; the classic one leaves that to them, once a minute.
    let site = member_by("consumer", &fleet, &wants, &topic, &group(&topic));
    let run = site.run();
    until("the run says what it waits for", || run.log().contains("does not exist"));
    topic.create(2, &[]);
    topic.produce(&log[..300]);
    until("the first part is delivered", || fleet.taken() == 300);
    topic.grow(4);
    topic.produce(&log[300..]);
    until("the rest is delivered", || fleet.taken() == 900);
    assert_eq!(status(&site)["partitions"].as_array().unwrap().len(), 4);
    end(run);
    oracle.assert_exactly_once(&fleet);
}
