//! `loadline surge` with a topic as its target: a line that runs already is put through a surge by way of its cluster,
//! and what its brokers get is judged.

use std::{fs, thread, time::Duration};

use serde_json::Value;
use tests::{Ended, Fleet, Site, Wants, pause, unreachable_address};

use crate::topic::{Topic, spu};

/// A site with two brokers whose addresses are free for the simulator.
fn site(endpoint: &str, topic: &str) -> Site {
    let fleet = Fleet::start(2);
    let wants = [Wants::all(), Wants::all().only(&["delivered", "matched"])];
    let mut site = Site::with_topic(&fleet, &wants, endpoint, topic);
    site.set("source.stall_after", "4s");
    site.set("source.connect_timeout", "3s");
    site.set("source.backoff_max", "2s");
    // Far above the load, and low enough for the oracle to count.
    (0..2).for_each(|index| site.set_broker(index, "rate", 2_000));
    site
}

/// A profile without trouble, with so much patience at its end.
fn profile(site: &Site, patience: &str) {
    let shown = site.shell("loadline surge --profile steady --show").expect(0).stdout;
    fs::write(site.path("profile.toml"), format!("{shown}\n[settle]\nloadline = \"{patience}\"\n")).unwrap();
}

/// Puts the line through the profile.
fn surge(site: &Site, target: &str, with: &[&str]) -> Ended {
    let fixed = ["surge", "--profile", "profile.toml", "--target", target, "--json", "out.json"];
    site.loadline(&[&fixed[..], with, &["--config"]].concat())
}

/// The numbers of the report.
fn report(site: &Site) -> Value {
    serde_json::from_slice(&fs::read(site.path("out.json")).unwrap()).unwrap()
}

#[test]
fn a_line_that_reads_a_topic_is_put_through_a_surge_and_loses_and_doubles_nothing() {
    let Some(topic) = Topic::create(4) else { return };
    let site = site(&topic.endpoint, &topic.name);
    profile(&site, "30s");
    let run = site.run();
    let target = format!("fluvio:{}/{}", topic.endpoint, topic.name);
    let ended = surge(&site, &target, &["--for", "12s"]).expect(0);
    let report = report(&site);
    let figures = &report["systems"][0]["figures"];
    for nothing in ["lost", "duplicates", "outOfOrder", "waiting", "lagAtEnd", "sentAgain"] {
        assert_eq!(figures[nothing], 0, "{nothing}: {ended:?}");
    }
    assert_eq!(figures["delivered"], report["issued"]["deliveries"], "{ended:?}");
    // Not vacuous: there was a lag to see and a latency to measure, and producers repeated themselves.
    assert!(figures["peakLag"].as_u64().unwrap() > 0, "{ended:?}");
    assert!(figures["latency"][0]["p50Ms"].as_f64().unwrap() > 0.0, "{ended:?}");
    assert!(report["issued"]["duplicates"].as_u64().unwrap() > 10, "{ended:?}");
    run.terminate();
    assert_eq!(run.wait().summary().records, report["issued"]["records"].as_u64().unwrap());
}

#[test]
fn a_line_that_leaves_a_partition_unread_is_found_out() {
    let Some(topic) = Topic::create(4) else { return };
    let mut site = site(&topic.endpoint, &topic.name);
    site.set("source.partitions", vec![0, 1, 3]);
    profile(&site, "4s");
    let run = site.run();
    let ended = surge(&site, "fluvio:", &["--for", "5s"]).expect(1);
    let report = report(&site);
    let figures = &report["systems"][0]["figures"];
    let (lost, delivered) = (figures["lost"].as_u64().unwrap(), figures["delivered"].as_u64().unwrap());
    assert!(lost > 100 && delivered > lost, "{ended:?}");
    assert_eq!(lost + delivered, report["issued"]["deliveries"].as_u64().unwrap(), "{ended:?}");
    assert!(ended.stdout.contains("lost: not taken"), "{ended:?}");
    drop(run);
}

#[test]
fn a_leader_that_dies_and_hangs_meanwhile_makes_the_producer_wait_and_costs_nothing() {
    let Some(topic) = Topic::create(4) else { return };
    if !spu("start") {
        return;
    }
    let site = site(&topic.endpoint, &topic.name);
    profile(&site, "60s");
    let run = site.run();
    let ended = thread::scope(|scope| {
        let trouble = scope.spawn(|| {
            // The hang is longer than the producer waits for an answer: it sends again what the leader has already.
            for (from, to, lasts) in [("kill", "start", 2), ("pause", "resume", 7)] {
                pause(Duration::from_secs(3));
                assert!(spu(from));
                pause(Duration::from_secs(lasts));
                assert!(spu(to));
            }
        });
        let ended = surge(&site, "fluvio:", &["--for", "20s"]);
        trouble.join().unwrap();
        ended.expect(0)
    });
    let report = report(&site);
    let figures = &report["systems"][0]["figures"];
    for nothing in ["lost", "duplicates", "outOfOrder", "waiting"] {
        assert_eq!(figures[nothing], 0, "{nothing}: {ended:?}");
    }
    assert_eq!(figures["delivered"], report["issued"]["deliveries"], "{ended:?}");
    assert!(figures["sentAgain"].as_u64().unwrap() > 0, "{ended:?}");
    assert!(figures["peakLateMs"].as_u64().unwrap() > 1_000, "{ended:?}");
    assert!(ended.stdout.contains("producers waited for the log up to"), "{ended:?}");
    run.terminate();
    let (records, issued) = (run.wait().summary().records, report["issued"]["records"].as_u64().unwrap());
    assert!(records > issued, "{records} of {issued}: what was sent again stands there twice");
}

#[test]
fn a_cluster_that_is_not_there_and_a_target_that_is_none_are_named() {
    let addr = unreachable_address();
    let site = site(&addr, "shipment-events");
    profile(&site, "1s");
    for target in ["fluvio:".to_owned(), format!("fluvio:{addr}/other")] {
        let ended = surge(&site, &target, &["--for", "2s", "--timeout", "1s"]).expect(1);
        assert!(ended.stderr.contains(&format!("the cluster at {addr} has taken nothing for")), "{ended:?}");
        assert!(ended.stderr.contains("--timeout"), "{ended:?}");
    }
    let ended = surge(&site, &format!("fluvio:{addr}"), &[]).expect(1);
    assert!(ended.stderr.contains("names no topic"), "{ended:?}");
    let ended = surge(&site, &format!("fluvio:{addr}/No_Topic"), &[]).expect(1);
    assert!(ended.stderr.contains("\"No_Topic\" is not a topic's name"), "{ended:?}");
}
