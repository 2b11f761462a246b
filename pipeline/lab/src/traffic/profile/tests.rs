//! Profiles: the built-in ones are fine, and whatever is wrong with one is named.

use super::*;

#[test]
fn the_profiles_that_come_with_it_are_fine() {
    for builtin in BUILTIN {
        let profile = Profile::load(builtin.name).unwrap();
        assert!(!profile.about.is_empty() && !profile.brokers.is_empty(), "{}", builtin.name);
    }
}

#[test]
fn everything_wrong_is_named_at_once() {
    let text = r#"
        about = "wrong"
        seed = 1
        [load]
        base = 10
        before = "1s"
        during = "1s"
        ramp = "2s"
        hot_share = 2.0
        [[brokers]]
        id = "a"
        rate = 1
        latency = "1ms"
        lane = "NYC-"
        troubles = [{ from = "2s", to = "1s" }]
        [[brokers]]
        id = "a"
        rate = 1
        latency = "2h"
    "#;
    let fault = Profile::parse("wrong.toml", text).unwrap_err().to_string();
    for part in
        ["load.ramp", "load.hot_share is 2", "lane NYC-", "is there twice", "ends before", "latency is 7200s"]
    {
        assert!(fault.contains(part), "{part}: {fault}");
    }
    assert!(Profile::load("inc-4472").unwrap_err().to_string().contains("--list"));
    assert!(Profile::parse("typo.toml", "sed = 1").unwrap_err().to_string().contains("sed"));
}

#[test]
fn the_rate_rises_to_the_surge_and_falls_again() {
    let mut profile = Profile::load("inc-4471").unwrap();
    profile.load.base = 100.0;
    let at = |millis| profile.rate_at(Duration::from_millis(millis));
    assert_eq!(
        [at(0), at(4_999), at(5_500), at(6_000), at(17_999), at(18_000)],
        [100.0, 100.0, 200.0, 300.0, 300.0, 100.0]
    );
    let half = profile.clone().lasting(profile.length() / 2);
    assert_eq!(half.length(), profile.length() / 2);
    assert_eq!(half.rate_at(Duration::from_millis(3_000)), 300.0);
    assert_eq!(half.brokers[10].troubles[0].from, Duration::from_millis(4_000));
}

#[test]
fn a_trouble_takes_its_time_and_then_all_is_as_before() {
    let profile = Profile::load("inc-4471").unwrap();
    let dead = profile.brokers.iter().find(|broker| broker.id == "juniper").unwrap();
    let phases: Vec<_> =
        dead.script().phases().map(|phase| (phase.behaviour.availability, phase.lasts)).collect();
    let (up, down) = (crate::receiver::Availability::Up, crate::receiver::Availability::Down);
    let secs = Duration::from_secs;
    assert_eq!(phases, [(up, secs(8)), (down, secs(7)), (up, Duration::MAX)]);
}

#[test]
fn what_has_been_changed_is_checked_like_a_file() {
    let profile = Profile::load("steady").unwrap();
    let mut fast = profile.clone();
    fast.load.base = 1e12;
    assert!(fast.checked("steady").unwrap_err().to_string().contains("too many to hold"));
    for length in [Duration::ZERO, Duration::from_secs(u64::MAX)] {
        let fault = profile.clone().lasting(length).checked("steady").unwrap_err();
        assert!(fault.to_string().contains("up to a day"), "{fault}");
    }
}

#[test]
fn a_broker_cannot_be_named_after_a_path_nor_be_sent_nothing() {
    let mut profile = Profile::load("steady").unwrap();
    profile.brokers[0].id = "../amber".to_owned();
    profile.brokers[1].rate = f64::NAN;
    let fault = profile.checked("steady").unwrap_err().to_string();
    assert!(fault.contains("\"../amber\": an id is") && fault.contains("basalt: rate is NaN"), "{fault}");
}
