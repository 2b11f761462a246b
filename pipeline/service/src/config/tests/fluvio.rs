//! A topic as the source: its defaults, its keys, its mistakes.

use super::*;
use fluvio_engine::{FluvioOptions, Isolation, Partitions, Start};

fn fluvio(more: &str) -> Result<Config, ConfigErrors> {
    parse(&LEAST.replace("path = \"events.ndjson\"", &format!("kind = \"fluvio\"\n{more}")))
}

fn of(more: &str) -> FluvioOptions {
    match fluvio(more).unwrap_or_else(|errors| panic!("{more}\n{errors}")).source.kind {
        SourceKind::Fluvio(options) => options,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_topic_is_read_from_its_beginning_in_all_partitions_by_default() {
    let defaults = of("");
    assert_eq!(
        (defaults.cluster.endpoint.as_str(), defaults.cluster.tls.is_none()),
        ("127.0.0.1:9003", true)
    );
    assert_eq!((defaults.topic.as_str(), &defaults.partitions), ("shipment-events", &Partitions::All));
    assert_eq!((defaults.start, defaults.isolation), (Start::Beginning, Isolation::Committed));
    assert_eq!((defaults.max_bytes, defaults.record_max, defaults.mirror), (2 << 20, 1 << 20, None));
    assert_eq!(of("mirror_offsets = true\ntopic = \"t\"").mirror.as_deref(), Some("loadline-t"));
    assert_eq!(of("partitions = [2, 0]").partitions, Partitions::These(vec![0, 2]));
    assert_eq!(of("partitions = \"all\"").partitions, Partitions::All);
    for (text, start) in [
        ("\"end\"", Start::End),
        ("\"checkpoint\"", Start::Checkpoint),
        ("{ offset = 12 }", Start::Offset(12)),
    ] {
        assert_eq!(of(&format!("start = {text}")).start, start);
    }
    for endpoint in ["fluvio.example:9003", "10.0.0.7:1", "[::1]:65535"] {
        assert_eq!(of(&format!("endpoint = \"{endpoint}\"")).cluster.endpoint, endpoint);
    }
}

#[test]
fn tls_needs_an_authority_and_takes_the_name_from_the_endpoint() {
    let dir = tempfile::tempdir().unwrap();
    let pem = dir.path().join("a.pem");
    std::fs::write(&pem, "").unwrap();
    let pem = pem.display();
    let tls = of(&format!("endpoint = \"sc.example:9003\"\ntls = true\ntls_ca_file = \"{pem}\""))
        .cluster
        .tls
        .unwrap();
    assert_eq!((tls.domain.as_str(), tls.client.is_none()), ("sc.example", true));
    let both = format!(
        "tls = true\ntls_domain = \"d\"\ntls_ca_file = \"{pem}\"\ntls_cert_file = \"{pem}\"\ntls_key_file = \"{pem}\""
    );
    let tls = of(&both).cluster.tls.unwrap();
    assert_eq!((tls.domain.as_str(), tls.client.is_some()), ("d", true));
    assert_eq!(tls.handshake_timeout, Duration::from_secs(5), "half of connect_timeout");
    for wrong in [
        "",
        "endpoint = \"[::1]:9003\"",
        "tls_domain = \"10.0.0.7\"",
        "tls_domain = \"a b\"",
        "tls_domain = \"a..b\"",
    ] {
        let errors = fluvio(&format!("tls = true\ntls_ca_file = \"{pem}\"\n{wrong}")).unwrap_err();
        let keys: Vec<&str> = errors.problems.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["source.tls_domain"], "{wrong}\n{errors}");
    }
}

#[test]
fn a_mistake_about_a_topic_is_reported_at_its_key() {
    let table = [
        ("path = \"a\"", "source.path"),
        ("listen = \"127.0.0.1:1\"", "source.listen"),
        ("endpoint = \"fluvio.example\"", "source.endpoint"),
        ("endpoint = \"http://fluvio.example:9003\"", "source.endpoint"),
        ("endpoint = \"a b:9003\"", "source.endpoint"),
        ("endpoint = \"a:0\"", "source.endpoint"),
        ("endpoint = 9003", "source.endpoint"),
        ("tls = true\ntls_domain = \"d\"", "source.tls_ca_file"),
        ("tls = true\ntls_domain = \"d\"\ntls_ca_file = \"none.pem\"", "source.tls_ca_file"),
        ("tls_domain = \"a\"", "source.tls_domain"),
        ("topic = \"Shipment_Events\"", "source.topic"),
        ("topic = \"-a\"", "source.topic"),
        ("partitions = \"some\"", "source.partitions"),
        ("partitions = []", "source.partitions"),
        ("partitions = [-1]", "source.partitions"),
        ("partitions = [1, 1]", "source.partitions"),
        ("start = \"now\"", "source.start"),
        ("start = { time = 1 }", "source.start"),
        ("start = { offset = -1 }", "source.start"),
        ("start = 5", "source.start"),
        ("isolation = \"read\"", "source.isolation"),
        ("max_bytes = \"1KiB\"", "source.max_bytes"),
        ("max_bytes = \"1MiB\"", "source.max_bytes"),
        ("stall_after = \"0s\"", "source.stall_after"),
        ("backoff_min = \"40s\"", "source.backoff_min"),
        ("mirror_offsets = 1", "source.mirror_offsets"),
    ];
    for (text, key) in table {
        let errors = fluvio(text).unwrap_err();
        let keys: Vec<&str> = errors.problems.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, [key], "{text}\n{errors}");
    }
    let file = parse(&LEAST.replace("path =", "topic = \"t\"\npath =")).unwrap_err();
    assert_eq!(file.problems[0].key, "source.topic");
}

#[test]
fn the_summary_says_what_is_read_and_from_where() {
    let shown = |more: &str| Summary::from(&fluvio(more).unwrap()).source;
    assert_eq!(
        shown(""),
        "fluvio 127.0.0.1:9003 without TLS, topic shipment-events, all partitions, from its beginning at first"
    );
    assert!(
        shown("partitions = [0, 3]\nstart = \"checkpoint\"")
            .ends_with("partitions [0, 3], from a checkpoint only")
    );
}

#[test]
fn a_build_without_a_client_says_so_and_names_the_feature() {
    for (engine, name) in [(topic::Engine::Fluvio, "fluvio"), (topic::Engine::Kafka, "kafka")] {
        assert!(engine.without_client(true).is_none());
        let refusal = engine.without_client(false).unwrap();
        assert!(refusal.remedy.contains(&format!("feature {name}")));
        assert!(engine.has_client(), "tests are built with it");
    }
}
