//! Traffic: the same for the same seed, in order, and with everything in it that the profile promises.

use std::collections::{HashMap, HashSet};

use super::*;

fn profile(name: &str) -> Profile {
    Profile::load(name).unwrap()
}

fn everyone(count: usize) -> Vec<Subscription> {
    vec![Subscription::default(); count]
}

fn count(traffic: &Traffic, form: Form) -> usize {
    traffic.log.iter().filter(|entry| entry.form == form).count()
}

#[test]
fn the_same_seed_gives_the_same_traffic_and_another_one_other_traffic() {
    let bytes = |seed| {
        let profile = Profile { seed, ..profile("inc-4471") };
        generate(&profile, &everyone(1))
            .log
            .into_iter()
            .map(|entry| (entry.at_ms, entry.body))
            .collect::<Vec<_>>()
    };
    assert_eq!(bytes(1), bytes(1));
    assert_ne!(bytes(1), bytes(2));
}

#[test]
fn the_surge_is_three_times_the_base() {
    let traffic = generate(&profile("inc-4471"), &everyone(1));
    let firsts = |from: u64, to: u64| {
        let new = |entry: &&Entry| entry.form == Form::First && (from..to).contains(&entry.at_ms);
        traffic.log.iter().filter(new).count() as f64
    };
    let ratio = firsts(8_000, 16_000) / firsts(0, 4_000) / 2.0;
    assert!((2.8..3.2).contains(&ratio), "{ratio}");
}

#[test]
fn the_log_is_in_order_and_says_each_event_for_the_first_time_once() {
    for name in ["inc-4471", "poison", "hot-load"] {
        let traffic = generate(&profile(name), &everyone(2));
        assert!(traffic.log.is_sorted_by_key(|entry| entry.at_ms), "{name}");
        let mut said = HashSet::new();
        let mut sequences: HashMap<_, u64> = HashMap::new();
        for entry in &traffic.log {
            let Some(event) = entry.event.map(|event| (event, &traffic.events[event as usize])) else {
                continue;
            };
            assert_eq!(said.insert(event.0), entry.form == Form::First, "{name}: {event:?}");
            if entry.form == Form::First {
                let json: serde_json::Value = serde_json::from_slice(&entry.body).unwrap();
                let sequence = json["sequence"].as_u64().unwrap();
                let before = sequences.insert(event.1.load_id.clone(), sequence);
                assert!(before.is_none_or(|before| before < sequence), "{name}: a load goes backwards");
            }
        }
        assert_eq!(said.len(), traffic.events.len());
        let digests: HashSet<_> = traffic.events.iter().map(|event| event.digest).collect();
        assert_eq!(digests.len(), traffic.events.len(), "{name}: two events with the same bytes");
    }
}

#[test]
fn what_is_said_again_is_the_same_and_what_conflicts_is_not() {
    let traffic = generate(&profile("poison"), &everyone(1));
    for entry in &traffic.log {
        let event = entry.event.map(|event| &traffic.events[event as usize]);
        match entry.form {
            Form::First | Form::ProducerRetry | Form::Replay => assert_eq!(entry.body, event.unwrap().body),
            Form::Conflict => {
                let json: serde_json::Value = serde_json::from_slice(&entry.body).unwrap();
                assert_eq!(json["eventId"], event.unwrap().id.as_str());
                assert_ne!(entry.body, event.unwrap().body);
            }
            Form::Garbage => assert!(serde_json::from_slice::<serde_json::Value>(&entry.body).is_err()),
        }
    }
    assert!(count(&traffic, Form::Garbage) > 3 && count(&traffic, Form::Conflict) > 3);
    assert!(count(&traffic, Form::ProducerRetry) > 40);
}

#[test]
fn a_replay_says_again_what_was_said_just_before_and_the_legacy_log_does_not() {
    let traffic = generate(&profile("inc-4471"), &everyone(1));
    let replayed = count(&traffic, Form::Replay);
    assert!(replayed > 200, "{replayed}");
    let legacy = traffic.clone().without_replays();
    assert_eq!(legacy.log.len() + replayed, traffic.log.len());
    assert!(traffic.log.iter().all(|entry| entry.form != Form::Replay || entry.at_ms == 13_000));
}

#[test]
fn a_backlog_stands_in_the_log_before_anything_else_and_a_hot_load_is_hot() {
    let backlog = generate(&profile("backlog-42k"), &everyone(1));
    assert!(backlog.log[..42_000].iter().all(|entry| entry.at_ms == 0));
    let hot = generate(&profile("hot-load"), &everyone(1));
    let mut loads: HashMap<_, usize> = HashMap::new();
    hot.events.iter().for_each(|event| *loads.entry(event.load_id.clone()).or_default() += 1);
    let mut counts: Vec<_> = loads.into_values().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let share = counts[..3].iter().sum::<usize>() as f64 / hot.events.len() as f64;
    assert!((0.3..0.36).contains(&share), "{share}");
    assert!(counts[3] < 20);
}

#[test]
fn who_wants_an_event_is_told_from_load_and_status() {
    let wants = |statuses: Option<&[&str]>, loads| Subscription {
        statuses: statuses.map(|all| all.iter().map(|&status| Arc::from(status)).collect()),
        loads,
        ..Subscription::default()
    };
    let brokers = [
        wants(None, LoadFilter::Prefixes(vec!["CHI-".to_owned()])),
        wants(Some(&["delivered"]), LoadFilter::All),
        wants(None, LoadFilter::List(std::iter::once(Arc::from("CHI-1")).collect())),
    ];
    assert_eq!(*wanted_by(&brokers, "CHI-1", "matched"), [0, 2]);
    assert_eq!(*wanted_by(&brokers, "CHI-2", "delivered"), [0, 1]);
    assert!(wanted_by(&brokers, "DAL-1", "matched").is_empty());
}

#[test]
fn a_rate_of_next_to_nothing_is_no_event_in_any_run() {
    let mut profile = Profile::load("steady").unwrap();
    (profile.load.base, profile.load.backlog) = (1e-30, 3);
    assert_eq!(generate(&profile, &[]).events.len(), 3);
}
