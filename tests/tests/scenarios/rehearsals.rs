//! `loadline rehearse`: the binary puts a config through a surge in simulated time, and tells what is reached by its words
//! and its exit code. It touches neither the receivers nor the state directory.

use serde_json::Value;
use tests::{Ended, Fleet, Site, Wants};

/// acme, bolt and crane, each with 50 attempts a second; each may hold 64 KiB on disk.
fn site() -> (Fleet, Site) {
    let fleet = Fleet::start(3);
    let mut site = Site::with_posts(&fleet, &vec![Wants::all(); 3]);
    for (index, id) in ["acme", "bolt", "crane"].iter().enumerate() {
        site.set_broker(index, "id", *id);
        site.set_broker(index, "rate", 50);
    }
    site.set("source.record_max", "16KiB");
    site.set("limits.spill_broker_max", "64KiB");
    (fleet, site)
}

fn rehearse(site: &Site, options: &str) -> Ended {
    site.shell(&format!("loadline rehearse loadline.toml --rate 30 --for 10s {options}"))
}

#[test]
fn a_surge_that_the_limits_hold_ends_with_0_and_nobody_has_noticed_it() {
    let (fleet, site) = site();
    let ended = rehearse(&site, "--surge 3x");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("no limit was reached"), "{ended:?}");
    assert!(fleet.taken() == 0 && !site.path("state").exists());
}

#[test]
fn a_bound_that_a_dead_broker_reaches_is_named_with_what_holds_and_the_config_holds_with_it() {
    let (_fleet, mut site) = site();
    let ended = rehearse(&site, "--surge 3x --dead bolt --json");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    let first = &told["remedies"][0];
    assert_eq!((&first["limit"], &first["broker"]), (&"limits.spill_broker_max".into(), &"bolt".into()));
    assert!(told["seen"]["brokers"][1]["peak_spilled_bytes"].as_u64() <= Some(64 << 10), "{told}");
    for changed in first["holds"].as_array().unwrap() {
        site.set(changed["limit"].as_str().unwrap(), format!("{}B", changed["to"]));
    }
    site.save();
    let ended = rehearse(&site, "--surge 3x --dead bolt");
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn what_cannot_be_rehearsed_is_refused_with_64() {
    let (_fleet, site) = site();
    for (options, word) in [
        ("--dead nobody", "names no broker nobody"),
        ("--slow crane", "BROKER=DURATION"),
        ("--surge 0.5x", "1x to 1000x"),
        ("--share acme=0.7 --share bolt=0.7", "1.400 together"),
    ] {
        let ended = rehearse(&site, options);
        assert!(ended.code == Some(64) && ended.stderr.contains(word), "{options}: {ended:?}");
    }
}
