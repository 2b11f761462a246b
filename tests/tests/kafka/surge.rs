//! `loadline surge` over Kafka: a line that runs already is put through a surge by way of its cluster, and the incident is
//! replayed with both systems as consumer groups.

use std::fs;

use serde_json::Value;
use tests::{Fleet, KafkaCluster, Listener, Wants};

use crate::site::{end, group, member};

#[test]
fn a_line_that_reads_a_topic_is_put_through_a_surge_and_loses_and_doubles_nothing() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(4);
    // Their addresses are free for the simulator once they have gone.
    let mut site = {
        let fleet = Fleet::start(2);
        let wants = [Wants::all(), Wants::all().only(&["delivered", "matched"])];
        member(&fleet, &wants, &topic, &group(&topic))
    };
    // Far above the load, and low enough for the oracle to count.
    (0..2).for_each(|index| site.set_broker(index, "rate", 2_000));
    let shown = site.shell("loadline surge --profile steady --show").expect(0).stdout;
    fs::write(site.path("profile.toml"), format!("{shown}\n[settle]\nloadline = \"60s\"\n")).unwrap();
    let run = site.run();
    let target = format!("kafka:{}/{}", cluster.bootstrap(Listener::Plain), topic.name());
    let fixed = ["surge", "--profile", "profile.toml", "--json", "out.json", "--for", "6s"];
    let ended = site.loadline(&[&fixed[..], &["--target", &target, "--config"]].concat()).expect(0);
    let report: Value = serde_json::from_slice(&fs::read(site.path("out.json")).unwrap()).unwrap();
    let figures = &report["systems"][0]["figures"];
    for nothing in ["lost", "duplicates", "outOfOrder", "waiting", "lagAtEnd", "sentAgain"] {
        assert_eq!(figures[nothing], 0, "{nothing}: {ended:?}");
    }
    assert_eq!(figures["delivered"], report["issued"]["deliveries"], "{ended:?}");
    assert_eq!(end(run), report["issued"]["records"].as_u64().unwrap());
}

#[test]
fn the_incident_on_a_cluster_shows_in_the_legacy_groups_column_and_not_in_loadlines() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let site = {
        let (fleet, topic) = (Fleet::start(1), cluster.topic(1));
        member(&fleet, &[Wants::all()], &topic, &group(&topic))
    };
    let bootstrap = cluster.bootstrap(Listener::Plain);
    // Few events: members are processes of a debug build, and there are twelve of them.
    let run = "loadline surge --engine kafka --for 20s --rate 20 --json out.json --bootstrap";
    let ended = site.shell(&format!("{run} {bootstrap}")).expect(0);
    let report: Value = serde_json::from_slice(&fs::read(site.path("out.json")).unwrap()).unwrap();
    let figures = |place: usize| report["systems"][place]["figures"].clone();
    let (legacy, loadline) = (figures(0), figures(1));
    let number = |figures: &Value, name: &str| figures[name].as_u64().unwrap();
    for nothing in ["lost", "outOfOrder", "waiting", "deadLetters", "lagAtEnd"] {
        assert_eq!(loadline[nothing], 0, "{nothing}: {ended:?}");
    }
    assert_eq!(number(&loadline, "duplicates"), number(&loadline, "explainedDuplicates"), "{ended:?}");
    assert_eq!(loadline["delivered"], report["issued"]["deliveries"], "{ended:?}");
    // Not vacuous: producers repeated themselves, a group was scaled and killed, and a broker was dead.
    assert!(number(&legacy, "duplicates") > number(&legacy, "explainedDuplicates"), "{ended:?}");
    assert!(report["issued"]["duplicates"].as_u64().unwrap() > 0, "{ended:?}");
}
