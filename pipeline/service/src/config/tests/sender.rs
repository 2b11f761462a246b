//! What a TMS asks of the sender: keys of a broker that most brokers have not, and their mistakes.

use std::fs;

use rcgen::{CertificateParams, KeyPair};
use stages::{Body, ClientAuth, Mode};

use super::*;

/// A broker without `secrets`, which are its only signature.
fn unsigned(broker: &str) -> Result<Config, ConfigErrors> {
    parse(&format!("{}{broker}\n", LEAST.replace("secrets = [\"env:KEY\"]\n", "")))
}

fn broker(lines: &str) -> BrokerConfig {
    with(lines, "").unwrap_or_else(|errors| panic!("{errors}")).brokers.remove(0)
}

#[test]
fn an_authorization_comes_by_reference_and_is_not_shown() {
    let bearer = broker("auth = { bearer = \"env:SHORT\" }");
    assert_eq!(bearer.headers["authorization"], "Bearer hunter2");
    let whole = broker("auth = { bearer = \"env:SCHEME\" }");
    assert_eq!(whole.headers["authorization"], "Bearer hunter2", "a file may hold the header's value");
    let basic = broker("auth = { basic = \"env:WORD\" }");
    assert_eq!(basic.headers["authorization"], "Basic aHVudGVyMjpodW50ZXIy");
    assert!(
        !format!("{bearer:?}{basic:?}").contains("hunter2") && basic.headers["authorization"].is_sensitive()
    );
}

#[test]
fn access_tokens_are_asked_for_where_and_as_the_config_says() {
    let lines = "[brokers.oauth2]\ntoken_url = \"https://id.example/token\"\nclient_id = \"a\"\n\
                 client_secret = \"env:SHORT\"\nclient_auth = \"body\"\nscope = \"x y\"\nparameters = { audience = \"b\" }";
    let with_tokens = broker(lines);
    let oauth2 = with_tokens.special.oauth2.clone().unwrap();
    assert_eq!((oauth2.client_secret.as_str(), oauth2.client_auth), ("hunter2", ClientAuth::Body));
    assert_eq!((oauth2.scope.as_deref(), oauth2.parameters.len()), (Some("x y"), 1));
    assert!(!format!("{with_tokens:?}").contains("hunter2") && with_tokens.endpoint().is_ok());
}

#[test]
fn a_key_of_ed25519_signs_beside_a_shared_one_and_another_scheme_instead_of_both() {
    let both = parse(&LEAST.replace("[\"env:KEY\"]", "[\"env:KEY\", \"env:PRIVATE_KEY\"]")).unwrap();
    let signature = signature(&both.brokers[0]);
    assert!(signature.starts_with("v1,") && signature.contains(" v1a,"), "{signature}");

    let hub = "signatures = [{ header = \"X-Hub-Signature-256\", value = \"sha256={hex}\", secret = \"env:SHORT\" }]";
    let instead = unsigned(hub).unwrap().brokers.remove(0);
    let first = stages::models::Ordinal { attempt: 1, may_repeat: false };
    let headers = instead.endpoint().unwrap().headers("e", 0, b"", first).unwrap();
    assert!(!headers.contains_key("webhook-signature") && headers["webhook-id"] == "e");
    // HMAC-SHA256 of nothing with the key `hunter2`.
    assert_eq!(
        headers["x-hub-signature-256"],
        "sha256=a9ee5d331179aed5d1fba6cd59acb1461a65410fa9cb709781d1d9b2a32fd5c1"
    );
    let shared = broker(
        "signatures = [{ header = \"x-a\", value = \"t={timestamp},v1={base64}\", over = \"{timestamp}.{body}\" }]",
    );
    assert!(
        shared.endpoint().unwrap().headers("e", 0, b"", first).unwrap().contains_key("webhook-signature")
    );
}

#[test]
fn a_request_has_the_shape_that_the_config_gives_it() {
    let shaped = broker("method = \"PUT\"\nbody = \"cloudevents\"\ncontent_type = \"application/json\"");
    assert_eq!(
        (shaped.special.shape.method.as_str(), &shaped.headers["content-type"]),
        ("PUT", &"application/json".parse().unwrap())
    );
    assert_eq!(broker("body = \"cloudevents\"").headers["content-type"], "application/cloudevents+json");
    assert!(broker("body = \"standard\"").headers.is_empty());
    assert!(
        matches!(&shaped.special.shape.body, Body::CloudEvents(events) if events.mode == Mode::Structured)
    );
    let with_places =
        parse(&LEAST.replace("/hook", "/loads/{loadId}?stop={/stop/n}")).unwrap().brokers.remove(0);
    assert_eq!(with_places.url.as_str(), "https://acme.example/loads/0?stop=0");
    assert!(with_places.special.shape.url.is_some());
    let template = broker("body = { template = '{\"load\": \"{{ loadId }}\", \"x\": {{ body.a.b }} }' }");
    assert!(matches!(template.special.shape.body, Body::Template(_)));
    let standard = broker("body = { kind = \"standard\", type = \"load.{status}\" }");
    assert!(matches!(standard.special.shape.body, Body::Standard { .. }));
}

#[test]
fn several_events_go_in_one_post_with_room_for_all_of_them() {
    let batch = broker("batch = { max = 20, wait = \"1s\" }\nbody = \"cloudevents\"");
    let policy = batch.special.batch.unwrap();
    assert_eq!((policy.max, policy.wait.as_secs(), policy.bytes_max), (20, 1, 1 << 20));
    assert_eq!((batch.concurrency, broker("batch = {}").concurrency), (640, 1024));
    assert_eq!(batch.headers["content-type"], "application/cloudevents-batch+json");
    assert!(broker("").special.batch.is_none());
    let refused = |lines: &str| with(lines, "").unwrap_err().problems.remove(0).key;
    assert_eq!(refused("batch = { max = 20 }\nconcurrency = 10"), "brokers[0].concurrency");
    assert_eq!(refused("batch = { wait = \"3s\" }"), "brokers[0].batch.wait");
    assert_eq!(refused("batch = {}\nbody = \"cloudevents-binary\""), "brokers[0].batch");
    let places = parse(&format!("{}batch = {{}}\n", LEAST.replace("/hook", "/{loadId}"))).unwrap_err();
    assert_eq!(places.problems[0].key, "brokers[0].batch");
}

#[test]
fn a_template_is_tried_on_the_sample_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let event =
        r#"{"eventId":"e","loadId":"L","status":"delivered","occurredAt":"2026-01-01T00:00:00Z","city":"X"}"#;
    fs::write(dir.path().join("event.json"), event).unwrap();
    fs::write(dir.path().join("body"), "{\"city\": \"{{ body.city | upper }}\"}").unwrap();
    let read = |sample: &str| {
        let body = format!("{LEAST}body = {{ template_file = \"body\", sample = \"{sample}\" }}");
        Config::parse(&body, dir.path(), environment)
    };
    assert!(read("event.json").is_ok());
    fs::write(dir.path().join("other.json"), event.replace("city", "town")).unwrap();
    let refused = read("other.json").unwrap_err();
    assert_eq!(refused.problems[0].key, "brokers[0].body.template_file", "{refused}");
    fs::write(dir.path().join("none.json"), "{}").unwrap();
    assert_eq!(read("none.json").unwrap_err().problems[0].key, "brokers[0].body.sample");
}

#[test]
fn certificates_are_read_with_the_config_and_must_fit() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str, mode: u32| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let certificate =
        CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    put("cert", &certificate.pem(), 0o644);
    put("key", &key.serialize_pem(), 0o600);
    put("other", &other.serialize_pem(), 0o600);
    put("shown", &key.serialize_pem(), 0o644);
    let read = |lines: &str| Config::parse(&format!("{LEAST}{lines}"), dir.path(), environment);
    let pair =
        |key: &str| read(&format!("tls_cert_file = \"cert\"\ntls_key_file = \"{key}\"\nca_file = \"cert\""));
    let fine = pair("key").unwrap();
    let tls = fine.brokers[0].special.tls.as_ref().unwrap();
    assert_eq!((tls.authorities().len(), tls.certificate().len(), fine.warnings.len()), (1, 1, 0));
    assert_eq!(pair("shown").unwrap().warnings.len(), 1, "others can read the key");
    for (key, at) in [("other", "tls_key_file"), ("cert", "tls_key_file"), ("none", "tls_key_file")] {
        let refused = pair(key).unwrap_err();
        assert_eq!(refused.problems[0].key, format!("brokers[0].{at}"), "{refused}");
    }
    let alone = read("tls_cert_file = \"cert\"").unwrap_err();
    assert_eq!(alone.problems[0].key, "brokers[0].tls_key_file");
    assert_eq!(read("ca_file = \"key\"").unwrap_err().problems[0].key, "brokers[0].ca_file");
}

#[test]
fn a_broker_leaves_through_the_proxy_of_all_its_own_or_none() {
    let of = |lines: &str, delivery: &str| {
        let config = with(lines, &format!("[delivery]\n{delivery}")).unwrap();
        config.brokers[0].special.proxy.as_ref().map(|proxy| proxy.url.to_string())
    };
    let all = "proxy = { url = \"http://10.0.0.1:3128\", credentials = \"env:WORD\" }";
    assert_eq!(of("", all).as_deref(), Some("http://10.0.0.1:3128/"));
    assert_eq!(of("proxy = \"https://own.example\"", all).as_deref(), Some("https://own.example/"));
    assert_eq!((of("proxy = \"none\"", all), of("", "")), (None, None));
    let shown = format!("{:?}", with("", &format!("[delivery]\n{all}")).unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_mistake_is_reported_at_its_key_and_repeats_no_secret() {
    let oauth2 = |lines: &str| format!("[brokers.oauth2]\n{lines}");
    let token_url = "token_url = \"https://id.example/token\"\nclient_id = \"a\"\n";
    let many: Vec<_> = (0..16).map(|nth| format!("x-{nth} = \"a\"")).collect();
    let table = [
        ("auth = \"Bearer hunter2\"".to_owned(), "auth"),
        ("auth = { bearer = \"hunter2\" }".to_owned(), "auth.bearer"),
        ("auth = { basic = \"env:SHORT\" }".to_owned(), "auth.basic"),
        ("headers = { authorization = \"env:TOKEN\" }\nauth = { bearer = \"env:SHORT\" }".to_owned(), "auth"),
        ("headers = { x-a = \"{{hmac}}\" }".to_owned(), "headers.x-a"),
        (format!("headers = {{ {} }}\nauth = {{ bearer = \"env:SHORT\" }}", many.join(", ")), "headers"),
        ("method = \"GET\"".to_owned(), "method"),
        ("content_type = \"json\"".to_owned(), "content_type"),
        ("headers = { content-type = \"a/b\" }\ncontent_type = \"c/d\"".to_owned(), "content_type"),
        ("body = \"standart\"".to_owned(), "body"),
        ("body = { kind = \"standard\", type = \"{stat}\" }".to_owned(), "body.type"),
        ("body = { kind = \"original\", type = \"a\" }".to_owned(), "body.kind"),
        ("body = { kind = \"standard\", template = \"{}\" }".to_owned(), "body"),
        ("body = { template = \"{{ a\" }".to_owned(), "body.template"),
        ("body = { template = \"{{ loadId }}\" }".to_owned(), "body.template"),
        ("body = { template_file = \"none\" }".to_owned(), "body.template_file"),
        ("body = { shape = 1 }".to_owned(), "body.shape"),
        ("signatures = []".to_owned(), "signatures"),
        ("signatures = [{ header = \"x-a\" }]".to_owned(), "signatures[0]"),
        ("signatures = [{ header = \"webhook-a\", value = \"{hex}\" }]".to_owned(), "signatures[0].header"),
        ("signatures = [{ header = \"x-a\", value = \"{sha1}\" }]".to_owned(), "signatures[0].value"),
        (
            "signatures = [{ header = \"x-a\", value = \"{hex}\", over = \"{id}\" }]".to_owned(),
            "signatures[0].over",
        ),
        (
            "signatures = [{ header = \"x-a\", value = \"{hex}\", secret = \"hunter2\" }]".to_owned(),
            "signatures[0].secret",
        ),
        (
            "headers = { x-a = \"b\" }\nsignatures = [{ header = \"x-a\", value = \"{hex}\" }]".to_owned(),
            "signatures",
        ),
        ("proxy = \"http://a:hunter2@proxy.example\"".to_owned(), "proxy"),
        ("proxy = \"socks5://proxy.example\"".to_owned(), "proxy"),
        ("proxy = \"http://proxy.example/hunter2\"".to_owned(), "proxy"),
        (
            "proxy = { url = \"http://p.example\", credentials = \"env:SHORT\" }".to_owned(),
            "proxy.credentials",
        ),
        (oauth2("client_id = \"a\"\nclient_secret = \"env:SHORT\""), "oauth2.token_url"),
        (
            oauth2(
                "token_url = \"https://id.example/{loadId}\"\nclient_id = \"a\"\nclient_secret = \"env:SHORT\"",
            ),
            "oauth2.token_url",
        ),
        (oauth2(&format!("{token_url}client_secret = \"hunter2\"")), "oauth2.client_secret"),
        (
            oauth2(
                "token_url = \"http://id.example/hunter2\"\nclient_id = \"a\"\nclient_secret = \"env:SHORT\"",
            ),
            "oauth2.token_url",
        ),
        (
            oauth2(&format!("{token_url}client_secret = \"env:SHORT\"\nclient_auth = \"none\"")),
            "oauth2.client_auth",
        ),
    ];
    for (lines, key) in table {
        let errors = with(&lines, "").unwrap_err();
        let keys: Vec<_> = errors.problems.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, [format!("brokers[0].{key}")], "{lines}\n{errors}");
        assert!(!errors.to_string().contains("hunter2"), "{errors}");
    }
    let both = "auth = { bearer = \"env:SHORT\" }\n[brokers.oauth2]\n".to_owned()
        + token_url
        + "client_secret = \"env:SHORT\"";
    assert_eq!(with(&both, "").unwrap_err().problems[0].key, "brokers[0].oauth2");
    let unsigned = unsigned("signatures = [{ header = \"x-a\", value = \"{hex}\" }]").unwrap_err();
    assert_eq!(unsigned.problems[0].key, "brokers[0].signatures[0]");
}

#[test]
fn a_brace_in_a_url_that_names_no_field_is_refused() {
    for place in ["{{loadId}}", "{load}", "{", "{}", "{loadId"] {
        let errors = parse(&LEAST.replace("/hook", &format!("/{place}"))).unwrap_err();
        assert_eq!(errors.problems[0].key, "brokers[0].url", "{place}");
    }
    let host = parse(&LEAST.replace("acme.example", "{loadId}.example")).unwrap_err();
    assert!(host.problems[0].problem.contains("before its path"), "{host}");
    let private = parse(&LEAST.replace("acme.example/hook", "10.0.0.1/{loadId}")).unwrap_err();
    assert!(private.problems[0].remedy.contains("allow_networks"), "{private}");
}
