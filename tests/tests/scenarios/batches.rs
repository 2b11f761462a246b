//! A broker that takes several events in one post: each is given once, in its load's order, whatever ends the process.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;
use tests::{AskingTms, Events, Fleet, Reply, Request, Site, Wants, until};
use toml::Table;

use crate::{admin::following, reload::started};

/// The events of a post, by id, load and sequence.
fn events(request: &Request) -> Vec<(String, String, u64)> {
    let events: Vec<Value> = serde_json::from_slice(&request.body).unwrap();
    let text = |event: &Value, key: &str| event[key].as_str().unwrap().to_owned();
    let of = |event: &Value| {
        (text(event, "eventId"), text(event, "loadId"), event["sequence"].as_u64().unwrap_or_default())
    };
    events.iter().map(of).collect()
}

fn site(tms: &AskingTms) -> Site {
    let mut site = following(&Fleet::start(1), &[Wants::all()]);
    site.set_broker(0, "url", tms.origin());
    let batch = [("max", toml::Value::from(16)), ("wait", toml::Value::from("20ms"))];
    site.set_broker(0, "batch", Table::from_iter(batch.map(|(key, value)| (key.to_owned(), value))));
    site.set_broker(0, "rate", 2_000);
    site.set_broker(0, "burst", 20);
    site
}

#[test]
fn posts_of_several_events_lose_none_and_keep_each_loads_order_over_kills() {
    let tms = AskingTms::start(|_| Reply::of(200));
    let site = site(&tms);
    let log = Events::new(820, 40).take(3_000);
    site.write(&log);
    let arrived = || tms.seen().iter().map(|request| events(request).len()).sum::<usize>();
    for kill_at in [700, 1_600] {
        let run = started(&site);
        until("some have come", || arrived() > kill_at);
        run.kill();
    }
    let run = started(&site);
    let all = || {
        let mut ids: Vec<_> = tms.seen().iter().flat_map(events).map(|(id, ..)| id).collect();
        ids.sort();
        ids.dedup();
        ids.len()
    };
    until("all have come", || all() == 3_000);
    run.terminate();
    let ended = run.wait().summary();
    assert_eq!(ended.dead_letters, 0, "{ended:?}");

    let seen = tms.seen();
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    let mut first_time: BTreeMap<String, ()> = BTreeMap::new();
    for request in &seen {
        let posted = events(request);
        assert!(!posted.is_empty() && posted.len() <= 16);
        let mut loads: Vec<_> = posted.iter().map(|(_, load, _)| load.clone()).collect();
        loads.sort();
        loads.dedup();
        assert_eq!(loads.len(), posted.len(), "two events of one load are in one post");
        for (id, load, sequence) in posted {
            if first_time.insert(id, ()).is_none() {
                let before = last.insert(load, sequence);
                assert!(before.is_none_or(|before| before < sequence), "an event has overtaken another");
            }
        }
    }
    // What was on the wire at a kill comes again; that is at most what may be under way.
    let repeats = arrived() - 3_000;
    assert!(repeats <= 2 * 512, "{repeats} came twice");
    assert!(seen.len() < 3_000, "{} posts", seen.len());
}

#[test]
fn an_outage_costs_posts_of_several_events_nothing() {
    let is_well = Arc::new(AtomicBool::new(false));
    let well = is_well.clone();
    let tms = AskingTms::start(move |_| Reply::of(if well.load(Ordering::SeqCst) { 200 } else { 503 }));
    let mut site = site(&tms);
    site.set("source.follow", false);
    site.write(&Events::new(821, 30).take(600));
    let run = site.run();
    until("it has failed", || tms.seen().len() > 3);
    is_well.store(true, Ordering::SeqCst);
    let summary = run.wait().summary();
    assert_eq!((summary.delivered, summary.dead_letters), (600, 0), "{summary:?}");
}
