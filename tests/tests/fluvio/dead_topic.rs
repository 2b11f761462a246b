//! Dead letters on a topic of a real cluster: all that the state directory has, each at least once, as an export has it.

use std::collections::{BTreeMap, BTreeSet};

use lab::receiver::Behaviour;
use serde_json::Value;
use tests::{Events, Fleet, Loadline, ShipmentEvent, Site, Wants, until};

use crate::topic::{OnTopic, Topic};

/// A site that reads a topic and publishes its letters to another one.
fn site(fleet: &Fleet, topic: &Topic, dead: &Topic) -> Site {
    let mut site = Site::with_topic(fleet, &vec![Wants::all(); fleet.len()], &topic.endpoint, &topic.name);
    site.set("dead_topic.topic", dead.name.as_str());
    site.set("dead_topic.backoff_max", "2s");
    site.set("dead_topic.grace", "1m");
    site
}

fn refuse(fleet: &Fleet, index: usize) {
    fleet.tms(index).behave(Behaviour { status: 422.try_into().unwrap(), ..Behaviour::default() });
}

fn produce(site: &Site, events: &[ShipmentEvent], garbage: &[u8]) {
    site.write(events);
    site.append_bytes(garbage);
    let _produced = site.produce("2m").expect(0);
}

/// The dead letters in the state directory, as an export has them, by id.
fn exported(site: &Site) -> BTreeMap<String, Value> {
    let exported = site.loadline(&["dead", "export"]).expect(0);
    by_id(exported.stdout.lines())
}

fn by_id<'l>(lines: impl Iterator<Item = &'l str>) -> BTreeMap<String, Value> {
    let letters = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    letters.map(|letter| (letter["id"].as_str().unwrap().to_owned(), letter)).collect()
}

/// The topic's records under the letters' ids: the last one of each, as a reader would keep it.
fn published(records: &[OnTopic]) -> BTreeMap<String, Value> {
    by_id(records.iter().map(|record| record.value.as_str()))
}

fn end(run: Loadline) -> Value {
    run.terminate();
    let ended = run.wait().expect(0);
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

/// What `loadline status` says of publishing.
fn status(site: &Site) -> Value {
    site.loadline(&["status", "--json"]).status()["deadTopic"].clone()
}

#[test]
fn letters_of_every_kind_come_to_the_topic_as_an_export_has_them_and_a_load_stays_in_one_partition() {
    let (Some(topic), Some(dead)) = (Topic::create(2), Topic::create(3)) else { return };
    let log = Events::new(61, 30).take(600);
    let fleet = Fleet::start(2);
    refuse(&fleet, 1);
    let mut site = site(&fleet, &topic, &dead);
    site.set("dead_topic.value_max", "16KiB");
    let long = [b"{\"long\":\"".as_slice(), &vec![b'x'; 40_000], b"\"}\n"].concat();
    produce(&site, &log, &[b"not json\n\xff\xfe no text\n{\"eventId\":\"x\"}\n".as_slice(), &long].concat());

    let run = site.run();
    until("all letters are on the topic", || published(&dead.records()).len() == 604);
    until("the status says so", || status(&site)["published"] == 604);
    let expected = (&true.into(), &0.into());
    assert_eq!((&status(&site)["connected"], &status(&site)["unpublished"]), expected);
    let summary = end(run);
    assert_eq!((&summary["dead_letters"], &summary["unpublished"]), (&604.into(), &0.into()));

    let records = dead.records();
    let (mut found, mut kept) = (published(&records), exported(&site));
    let omitted: Vec<String> =
        found.iter().filter(|(_, letter)| letter["bodyOmitted"] == true).map(|(id, _)| id.clone()).collect();
    assert_eq!(omitted.len(), 1, "{omitted:?}");
    assert_eq!(found[&omitted[0]]["bytes"], long.len() - 1);
    for all in [&mut found, &mut kept] {
        let _long = all.remove(&omitted[0]);
    }
    assert_eq!(found, kept);
    let mut partitions: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    for record in &records {
        let letter: Value = serde_json::from_str(&record.value).unwrap();
        assert_eq!(record.key.as_deref(), letter["loadId"].as_str());
        partitions.entry(record.key.as_deref().unwrap_or_default()).or_default().insert(record.partition);
    }
    assert!(partitions.values().all(|of_load| of_load.len() == 1), "{partitions:?}");
    assert_eq!(partitions[""], BTreeSet::from([0]), "without a load");
    let used: BTreeSet<u32> = partitions.values().flatten().copied().collect();
    assert_eq!(used.len(), 3);
    // Of the same load and broker, nothing overtook.
    for partition in 0..3 {
        let of = records.iter().filter(|record| record.partition == partition && record.key.is_some());
        let mut last: BTreeMap<(&str, String), u64> = BTreeMap::new();
        for record in of {
            let letter: Value = serde_json::from_str(&record.value).unwrap();
            let source = letter["source"].as_str().unwrap().to_owned();
            let offset = letter["offset"].as_u64().unwrap();
            let before = last.insert((record.key.as_deref().unwrap(), source), offset);
            assert!(before.is_none_or(|before| before <= offset), "{before:?} before {offset}");
        }
    }
}

#[test]
fn a_run_that_is_killed_and_one_that_was_without_the_topic_leave_no_letter_out() {
    let (Some(topic), Some(dead)) = (Topic::create(1), Topic::create(2)) else { return };
    let log = Events::new(62, 100).take(9_000);
    let fleet = Fleet::start(1);
    refuse(&fleet, 0);
    let publishing = site(&fleet, &topic, &dead);
    produce(&publishing, &log[..6_000], b"not json\n");
    let run = publishing.run();
    until("some are on the topic", || dead.records().len() > 500);
    let _killed = run.kill();
    let at_kill = dead.records().len();
    // Whatever comes while nothing is published is published later.
    let mut without = publishing;
    without.set("dead_topic.topic", "loadline-test-there-is-none");
    without.set("dead_topic.grace", "0s");
    produce(&without, &log[6_000..], b"");
    let run = without.run();
    // Asked before, the status would open the directory itself.
    until("the topic is read", || run.log().contains("reading the partition"));
    until("all are letters", || {
        let told = without.loadline(&["status", "--json"]);
        let status: Value = serde_json::from_str(&told.stdout).unwrap_or_default();
        status["deadLetters"]["total"] == 9_001
    });
    let told = status(&without);
    assert_eq!(told["connected"], false, "{told}");
    run.terminate();
    let ended = run.wait().expect(0);
    assert_eq!(ended.stderr.matches("dead letters cannot be published").count(), 1, "said once: {ended:?}");
    let left = serde_json::from_str::<Value>(&ended.stdout).unwrap()["unpublished"].as_u64().unwrap();
    assert!(left >= 3_000 && ended.stderr.contains("not published yet"), "{left}: {ended:?}");
    assert_eq!(dead.records().len(), at_kill);

    let mut site = without;
    site.set("dead_topic.topic", dead.name.as_str());
    site.set("dead_topic.grace", "1m");
    let run = site.run();
    until("all are on the topic", || published(&dead.records()).len() == 9_001);
    assert_eq!(end(run)["unpublished"], 0);
    let records = dead.records();
    assert_eq!(published(&records), exported(&site));
    let repeats = records.len() - 9_001;
    assert!(repeats <= 1_024 + at_kill, "{repeats} repeats: more than what was under way");
}
