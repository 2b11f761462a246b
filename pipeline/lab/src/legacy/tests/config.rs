//! The config of the model: what it refuses, and that it means what Loadline's config means.

use std::{fs, path::Path};

use super::super::{LegacyBroker, LegacyConfig, LegacyConfigFault};
use service::config::Config;

fn load(text: &str) -> Result<LegacyConfig, LegacyConfigFault> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("legacy.toml");
    fs::write(&path, text).unwrap();
    LegacyConfig::load(&path)
        .map(|config| LegacyConfig { log: config.log.strip_prefix(dir.path()).unwrap().to_owned(), ..config })
}

const BROKERS: [&str; 5] = [
    "",
    "loads = \"all\"\nstatuses = [\"delivered\"]",
    "loads = [\"L-1\", \"L-2\"]",
    "loads = { prefix = \"CHI-\" }\nstatuses = [\"matched\", \"in_transit\"]",
    "loads = { prefix = \"CHI-\" }",
];

fn tables(more: &str) -> String {
    let broker = |(nth, wants): (usize, &&str)| {
        format!("[[brokers]]\nid = \"b{nth}\"\nurl = \"http://127.0.0.1:9/b{nth}\"\n{more}{wants}\n")
    };
    BROKERS.iter().enumerate().map(broker).collect()
}

#[test]
fn a_small_file_is_enough_and_says_what_the_incident_had() {
    let config = load("log = \"events.ndjson\"").unwrap();
    assert_eq!((&*config.log, config.partitions, config.consumers), (Path::new("events.ndjson"), 12, 3));
    assert_eq!((config.commit_interval.as_secs(), config.timeout.as_secs()), (5, 5));
}

#[test]
fn brokers_want_what_the_same_lines_mean_to_loadline() {
    let legacy = load(&format!("log = \"x\"\n{}", tables(""))).unwrap();
    let more = "secrets = [\"env:KEY\"]\nrate = 5\n";
    let text = format!(
        "source.kind = \"stdin\"\n[delivery]\nallow_http = true\nallow_networks = [\"127.0.0.0/8\"]\n{}",
        tables(more)
    );
    let key = |_: &str| Ok("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
    let loadline = Config::parse(&text, Path::new(""), key).unwrap();
    assert_eq!(legacy.brokers.len(), BROKERS.len());
    for (ours, theirs) in legacy.brokers.iter().zip(&loadline.brokers) {
        assert_eq!(ours.subscription().unwrap(), theirs.subscription, "{}", ours.id);
        let made = LegacyBroker::new(&*theirs.id, theirs.url.clone(), &theirs.subscription);
        assert_eq!(made.subscription().unwrap(), theirs.subscription, "{}", ours.id);
    }
}

#[test]
fn what_is_written_reads_back() {
    let config =
        load(&format!("log = \"x\"\nquery = \"3ms\"\nsession = \"1s 500ms\"\n{}", tables(""))).unwrap();
    assert_eq!(load(&toml::to_string(&config).unwrap()).unwrap(), config);
}

#[test]
fn what_cannot_be_is_refused_with_a_way_out() {
    let refused = |more: &str| load(&format!("log = \"x\"\n{more}")).unwrap_err().to_string();
    assert_eq!(refused("partitions = 0"), "partitions is 0: give 1 to 1000");
    assert_eq!(refused("consumers = 1001"), "consumers is 1001: give 1 to 1000");
    assert_eq!(refused("poison_max = 0"), "poison_max is 0: give at least 1");
    assert_eq!(refused("held_max = 0"), "held_max is 0: give at least 1");
    assert_eq!(refused("commit_interval = \"0s\""), "commit_interval is 0s: give 1ms to 1day");
    assert!(refused("interval = 5").contains("unknown field `interval`"));
    assert!(
        refused("[[brokers]]\nid = \"b\"\nurl = \"http://127.0.0.1/\"\nloads = \"some\"")
            .contains("is no config")
    );
    let two =
        "[[brokers]]\nid = \"b\"\nurl = \"http://127.0.0.1/\"\nloads = { prefix = \"a\", suffix = \"b\" }";
    assert!(refused(two).contains("is no config"));
    let wants = refused("[[brokers]]\nid = \"b\"\nurl = \"http://127.0.0.1/\"\nstatuses = [\"lost\"]");
    assert!(wants.starts_with("broker b wants \"lost\", which is no known status: give one of "), "{wants}");
    for url in ["http://example.com/", "https://127.0.0.1/", "http://10.0.0.1/", "http://localhost/"] {
        let told = refused(&format!("[[brokers]]\nid = \"b\"\nurl = \"{url}\""));
        assert!(told.starts_with(&format!("broker b is at {url}: give an address")), "{told}");
    }
}
