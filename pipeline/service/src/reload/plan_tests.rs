//! Pairs of configs, and the plan for each.

use std::{env::VarError, path::Path};

use super::*;

const TWO: &str = "[source]\npath = \"events.ndjson\"\n\
    [[brokers]]\nid = \"acme\"\nurl = \"https://acme.example/hook\"\nsecrets = [\"env:KEY\"]\nrate = 50\n\
    [[brokers]]\nid = \"blue\"\nurl = \"https://blue.example/hook\"\nsecrets = [\"env:KEY\"]\nrate = 5\n";

/// `text` as read where the secret `KEY` is made of this letter.
fn config_with(text: &str, letter: &str) -> Config {
    let environment = |name: &str| match name {
        "KEY" | "OTHER" => Ok(format!("whsec_{}", letter.repeat(32))),
        "TOKEN" => Ok(letter.repeat(16)),
        _ => Err(VarError::NotPresent),
    };
    Config::parse(text, Path::new("/etc/loadline"), environment).unwrap()
}

fn config(text: &str) -> Config {
    config_with(text, "A")
}

fn plan(old: &str, new: &str) -> Result<Plan, Vec<String>> {
    Plan::new(&config(old), &config(new))
        .map_err(|problems| problems.into_iter().map(|problem| problem.key).collect())
}

#[test]
fn nothing_has_changed_if_only_the_text_has() {
    let spelled_out = format!("# the same\n{TWO}burst = 5\n[limits]\ngrace = \"20000ms\"\n");
    assert!(plan(TWO, &spelled_out).unwrap().is_empty());
}

#[test]
fn each_key_of_a_broker_is_seen_and_no_other_broker_is_touched() {
    let cases = [
        ("https://blue.example/hook", "https://blue.example/other", vec!["url"]),
        ("secrets = [\"env:KEY\"]\nrate = 5\n", "secrets = [\"env:OTHER\"]\nrate = 5\n", vec!["secrets"]),
        ("rate = 5\n", "rate = 6\n", vec!["rate", "burst"]),
        ("rate = 5\n", "rate = 5\nburst = 9\n", vec!["burst"]),
        ("rate = 5\n", "rate = 5\ntimeout = \"3s\"\n", vec!["timeout"]),
        ("rate = 5\n", "rate = 5\nallow_networks = [\"10.0.0.0/8\"]\n", vec!["allow_networks"]),
        ("rate = 5\n", "rate = 5\nallow_ports = [8443]\n", vec!["allow_ports"]),
        ("rate = 5\n", "rate = 5\nconcurrency = 3\n", vec!["concurrency"]),
        ("rate = 5\n", "rate = 5\nheaders = { x-a = \"b\" }\n", vec!["headers"]),
        ("rate = 5\n", "rate = 5\nstatuses = [\"delivered\"]\n", vec!["statuses"]),
        ("rate = 5\n", "rate = 5\nloads = [\"L-1\"]\n", vec!["loads"]),
    ];
    for (from, to, keys) in cases {
        let at = TWO.rfind(from).unwrap();
        let new = format!("{}{to}{}", &TWO[..at], &TWO[at + from.len()..]);
        let expected = Plan { changed: vec![("blue".to_owned(), keys)], ..Plan::default() };
        assert_eq!(plan(TWO, &new), Ok(expected), "{to}");
    }
}

#[test]
fn a_secret_that_was_replaced_where_its_reference_leads_is_a_change() {
    let plan = Plan::new(&config_with(TWO, "A"), &config_with(TWO, "B")).unwrap();
    let both = ["acme", "blue"].map(|name| (name.to_owned(), vec!["secrets"]));
    assert_eq!(plan, Plan { changed: both.to_vec(), ..Plan::default() });
}

#[test]
fn brokers_come_and_go_and_their_order_alone_is_no_change() {
    let third = TWO.replace("blue", "coral");
    let expected =
        Plan { added: vec!["coral".to_owned()], removed: vec!["blue".to_owned()], ..Plan::default() };
    assert_eq!(plan(TWO, &third), Ok(expected));
    let (head, brokers) = TWO.split_once("[[brokers]]").unwrap();
    let (acme, blue) = brokers.split_once("[[brokers]]").unwrap();
    assert!(plan(TWO, &format!("{head}[[brokers]]{blue}[[brokers]]{acme}")).unwrap().is_empty());
}

#[test]
fn a_default_for_all_brokers_changes_those_that_have_it() {
    let new = format!("{TWO}timeout = \"7s\"\n[delivery]\ntimeout = \"6s\"\n");
    let plan = plan(&format!("{TWO}timeout = \"7s\"\n"), &new).unwrap();
    assert_eq!(plan.changed, [("acme".to_owned(), vec!["timeout"])]);
}

#[test]
fn schema_rules_and_the_logs_level_may_change() {
    let new =
        format!("{TWO}[schema]\npreset = \"cloudevents\"\n[rules]\nid_max = 99\n[log]\nlevel = \"debug\"\n");
    assert_eq!(plan(TWO, &new), Ok(Plan { sections: vec!["schema", "rules", "log"], ..Plan::default() }));
}

#[test]
fn every_other_key_that_differs_is_named_and_all_of_them_at_once() {
    let cases = [
        "[state]\ndir = \"elsewhere\"\n",
        "[state]\ncache = \"9MiB\"\n",
        "[admin]\nlisten = \"off\"\n",
        "[admin]\ntoken = \"env:TOKEN\"\n",
        "[limits]\nin_flight_max = 4095\n",
        "[limits]\nshards = 3\n",
        "[delivery]\nallow_http = true\n",
        "[delivery]\nallow_networks = [\"10.0.0.0/8\"]\n",
        "[delivery]\nallow_ports = [8443]\n",
        "[delivery]\nconnect_timeout = \"1s\"\n",
        "[retry]\nattempts_max = 3\n",
        "[breaker]\nfailures = 3\n",
        "[log]\nformat = \"json\"\n",
        "[telemetry]\nsample_ratio = 0.5\n",
    ];
    let mut all = (TWO.to_owned(), Vec::new());
    for case in cases {
        let key = case.replace("]\n", ".").replace('[', "");
        let key = key.split(' ').next().unwrap().to_owned();
        assert_eq!(plan(TWO, &format!("{TWO}{case}")), Err(vec![key.clone()]));
        let (section, line) = case.split_once('\n').unwrap();
        // A section stands once.
        all.0 = match all.0.contains(section) {
            true => all.0.replace(&format!("{section}\n"), &format!("{section}\n{line}")),
            false => format!("{}{case}", all.0),
        };
        all.1.push(key);
    }
    let mut named = plan(TWO, &all.0).unwrap_err();
    named.sort_unstable();
    all.1.sort_unstable();
    assert_eq!(named, all.1);
    let followed = TWO.replace("path", "follow = true\npath").replace("events.ndjson", "other.ndjson");
    assert_eq!(plan(TWO, &followed), Err(vec!["source.path".to_owned(), "source.follow".to_owned()]));
    let stdin = TWO.replace("path = \"events.ndjson\"", "kind = \"stdin\"");
    assert_eq!(plan(TWO, &stdin), Err(vec!["source.kind".to_owned()]));
    let http = TWO.replace("path = \"events.ndjson\"", "kind = \"http\"\ntoken = \"env:TOKEN\"");
    assert_eq!(
        plan(&http, &http.replace("http\"", "http\"\nbody_max = \"2MiB\"")).unwrap_err(),
        ["source.body_max"]
    );
    let rotated = Plan::new(&config_with(&http, "A"), &config_with(&http, "B")).unwrap_err();
    assert_eq!(rotated[0].key, "source.token");
    assert!(rotated[0].problem.contains("needs a restart"), "{}", rotated[0]);
}

#[test]
fn of_a_topic_and_of_the_one_for_dead_letters_no_key_may_change_but_the_rest_of_such_a_config_may() {
    let topic = TWO.replace("path = \"events.ndjson\"", "kind = \"fluvio\"");
    let dead = |more: &str| format!("{topic}[dead_topic]\ntopic = \"dead\"\n{more}");
    let rate = |text: &str| text.replace("rate = 5\n", "rate = 6\n");
    for text in [topic.clone(), dead("")] {
        assert_eq!(plan(&text, &rate(&text)).map(|plan| plan.changed.len()), Ok(1), "{text}");
    }
    let source = |more: &str| topic.replace("fluvio\"", &format!("fluvio\"\n{more}"));
    for (key, value) in
        [("topic", "\"t\""), ("endpoint", "\"a:1\""), ("partitions", "[0]"), ("mirror_offsets", "true")]
    {
        let named = plan(&topic, &source(&format!("{key} = {value}"))).unwrap_err();
        assert_eq!(named, [format!("source.{key}")]);
    }
    assert_eq!(plan(&topic, &dead("")).unwrap_err(), ["dead_topic"]);
    assert_eq!(plan(&dead(""), &topic).unwrap_err(), ["dead_topic"]);
    let other = dead("").replace("\"dead\"", "\"other\"");
    assert_eq!(plan(&dead(""), &other).unwrap_err(), ["dead_topic.topic"]);
    for (key, value) in [("endpoint", "a:1"), ("value_max", "1MiB"), ("grace", "1s"), ("timeout", "1s")] {
        let named = plan(&dead(""), &dead(&format!("{key} = \"{value}\"\n"))).unwrap_err();
        assert_eq!(named, [format!("dead_topic.{key}")]);
    }
    let moved = source("endpoint = \"a:1\"") + "[dead_topic]\ntopic = \"dead\"\n";
    assert_eq!(plan(&dead(""), &moved).unwrap_err(), ["source.endpoint", "dead_topic.endpoint"]);
}
