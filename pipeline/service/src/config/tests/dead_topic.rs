//! The topic of dead letters: off by default, its defaults, its mistakes.

use super::*;

const FLUVIO: &str = "kind = \"fluvio\"";

/// A config with this source and this section.
fn with(source: &str, section: &str) -> Result<Config, ConfigErrors> {
    parse(&format!("{section}\n{}", LEAST.replace("path = \"events.ndjson\"", source)))
}

fn of(source: &str, section: &str) -> DeadTopicConfig {
    with(source, section).unwrap_or_else(|errors| panic!("{section}\n{errors}")).dead_topic.unwrap()
}

fn fluvio(dead: &DeadTopicConfig) -> fluvio_engine::ClusterOptions {
    match &dead.cluster {
        DeadCluster::Fluvio(cluster) => cluster.clone(),
        DeadCluster::Kafka(other) => panic!("{other:?}"),
    }
}

#[test]
fn there_is_none_without_the_section_and_with_it_the_sources_cluster_or_one_of_its_own() {
    assert!(with(FLUVIO, "").unwrap().dead_topic.is_none() && parse(LEAST).unwrap().dead_topic.is_none());
    let dir = tempfile::tempdir().unwrap();
    let pem = dir.path().join("a.pem");
    std::fs::write(&pem, "").unwrap();
    let tls =
        format!("{FLUVIO}\nendpoint = \"sc.example:1\"\ntls = true\ntls_ca_file = \"{}\"", pem.display());
    let named = "[dead_topic]\ntopic = \"dead\"\n";
    let same = of(&tls, named);
    let cluster = fluvio(&same);
    assert_eq!(
        (cluster.endpoint.as_str(), cluster.tls.unwrap().domain),
        ("sc.example:1", "sc.example".to_owned())
    );
    assert_eq!(
        (same.topic.as_str(), same.value_max, same.grace),
        ("dead", 256 << 10, Duration::from_secs(5))
    );
    // Nothing of the source's is shown to another cluster.
    let other = of(&tls, &format!("{named}endpoint = \"b:2\""));
    let other = fluvio(&other);
    assert_eq!((other.endpoint.as_str(), other.tls), ("b:2", None));
    let file = of("path = \"a\"", &format!("{named}endpoint = \"b:2\""));
    assert_eq!(fluvio(&file).endpoint, "b:2");
    let summary = |source, section: &str| Summary::from(&with(source, section).unwrap());
    assert_eq!(summary(FLUVIO, named).dead_topic, "fluvio 127.0.0.1:9003 without TLS, topic dead");
    assert!(summary(FLUVIO, named).to_string().contains("topic dead\n"));
    assert_eq!(summary(FLUVIO, "").dead_topic, "off");
}

#[test]
fn a_mistake_about_the_topic_of_dead_letters_is_reported_at_its_key() {
    let table = [
        ("", "dead_topic.topic"),
        ("topic = \"A\"", "dead_topic.topic"),
        ("topic = \"shipment-events\"", "dead_topic.topic"),
        ("topic = \"shipment-events\"\nendpoint = \"LOCALHOST:9003\"", "dead_topic.topic"),
        ("topic = \"t\"\nendpoint = \"a\"", "dead_topic.endpoint"),
        ("topic = \"t\"\ntls = true", "dead_topic.tls"),
        ("topic = \"t\"\ntls_domain = \"a\"", "dead_topic.tls_domain"),
        ("topic = \"t\"\nendpoint = \"a:1\"\ntls = true", "dead_topic.tls_ca_file"),
        ("topic = \"t\"\nvalue_max = \"1KiB\"", "dead_topic.value_max"),
        ("topic = \"t\"\ntimeout = \"0s\"", "dead_topic.timeout"),
        ("topic = \"t\"\nbackoff_min = \"40s\"", "dead_topic.backoff_min"),
        ("topic = \"t\"\ngrace = \"1h\"", "dead_topic.grace"),
        ("topic = \"t\"\ntopics = 1", "dead_topic.topics"),
    ];
    let source = format!("{FLUVIO}\nendpoint = \"localhost:9003\"");
    for (text, key) in table {
        let errors = with(&source, &format!("[dead_topic]\n{text}")).unwrap_err();
        let keys: Vec<&str> = errors.problems.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, [key], "{text}\n{errors}");
    }
    assert!(with(&source, "[dead_topic]\ntopic = \"shipment-events\"\nendpoint = \"b:9003\"").is_ok());
    let file = with("path = \"a\"", "[dead_topic]\ntopic = \"t\"").unwrap_err();
    assert_eq!(file.problems[0].key, "dead_topic.endpoint");
}

#[test]
fn a_kafka_cluster_is_named_by_its_brokers_or_taken_from_the_source_and_no_key_of_another_cluster_stands_beside_it()
 {
    const KAFKA: &str = "kind = \"kafka\"\nbootstrap = [\"a:1\", \"b:1\"]\ngroup = \"g\"";
    for (text, source, at) in [
        ("topic = \"T.1\"", KAFKA, "a:1,b:1"),
        ("topic = \"T.1\"\nbootstrap = [\"c:1\"]", FLUVIO, "c:1"),
        ("topic = \"T.1\"\nbootstrap = [\"c:1\"]", "path = \"a\"", "c:1"),
    ] {
        let config = with(source, &format!("[dead_topic]\n{text}")).unwrap();
        assert_eq!(config.dead_topic.unwrap().cluster.to_string(), at, "{text}");
    }
    let table = [
        ("topic = \"t\"\nbootstrap = [\"c:1\"]\nendpoint = \"d:1\"", FLUVIO, "dead_topic.bootstrap"),
        ("topic = \"t\"\nendpoint = \"d:1\"\nsasl = \"plain\"", FLUVIO, "dead_topic.sasl"),
        ("topic = \"t\"\nusername = \"u\"", FLUVIO, "dead_topic.username"),
    ];
    for (text, source, key) in table {
        let errors = with(source, &format!("[dead_topic]\n{text}")).unwrap_err();
        let keys: Vec<&str> = errors.problems.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, [key], "{text}\n{errors}");
    }
}
