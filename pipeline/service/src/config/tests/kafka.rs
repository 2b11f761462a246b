//! A topic of a Kafka cluster as the source: its defaults, its keys, its mistakes, what must hold between them.

use super::*;
use kafka_engine::{
    GroupOptions, GroupProtocol, Isolation, KafkaOptions, OnLoss, Reading, SaslMechanism, Start,
};

const LOCAL: &str = "bootstrap = [\"127.0.0.1:9092\"]\n";

/// A config with a group on this machine and these keys in `[source]`, and these sections.
fn kafka(more: &str, sections: &str) -> Result<Config, ConfigErrors> {
    let source = format!("kind = \"kafka\"\n{more}\n");
    parse(&format!("{}\n{sections}", LEAST.replace("path = \"events.ndjson\"", &source)))
}

fn of(more: &str) -> KafkaOptions {
    match kafka(more, "").unwrap_or_else(|errors| panic!("{more}\n{errors}")).source.kind {
        SourceKind::Kafka(options) => *options,
        other => panic!("{other:?}"),
    }
}

fn in_group(more: &str) -> KafkaOptions {
    of(&format!("{LOCAL}group = \"loadline\"\n{more}"))
}

fn member(options: KafkaOptions) -> GroupOptions {
    match options.reading {
        Reading::Group(group) => group,
        other => panic!("{other:?}"),
    }
}

fn keys(errors: &ConfigErrors) -> Vec<&str> {
    errors.problems.iter().map(|problem| problem.key.as_str()).collect()
}

#[test]
fn a_cluster_a_group_and_defaults_for_everything_else() {
    let defaults = in_group("");
    assert_eq!(defaults.cluster.bootstrap, ["127.0.0.1:9092"]);
    assert!(defaults.cluster.tls.is_none() && defaults.cluster.sasl.is_none());
    assert_eq!(defaults.cluster.timeout, Duration::from_secs(10));
    assert_eq!((defaults.topic.as_str(), defaults.start), ("shipment-events", Start::Beginning));
    assert_eq!((defaults.isolation, defaults.on_loss), (Isolation::Committed, OnLoss::Stop));
    assert_eq!((defaults.fetch.partition_max, defaults.fetch.queue_max), (1 << 20, 4 << 20));
    let group = member(defaults);
    assert_eq!((group.id.as_str(), group.protocol), ("loadline", GroupProtocol::Classic));
    assert_eq!(group.session_timeout, Duration::from_secs(45));
    let more = "group_protocol = \"consumer\"\ninstance_id = \"member-1\"\nmax_poll_interval = \"1m\"";
    let group = member(in_group(more));
    assert_eq!((group.protocol, group.instance_id.as_deref()), (GroupProtocol::Consumer, Some("member-1")));
    assert_eq!(of(&format!("{LOCAL}partitions = [2, 0]")).reading, Reading::Partitions(vec![0, 2]));
    for (text, start) in
        [("\"end\"", Start::End), ("\"committed\"", Start::Committed), ("{ offset = 12 }", Start::Offset(12))]
    {
        assert_eq!(in_group(&format!("start = {text}")).start, start);
    }
}

#[test]
fn tls_needs_no_authority_and_a_password_is_a_reference_that_is_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let pem = dir.path().join("a.pem");
    std::fs::write(&pem, "").unwrap();
    assert!(in_group("tls = true").cluster.tls.unwrap().ca_file.is_none());
    let pem = pem.display();
    let files = format!("tls_ca_file = \"{pem}\"\ntls_cert_file = \"{pem}\"\ntls_key_file = \"{pem}\"");
    let options = of(&format!(
        "bootstrap = [\"a.example:9093\", \"b.example:9093\"]\ngroup = \"g\"\ntls = true\n{files}\n\
         sasl = \"plain\"\nusername = \"loadline\"\npassword = \"env:SHORT\""
    ));
    assert!(options.cluster.tls.as_ref().unwrap().client.is_some());
    let shown = format!("{options:?}");
    let sasl = options.cluster.sasl.unwrap();
    assert_eq!((sasl.mechanism, sasl.password.expose()), (SaslMechanism::Plain, "hunter2"));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn properties_are_passed_on_unless_they_would_break_a_promise_or_are_none() {
    let set = |text: &str| in_group(&format!("properties = {{ {text} }}")).cluster.properties;
    assert_eq!(set("\"client.rack\" = \"eu-1a\"")["client.rack"], "eu-1a");
    assert_eq!(set("client.rack = \"eu-1a\"")["client.rack"], "eu-1a", "names need no quotes");
    assert_eq!(set("socket.keepalive.enable = true")["socket.keepalive.enable"], "true");
    assert_eq!(set("topic.metadata.refresh.interval.ms = 60_000").values().next().unwrap(), "60000");
    for (text, key, words) in [
        ("\"auto.offset.reset\" = \"latest\"", "auto.offset.reset", "source.on_loss"),
        ("enable.auto.commit = true", "enable.auto.commit", "settled"),
        ("client.rak = \"a\"", "client.rak", "correct it"),
        ("socket.timeout.ms = 1", "socket.timeout.ms", "correct it"),
        ("client.rack = 1.5", "client.rack", "documentation"),
        ("sasl.password = \"hunter2\"", "sasl.password", "source.password"),
    ] {
        let errors = kafka(&format!("{LOCAL}group = \"g\"\nproperties = {{ {text} }}"), "").unwrap_err();
        assert_eq!(keys(&errors), [format!("source.properties.{key}")], "{errors}");
        assert!(errors.problems[0].remedy.contains(words), "{errors}");
        assert!(!format!("{errors} {errors:?}").contains("hunter2"), "{errors}");
    }
}

#[test]
fn a_mistake_about_the_cluster_is_reported_at_its_key() {
    let table = [
        ("group = \"g\"", "source.bootstrap"),
        ("group = \"g\"\nbootstrap = []", "source.bootstrap"),
        ("group = \"g\"\nbootstrap = \"a:1\"", "source.bootstrap"),
        ("group = \"g\"\nbootstrap = [\"a:1\", \"b\"]", "source.bootstrap[1]"),
        (
            "group = \"g\"\nbootstrap = [\"a:1\"]\ntls_ca_file = \"none.pem\"\ntls = true",
            "source.tls_ca_file",
        ),
        ("group = \"g\"\nbootstrap = [\"a:1\"]\nsasl = \"gssapi\"", "source.sasl"),
    ];
    for (text, key) in table {
        let errors = kafka(text, "").unwrap_err();
        assert_eq!(keys(&errors), [key], "{text}\n{errors}");
    }
    let login = "username = \"u\"\npassword = \"env:SHORT\"";
    let plain = |host: &str, more: &str| {
        let text = format!("group = \"g\"\nbootstrap = [\"{host}:9092\"]\nsasl = \"plain\"\n{login}\n{more}");
        kafka(&text, "").map_err(|errors| keys(&errors).join(" "))
    };
    assert!(plain("localhost", "").is_ok() && plain("kafka.example", "tls = true").is_ok());
    assert_eq!(plain("kafka.example", "").unwrap_err(), "source.sasl", "anyone could read the password");
}

#[test]
fn a_mistake_about_the_group_or_the_topic_is_reported_at_its_key() {
    let table = [
        ("", "source.group"),
        ("partitions = \"all\"", "source.group"),
        ("partitions = [4294967295]", "source.partitions"),
        ("partitions = []", "source.partitions"),
        ("partitions = [0]\ninstance_id = \"a\"", "source.instance_id"),
        ("partitions = [0]\ncommit_every = \"1s\"", "source.commit_every"),
        ("partitions = [0]\ngroup = \"g\"", "source.partitions"),
        ("group = \"\"", "source.group"),
        ("group = \"g\"\ngroup_protocol = \"consumer\"\nsession_timeout = \"10s\"", "source.session_timeout"),
        ("group = \"g\"\ngroup_protocol = \"eager\"", "source.group_protocol"),
        ("group = \"g\"\nsession_timeout = \"1s\"", "source.session_timeout"),
        ("group = \"g\"\ntopic = \"a/b\"", "source.topic"),
        ("group = \"g\"\nstart = \"checkpoint\"", "source.start"),
        ("group = \"g\"\non_loss = \"reset\"", "source.on_loss"),
        ("group = \"g\"\nframing = \"avro\"", "source.framing"),
        ("group = \"g\"\npassword = \"env:SHORT\"", "source.password"),
        ("group = \"g\"\nsasl = \"scram-sha-512\"\nusername = \"u\"", "source.password"),
        ("group = \"g\"\nsasl = \"scram-sha-512\"\npassword = \"env:SHORT\"", "source.username"),
        ("group = \"g\"\nendpoint = \"a:1\"", "source.endpoint"),
        ("group = \"g\"\nmirror_offsets = true", "source.mirror_offsets"),
        ("group = \"g\"\npath = \"a\"", "source.path"),
    ];
    for (text, key) in table {
        let errors = kafka(&format!("{LOCAL}{text}"), "").unwrap_err();
        assert_eq!(keys(&errors), [key], "{text}\n{errors}");
    }
    for key in ["bootstrap = [\"a:1\"]", "group = \"g\"", "framing = \"none\"", "properties = {}"] {
        let other = parse(&LEAST.replace("path =", &format!("{key}\npath ="))).unwrap_err();
        assert!(other.problems[0].remedy.contains("set kind = \"kafka\""), "{other}");
    }
}

#[test]
fn a_member_has_time_to_give_a_partition_up_and_a_record_fits_into_a_response() {
    let table = [
        ("session_timeout = \"5m\"", "", "source.session_timeout"),
        ("max_poll_interval = \"44s\"", "", "source.max_poll_interval"),
        // 15 s on the wire and 10 s for a commit.
        ("session_timeout = \"10s\"\nmax_poll_interval = \"25s\"", "", "source.max_poll_interval"),
        ("connect_timeout = \"5m\"", "", "source.connect_timeout"),
        ("", "[delivery]\ntimeout = \"290s\"", "delivery.timeout"),
        ("fetch_partition_max = \"512KiB\"", "", "source.fetch_partition_max"),
        ("fetch_queue_max = \"512KiB\"", "", "source.fetch_queue_max"),
        ("backoff_min = \"40s\"", "", "source.backoff_min"),
    ];
    for (text, sections, key) in table {
        let errors = kafka(&format!("{LOCAL}group = \"g\"\n{text}"), sections).unwrap_err();
        assert_eq!(keys(&errors), [key], "{text}\n{errors}");
    }
    let fits = "group = \"g\"\nsession_timeout = \"10s\"\nmax_poll_interval = \"25001ms\"";
    assert!(kafka(&format!("{LOCAL}{fits}"), "").is_ok());
    assert!(kafka(&format!("{LOCAL}partitions = [0]\nconnect_timeout = \"10m\""), "").is_ok(), "no group");
    let broker =
        LEAST.replace("path = \"events.ndjson\"", &format!("kind = \"kafka\"\n{LOCAL}group = \"g\""));
    let errors = parse(&format!("{broker}timeout = \"5m\"")).unwrap_err();
    assert_eq!(keys(&errors), ["brokers[0].timeout"], "{errors}");
    assert!(
        errors.problems[0].problem.contains("source.connect_timeout, which a commit may take"),
        "{errors}"
    );
}

#[test]
fn the_summary_says_what_is_read_and_by_whom_and_check_what_a_group_does_not_share() {
    let shown = |more: &str| Summary::from(&kafka(more, "").unwrap()).source;
    assert_eq!(
        shown(&format!("{LOCAL}group = \"g\"")),
        "kafka 127.0.0.1:9092 without TLS, topic shipment-events, group g (classic), from its beginning at first"
    );
    let login = "username = \"u\"\npassword = \"env:SHORT\"";
    let text = format!(
        "bootstrap = [\"a:1\", \"b:2\"]\ntls = true\nsasl = \"scram-sha-512\"\n{login}\npartitions = [3]\n\
         start = \"committed\"\non_loss = \"continue\""
    );
    assert_eq!(
        shown(&text),
        "kafka a:1,b:2 with TLS and scram-sha-512, topic shipment-events, partitions [3] without a group, \
         from a checkpoint only, goes on behind what is lost"
    );
    let notes = |more: &str| notes(&kafka(&format!("{LOCAL}{more}"), "").unwrap()).join("\n");
    assert!(notes("group = \"g\"").contains("source.group g: a partition that moves"));
    assert!(!notes("partitions = [0]").contains("group"));
}

#[test]
fn state_follows_its_partition_only_in_a_group_and_is_kept_in_topics_of_its_name() {
    let group = format!("{LOCAL}group = \"loadline\"");
    assert_eq!(kafka(&group, "").unwrap().follow(), None);
    let follow = kafka(&group, "[state]\nfollow = \"topic\"").unwrap().follow().unwrap();
    assert_eq!(follow.ledger_topic, "shipment-events-loadline-ledger");
    assert_eq!(follow.waiting_topic, "shipment-events-loadline-waiting");
    assert_eq!((follow.create, follow.replication, follow.min_isr), (false, 3, 2));
    let named =
        "[state]\nfollow = \"topic\"\ntopic = \"state\"\ncreate_topics = true\nreplication = 1\nmin_isr = 1";
    let follow = kafka(&format!("{group}\ninstance_id = \"m1\""), named).unwrap().follow().unwrap();
    assert_eq!((&*follow.ledger_topic, &*follow.member, follow.create), ("state-ledger", "m1", true));
    let odd = format!("{LOCAL}group = \"load line\"");
    let table = [
        (&group, "topic = \"state\"", "state.topic"),
        (&group, "create_topics = true", "state.create_topics"),
        (&group, "follow = \"topic\"\ntopic = \"a b\"", "state.topic"),
        (&group, "follow = \"topic\"\nreplication = 1", "state.replication"),
        (&odd, "follow = \"topic\"", "state.follow"),
        (&format!("{LOCAL}partitions = [0]"), "follow = \"topic\"", "state.follow"),
        // A commit and the state topics take 10 s each.
        (
            &format!("{group}\nsession_timeout = \"10s\"\nmax_poll_interval = \"25s\""),
            "follow = \"topic\"",
            "source.max_poll_interval",
        ),
    ];
    for (source, state, key) in table {
        let errors = kafka(source, &format!("[state]\n{state}")).unwrap_err();
        assert_eq!(keys(&errors), [key], "{state}\n{errors}");
    }
    let file = parse(&format!("{LEAST}\n[state]\nfollow = \"topic\"")).unwrap_err();
    assert_eq!(keys(&file), ["state.follow"]);
}
