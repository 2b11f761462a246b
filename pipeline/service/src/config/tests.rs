//! The config as a whole: valid and invalid ones, and that no secret is ever shown. The parts have their own tests.

use std::{env::VarError, path::Path, time::Duration};

use stages::{
    BreakerPolicy, Egress, FieldRule, FieldTest, LoadFilter, RetryPolicy, Rules, Schema, Signer, SigningKey,
    Subscription,
};

use super::*;

mod answers;
mod dead_topic;
mod documentation;
mod events;
mod fluvio;
mod kafka;
mod sender;
mod wrong;

/// A signing key nobody uses.
const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The shortest config.
const LEAST: &str = "[source]\npath = \"events.ndjson\"\n[[brokers]]\nid = \"acme\"\n\
                     url = \"https://acme.example/hook\"\nsecrets = [\"env:KEY\"]\nrate = 49.5\n";

fn environment(name: &str) -> Result<String, VarError> {
    match name {
        "KEY" => Ok(KEY.to_owned()),
        "SECOND_KEY" => Ok(KEY.replace("Mf", "Nf")),
        "TOKEN" => Ok("Bearer hunter2".to_owned()),
        "SHORT" => Ok("hunter2".to_owned()),
        "SCHEME" => Ok("bearer  hunter2".to_owned()),
        "WORD" => Ok("hunter2:hunter2".to_owned()),
        "PRIVATE_KEY" => Ok("whsk_xaqN9D+fg3vtt0QvMdy3sWbThTUHbwlLhc46LgtEWPc=".to_owned()),
        "POSTERS" => Ok("hunter2-hunter2-hunter2".to_owned()),
        _ => Err(VarError::NotPresent),
    }
}

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(text, Path::new("/etc/loadline"), environment)
}

/// [`LEAST`] with more in it: lines for the broker, then other sections.
fn with(broker: &str, sections: &str) -> Result<Config, ConfigErrors> {
    parse(&format!("{LEAST}{broker}\n{sections}"))
}

/// Whether it is [`KEY`] and nothing else that signs the broker's deliveries.
fn signs_with_key(broker: &BrokerConfig) -> bool {
    signature(broker) == Signer::new(vec![SigningKey::parse(KEY).unwrap()]).unwrap().sign("e", 0, b"")
}

/// What the broker signs the empty body of event `e` at zero with.
fn signature(broker: &BrokerConfig) -> String {
    let endpoint = broker.endpoint().unwrap();
    let first = stages::models::Ordinal { attempt: 1, may_repeat: false };
    endpoint.headers("e", 0, b"", first).unwrap()["webhook-signature"].to_str().unwrap().to_owned()
}

#[test]
fn the_shortest_config_has_a_default_for_everything_else() {
    let config = parse(LEAST).unwrap();
    assert_eq!(config.state.dir, Path::new("/etc/loadline/state"));
    assert!(matches!(&config.source.kind, SourceKind::File { path, follow: false, .. }
        if path == Path::new("/etc/loadline/events.ndjson")));
    assert_eq!((config.limits.in_flight_max, config.limits.spill_total_max), (4096, 4 << 30));
    assert_eq!(config.schema.schema(), Schema::flat());
    assert_eq!(config.rules.rules(&config.schema), Rules::default());
    // Pauses are waited out in the queue, whatever is waited out in memory.
    let policy = RetryPolicy { in_place_max: Duration::ZERO, ..RetryPolicy::default() };
    assert_eq!((config.retry.policy(), config.retry.budget()), (policy, Default::default()));
    assert_eq!(config.retry.in_place_max, Duration::from_secs(2));
    assert_eq!(config.breaker.policy(Duration::ZERO), BreakerPolicy::default());
    let hour = Duration::from_secs(3600);
    assert_eq!(config.breaker.policy(hour).probe_max, hour);
    assert_eq!(config.delivery.egress, Egress::default());
    let [acme] = &config.brokers[..] else { panic!("one broker") };
    assert_eq!((acme.rate, acme.burst, acme.concurrency), (49.5, 50, 32));
    assert_eq!((acme.timeout, signs_with_key(acme)), (Duration::from_secs(15), true));
    assert!(acme.quota().is_ok());
    assert_eq!(acme.subscription, Subscription::default());
}

#[test]
fn a_broker_overrides_the_defaults() {
    let broker = "burst = 7\ntimeout = \"30s\"\nconcurrency = 4\nstatuses = [\"in_transit\", \"in-transit\"]\n\
                  loads = { prefix = \"CHI-\" }\nheaders = { x-tenant = \"a\", Authorization = \"env:TOKEN\" }";
    let config = with(broker, "[delivery]\ntimeout = \"7s\"").unwrap();
    let acme = &config.brokers[0];
    assert_eq!((acme.burst, acme.timeout, acme.concurrency), (7, Duration::from_secs(30), 4));
    assert_eq!(acme.subscription.loads, LoadFilter::Prefixes(vec!["CHI-".to_owned()]));
    assert_eq!(acme.subscription.statuses.as_ref().map(|all| all.len()), Some(1));
    assert_eq!(
        (&acme.headers["x-tenant"], &acme.headers["authorization"]),
        (&"a".parse().unwrap(), &"Bearer hunter2".parse().unwrap())
    );
}

#[test]
fn a_broker_names_its_events_by_prefixes_and_by_fields() {
    let broker = "loads = { prefix = [\"CHI-\", \"DAL-\"] }\nfilter = { \"/mode\" = [\"ltl\", 0x10], \
                  \"/stops/0/late\" = true, \"/trailer\" = { exists = false } }";
    let Subscription { loads, fields, .. } = with(broker, "").unwrap().brokers.remove(0).subscription;
    assert_eq!(loads, LoadFilter::Prefixes(vec!["CHI-".to_owned(), "DAL-".to_owned()]));
    let rule = |pointer: &str, test| FieldRule { pointer: pointer.to_owned(), test };
    let one_of = |values: &[serde_json::Value]| FieldTest::OneOf(values.to_vec());
    let expected = [
        rule("/mode", one_of(&["ltl".into(), 16.into()])),
        rule("/stops/0/late", one_of(&[true.into()])),
        rule("/trailer", FieldTest::Exists(false)),
    ];
    assert_eq!(fields, expected);
}

#[test]
fn a_network_is_allowed_for_all_or_for_one_broker_alone() {
    let two = |broker: &str, delivery: &str| {
        let second = LEAST.replace("[source]\npath = \"events.ndjson\"\n", "").replace("acme", "blue");
        parse(&format!("{LEAST}{broker}\n{second}\n{delivery}"))
    };
    let config = two(
        "allow_networks = [\"10.20.0.0/16\"]\nallow_ports = [9200]",
        "[delivery]\nallow_networks = [\"fd00::/8\"]\nallow_ports = [8443]",
    );
    let config = config.unwrap();
    let reaches =
        |index: usize, address: &str| config.brokers[index].egress.permits(address.parse().unwrap());
    assert!(reaches(0, "10.20.0.9") && reaches(0, "fd00::1"));
    assert!(!reaches(1, "10.20.0.9") && reaches(1, "fd00::1"), "one broker's network is open to another");
    assert_eq!(config.brokers[0].egress.allow_ports, [8443, 9200]);
    assert_eq!(config.brokers[1].egress.allow_ports, [8443]);
    let literal = LEAST.replace("https://acme.example/hook", "https://10.20.0.9:9200/hook");
    assert!(parse(&literal).is_err());
    assert!(parse(&format!("{literal}allow_networks = [\"10.20.0.0/16\"]")).is_ok());
}

#[test]
fn what_is_no_problem_and_should_be_known_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let read = |text: &str| Config::parse(text, dir.path(), environment).unwrap().warnings;
    assert_eq!(read(LEAST), []);
    let named = LEAST.replace("https://acme.example/hook", "https://acme.example:9200/hook");
    assert_eq!(read(&named), [], "there is nothing inside that it could lead to");
    let shared = format!("{named}[delivery]\nallow_networks = [\"10.0.0.0/8\"]");
    let told = read(&shared);
    assert!(told.len() == 1 && told[0].remedy.contains("allow_ports = [9200]"), "{told:?}");
    assert_eq!(
        read(&format!("{named}allow_ports = [9200]\n[delivery]\nallow_networks = [\"10.0.0.0/8\"]")),
        []
    );

    let mode = |path: &Path, mode: u32| {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(path, permissions).unwrap();
    };
    let key = dir.path().join("key");
    std::fs::write(&key, KEY).unwrap();
    let by_file = LEAST.replace("env:KEY", "file:key");
    mode(&key, 0o644);
    let told = read(&by_file);
    assert!(told.len() == 1 && told[0].key == "brokers[0].secrets[0]", "{told:?}");
    assert!(told[0].problem.contains("0644") && told[0].remedy.contains("chmod 600"), "{told:?}");
    mode(&key, 0o600);
    assert_eq!(read(&by_file), []);
    mode(&key, 0o666);
    let refused = Config::parse(&by_file, dir.path(), environment).unwrap_err().to_string();
    assert!(refused.contains("everyone on this machine may write (mode 0666)"), "{refused}");

    let state = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    mode(&state, 0o755);
    let told = read(LEAST);
    assert!(told.len() == 1 && told[0].key == "state.dir" && told[0].problem.contains("0755"), "{told:?}");
}

#[test]
fn posted_events_are_taken_on_loopback_or_with_a_token() {
    let http =
        |more: &str| parse(&LEAST.replace("path = \"events.ndjson\"", &format!("kind = \"http\"\n{more}")));
    let of = |more: &str| match http(more).unwrap().source.kind {
        SourceKind::Http(http) => http,
        other => panic!("{other:?}"),
    };
    let defaults = of("");
    assert_eq!((defaults.listen, defaults.token.is_none()), (([127, 0, 0, 1], 8080).into(), true));
    assert_eq!((defaults.body_max, defaults.records_max, defaults.connections_max), (1 << 20, 10_000, 256));
    for loopback in ["127.0.0.2:0", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
        assert_eq!(of(&format!("listen = \"{loopback}\"")).listen.to_string(), loopback);
    }
    let open = of("listen = \"0.0.0.0:80\"\ntoken = \"env:POSTERS\"");
    assert_eq!(open.token.as_ref().map(Secret::expose), Some("hunter2-hunter2-hunter2"));
    assert!(!format!("{open:?}").contains("hunter2"));
    let shown = Summary::from(&http("token = \"env:POSTERS\"").unwrap()).source;
    assert_eq!(shown, "http 127.0.0.1:8080, with a token, at most 1000000 records or 1GiB unsettled");
}

#[test]
fn a_config_shows_no_secret() {
    let broker = "headers = { authorization = \"env:TOKEN\" }";
    let text = format!("{LEAST}{broker}").replace("/hook", "/hunter2/hook?token=hunter2");
    let config = parse(&text).unwrap();
    let shown = format!("{config:?}");
    assert!(shown.contains("https://acme.example/…") && shown.contains("Env(\"KEY\")"), "{shown}");
    assert!(!shown.contains("hunter2") && !shown.contains(KEY), "{shown}");
    let summary = serde_json::to_string(&Summary::from(&config)).unwrap();
    assert!(!summary.contains("hunter2") && !summary.contains(KEY), "{summary}");
}

#[test]
fn no_error_repeats_a_secret_wherever_it_was_put_by_mistake() {
    let places = [
        format!("{LEAST}secret = \"{KEY}\""),
        format!("{LEAST}\"{KEY}\" = 1"),
        format!("{LEAST}headers = {{ authorization = \"Bearer hunter2\" }}"),
        format!("{LEAST}headers = {{ x-a = \"hunter2\\n\", webhook-signature = \"hunter2\" }}"),
        format!("{LEAST}headers = \"hunter2\""),
        format!("{LEAST}burst = \"{KEY}\""),
        LEAST.replace("[\"env:KEY\"]", &format!("[\"{KEY}\"]")),
        LEAST.replace("[\"env:KEY\"]", &format!("\"{KEY}\"")),
        LEAST.replace("[\"env:KEY\"]", "[\"hunter2\", \"env:SHORT\", \"env:hunter2!\", 5]"),
        LEAST.replace("[\"env:KEY\"]", "\"hunter2\""),
        LEAST.replace("[\"env:KEY\"]", &format!("[\"{KEY}")),
        LEAST.replace("\"env:KEY\"", &format!("\"{KEY}\" \"hunter2\"")),
        LEAST.replace("https://", "http://user:hunter2@").replace("/hook", "/hook?t=hunter2"),
        LEAST.replace("https://acme.example/hook", KEY),
        LEAST.replace("[[brokers]]", "[brokers]"),
        "brokers = { secrets = [\"hunter2\"] }\nsource.kind = \"stdin\"".to_owned(),
    ];
    for text in places {
        let errors = parse(&text).unwrap_err();
        let shown = format!("{errors}\n{errors:?}\n{}", serde_json::to_string(&errors.problems).unwrap());
        assert!(!shown.contains("hunter2") && !shown.to_lowercase().contains("mfkq9r8"), "{text}\n{shown}");
    }
}

#[test]
fn a_syntax_error_is_reported_alone_with_line_and_column() {
    let errors = parse("[source]\npath = \"a\"\npoll = = 5\n[nothing]").unwrap_err();
    assert_eq!((errors.problems.len(), errors.problems[0].line), (1, Some(3)));
    assert!(errors.problems[0].problem.contains("line 3, column 8"), "{errors}");
}

#[test]
fn a_file_that_is_not_there_is_one_problem() {
    let errors = Config::load(Path::new("/nowhere/loadline.toml")).unwrap_err();
    assert!(errors.to_string().contains("cannot be read"), "{errors}");
    assert!(errors.to_string().ends_with("1 problem in /nowhere/loadline.toml"), "{errors}");
}

#[test]
fn secrets_and_paths_start_at_the_config_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("loadline.toml");
    std::fs::write(&path, LEAST.replace("env:KEY", "file:acme.key")).unwrap();
    assert_eq!(Config::load(&path).unwrap_err().problems[0].key, "brokers[0].secrets[0]");
    std::fs::write(dir.path().join("acme.key"), format!("{KEY}\n")).unwrap();
    let config = Config::load(&path).unwrap();
    assert!(signs_with_key(&config.brokers[0]));
    assert_eq!(config.state.dir, dir.path().join("state"));
}
