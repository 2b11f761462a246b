//! A partition goes from one process to another while a broker is away, and its producer repeats itself afterwards.

use lab::receiver::Behaviour;
use tests::{Events, Fleet, Oracle, PossibleRepeats, ShipmentEvent, Site, Wants, until};

use crate::topic::Topic;

fn site(fleet: &Fleet, wants: &[Wants], topic: &Topic, partitions: &[i64]) -> Site {
    let mut site = Site::with_topic(fleet, wants, &topic.endpoint, &topic.name);
    site.set("source.partitions", partitions.to_vec());
    site.impatient();
    site
}

fn produce(site: &Site, events: &[ShipmentEvent]) {
    site.write(events);
    let _produced = site.produce("2m").expect(0);
}

fn told(ended: &tests::Ended) -> serde_json::Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

#[test]
fn a_partition_that_is_moved_while_a_broker_is_away_gives_each_event_once_and_in_order() {
    let Some(topic) = Topic::create(3) else { return };
    let log = Events::new(71, 300).take(6_000);
    let (fleet, wants) = (Fleet::start(2), [Wants::all(), Wants::all()]);
    let oracle = Oracle::new(&log, &wants);
    let (well, away) = (fleet.tms(0), fleet.tms(1));
    let mut one = site(&fleet, &wants, &topic, &[0, 1]);
    let mut other = site(&fleet, &wants, &topic, &[2]);
    away.refuse();
    produce(&one, &log[..3_000]);
    let runs = [one.run(), other.run()];
    well.wait_for(3_000);
    for run in runs {
        run.terminate();
        // What waits for the broker that is away goes to disk.
        assert_eq!(run.wait().summary().possible_repeats, PossibleRepeats::default());
    }

    let file = one.path("partition-0.export").display().to_string();
    let export = ["state", "export", "--json", "--partition", "0", &file, "--config"];
    let exported = told(&one.loadline(&export).expect(0));
    assert!(exported["deliveries"].as_u64().unwrap() > 0, "nothing waited: {exported}");
    let refused = one.run().wait().expect(1);
    let named = format!("fluvio:{}/0 was exported from this state directory", topic.name);
    assert!(refused.stderr.contains(&named), "{refused:?}");
    assert_eq!(told(&other.loadline(&["state", "import", "--json", &file, "--config"]).expect(0)), exported);

    // The producer does not know what it has sent, and goes on.
    produce(&one, &log);
    one.set("source.partitions", vec![1]);
    other.set("source.partitions", vec![0, 2]);
    other.set("source.start", "checkpoint");
    let runs = [one.run(), other.run()];
    well.wait_for(6_000);
    away.behave(Behaviour::default());
    until("the other broker has caught up", || away.taken() >= 6_000);
    let mut records = 0;
    for run in runs {
        run.terminate();
        let summary = run.wait().summary();
        assert_eq!(summary.possible_repeats, PossibleRepeats::default());
        records += summary.records;
    }
    assert_eq!(records, 6_000, "what was settled before was read again, or not all of the repeats were");
    oracle.assert_exactly_once(&fleet);
}

#[test]
fn a_partition_of_a_process_that_was_killed_moves_with_what_may_repeat() {
    let Some(topic) = Topic::create(2) else { return };
    let log = Events::new(72, 100).take(10_000);
    let (fleet, wants) = (Fleet::start(1), [Wants::all()]);
    let oracle = Oracle::new(&log, &wants);
    let mut one = site(&fleet, &wants, &topic, &[0, 1]);
    let other = site(&fleet, &wants, &topic, &[0]);
    produce(&one, &log);
    let run = one.run();
    until("some are delivered", || fleet.taken() > 1_000);
    let _killed = run.kill();
    let file = one.path("partition-0.export").display().to_string();
    let _exported = one.loadline(&["state", "export", "--partition", "0", &file, "--config"]).expect(0);
    let _imported = other.loadline(&["state", "import", &file, "--config"]).expect(0);
    one.set("source.partitions", vec![1]);
    let runs = [one.run(), other.run()];
    until("all are delivered", || oracle.judge_all(&fleet).iter().all(|given| given.missing == 0));
    let [stayed, moved] = runs.map(|run| {
        run.terminate();
        run.wait().summary().possible_repeats.crash
    });
    assert!(moved > 0, "what the killed process had read and not put on record is not counted");
    let given = oracle.assert_nothing_lost(&fleet);
    assert!(
        given.repeats <= usize::try_from(stayed + moved).unwrap(),
        "{given:?}, {stayed} and {moved} were counted"
    );
}

#[test]
fn a_partition_that_is_begun_elsewhere_without_a_move_gives_what_the_producer_repeats_a_second_time() {
    let Some(topic) = Topic::create(1) else { return };
    let log = Events::new(73, 50).take(600);
    let (fleet, wants) = (Fleet::start(1), [Wants::all()]);
    let oracle = Oracle::new(&log, &wants);
    let [one, mut other] = [(); 2].map(|()| site(&fleet, &wants, &topic, &[0]));
    produce(&one, &log[..400]);
    let run = one.run();
    fleet.tms(0).wait_for(400);
    run.terminate();
    let _summary = run.wait().summary();
    other.set("source.start", toml::Table::from_iter([("offset".to_owned(), 400.into())]));
    produce(&other, &log[200..]);
    let run = other.run();
    fleet.tms(0).wait_for(800);
    run.terminate();
    let _summary = run.wait().summary();
    // The oracle also sees to it that a repeat has the id of the first.
    let given = oracle.judge(0, &fleet.tms(0).arrivals());
    assert_eq!((given.missing, given.repeats), (0, 200));
}
