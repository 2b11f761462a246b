//! The page for whoever connects a TMS: each of its set-ups is delivered with, to a TMS that looks at what it is sent.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tests::{
    AskingTms, Authority, Fleet, Reply, Request, Site, Summary, skipped, unreachable_address, until,
};
use toml::Table;

use crate::text;

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const HUB: &str = "It's a Secret to Everybody";
const EVENT: &str = r#"{"eventId":"e.1","loadId":"L 1","status":"in-transit","occurredAt":"2025-06-01T12:00:00Z","note":"\"Zürich\"","weight":1.50,"stops":[{"city":"Łódź"}]}"#;

/// The page's blocks in a language.
fn blocks(language: &str) -> Vec<String> {
    let (page, fence) = (text("connecting.md"), format!("```{language}\n"));
    let blocks = page.split(&fence).skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// The set-up of the broker `id`.
fn set_up(id: &str) -> Table {
    let name = format!("id = \"{id}\"");
    let block = blocks("toml").into_iter().find(|block| block.contains(&name)).unwrap();
    block.parse().unwrap()
}

/// A site with the set-up of `id`, its receiver's origin replaced by `origin`, and its secrets in files.
fn site(id: &str, origin: &str) -> Site {
    let mut site = Site::new(&Fleet::start(0), &[]);
    let mut set_up = set_up(id);
    keep_secrets(&site, &toml::Value::Table(set_up.clone()));
    let mut broker = set_up["brokers"].as_array_mut().unwrap().remove(0).as_table().unwrap().clone();
    replace_origin(&mut broker["url"], origin);
    if let Some(oauth2) = broker.get_mut("oauth2") {
        replace_origin(&mut oauth2["token_url"], origin);
    }
    site.put_broker(broker);
    site.write_bytes(format!("{EVENT}\n").as_bytes());
    site
}

fn replace_origin(url: &mut toml::Value, origin: &str) {
    let path = url.as_str().unwrap().splitn(4, '/').nth(3).unwrap().to_owned();
    *url = format!("{origin}/{path}").into();
}

/// Puts something into each file that a value refers to.
fn keep_secrets(site: &Site, value: &toml::Value) {
    match value {
        toml::Value::String(text) => {
            let Some(name) = text.strip_prefix("file:") else { return };
            let secret = match name.rsplit('-').next().unwrap() {
                "secret" => KEY,
                "hub" => HUB,
                "user" => "user:pass",
                other => other,
            };
            keep(site, name, secret);
        }
        toml::Value::Array(values) => values.iter().for_each(|value| keep_secrets(site, value)),
        toml::Value::Table(table) => table.values().for_each(|value| keep_secrets(site, value)),
        _ => {}
    }
}

fn keep(site: &Site, name: &str, text: &str) {
    fs::write(site.path(name), text).unwrap();
    fs::set_permissions(site.path(name), fs::Permissions::from_mode(0o600)).unwrap();
}

fn run(site: &Site) -> Summary {
    site.run().wait().summary()
}

fn header<'r>(request: &'r Request, name: &str) -> &'r str {
    request.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

fn verify(request: &Request) {
    Webhook::new(KEY).unwrap().verify(&request.body, &request.headers).unwrap();
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

#[test]
fn a_token_another_method_and_a_url_for_each_load() {
    let tms = AskingTms::start(|_| Reply::of(200));
    assert_eq!(run(&site("acme", &tms.origin())).delivered, 1);
    let request = tms.only();
    assert_eq!((request.method.as_str(), &*request.target), ("PUT", "/v2/loads/L%201/status?event=e.1"));
    assert_eq!(header(&request, "authorization"), "Bearer token");
    let event: Value = serde_json::from_str(EVENT).unwrap();
    let expected = json!({ "type": "in-transit", "timestamp": "2025-06-01T12:00:00Z", "data": event });
    assert_eq!(body(&request), expected);
    verify(&request);
}

#[test]
fn access_tokens() {
    let tms = AskingTms::start(|request| match &*request.target {
        "/token" => {
            let body = r#"{"access_token":"granted","token_type":"Bearer","expires_in":3600}"#.to_owned();
            Reply { status: 200, body }
        }
        _ => Reply::of(200),
    });
    let site = site("blue-harbor", &tms.origin());
    site.append_bytes(format!("{}\n", EVENT.replace("e.1", "e.2")).as_bytes());
    assert_eq!(run(&site).delivered, 2);
    let (asked, delivered): (Vec<_>, Vec<_>) = tms.seen().into_iter().partition(|one| one.target == "/token");
    assert_eq!((asked.len(), delivered.len()), (1, 2));
    assert!(header(&asked[0], "authorization").starts_with("Basic "));
    assert!(delivered.iter().all(|request| header(request, "authorization") == "Bearer granted"));
}

/// Computes both signatures anew, with another language's library.
const PYTHON: &str = r#"
import base64, hashlib, hmac, json, sys
given = json.load(sys.stdin)
key, body = given["key"].encode(), base64.b64decode(given["body"])
mac = lambda data: hmac.new(key, data, hashlib.sha256).hexdigest()
time = given["signature"].split(",")[0].removeprefix("t=")
assert hmac.compare_digest(given["hub"], "sha256=" + mac(body))
assert hmac.compare_digest(given["signature"], f"t={time},v1={mac(time.encode() + b'.' + body)}")
"#;

#[test]
fn signatures_of_other_schemes_instead_of_the_standard_one() {
    let tms = AskingTms::start(|_| Reply::of(200));
    assert_eq!(run(&site("cedar", &tms.origin())).delivered, 1);
    let request = tms.only();
    assert_eq!((header(&request, "webhook-signature"), header(&request, "webhook-id")), ("", "e~2E1"));
    assert!(
        header(&request, "x-signature").starts_with(&format!("t={},", header(&request, "webhook-timestamp")))
    );
    let mut python = Command::new("python3");
    let python = python.args(["-c", PYTHON]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut python) = python else { return skipped("there is no python3 to verify the signatures with") };
    use base64::{Engine, engine::general_purpose::STANDARD};
    let given = json!({
        "key": HUB, "body": STANDARD.encode(&request.body),
        "hub": header(&request, "x-hub-signature-256"), "signature": header(&request, "x-signature"),
    });
    python.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
    let judged = python.wait_with_output().unwrap();
    assert!(judged.status.success(), "{judged:?}");
}

/// Verifies a `v1a` signature, with another library than the one that signed.
const NODE: &str = r#"
const { createPublicKey, verify } = require('node:crypto');
const given = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
const prefix = Buffer.from('302a300506032b6570032100', 'hex');
const key = createPublicKey({ key: Buffer.concat([prefix, Buffer.from(given.key, 'hex')]), format: 'der', type: 'spki' });
const signed = Buffer.concat([Buffer.from(`${given.id}.${given.timestamp}.`), Buffer.from(given.body, 'base64')]);
console.log(verify(null, signed, key, Buffer.from(given.signature, 'base64')));
"#;

/// RFC 8032, section 7.1, test 1: a seed and its public key.
const SEED: [u8; 32] = [
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44,
    0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];
const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

#[test]
fn a_signature_by_ed25519_is_verified_by_another_library() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let tms = AskingTms::start(|_| Reply::of(200));
    let mut broker = set_up("cedar")["brokers"][0].as_table().unwrap().clone();
    broker.remove("signatures");
    replace_origin(&mut broker["url"], &tms.origin());
    broker.insert("secrets".to_owned(), vec!["file:ed25519"].into());
    let mut site = Site::new(&Fleet::start(0), &[]);
    keep(&site, "ed25519", &format!("whsk_{}", STANDARD.encode(SEED)));
    site.put_broker(broker);
    site.write_bytes(format!("{EVENT}\n").as_bytes());
    assert_eq!(run(&site).delivered, 1);
    let request = tms.only();
    let signature = header(&request, "webhook-signature").strip_prefix("v1a,").unwrap();
    let judged = |body: &[u8]| {
        let mut node = Command::new("node");
        node.args(["-e", NODE]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut node = node.spawn().ok()?;
        let given = json!({
            "key": PUBLIC, "id": header(&request, "webhook-id"), "timestamp": header(&request, "webhook-timestamp"),
            "body": STANDARD.encode(body), "signature": signature,
        });
        node.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
        Some(String::from_utf8(node.wait_with_output().unwrap().stdout).unwrap())
    };
    let Some(whole) = judged(&request.body) else {
        return skipped("there is no node to verify the signature with");
    };
    assert_eq!((&*whole, judged(b"{}").as_deref()), ("true\n", Some("false\n")));
}

#[test]
fn a_client_certificate_and_a_private_authority() {
    let (authority, other) = (Authority::new(), Authority::new());
    let tms = AskingTms::start_tls(&authority, true, |_| Reply::of(200));
    let mut site = site("delta", &tms.origin());
    let show = |site: &Site, authority: &Authority| {
        let client = authority.client();
        keep(site, "loadline.pem", &client.certificate);
        keep(site, "loadline.key", &client.key);
    };
    keep(&site, "delta-ca.pem", &authority.pem());
    show(&site, &other);
    site.set("limits.drain", "0s");
    assert_eq!(run(&site).delivered, 0, "with a certificate of another authority");
    show(&site, &authority);
    site.set("limits.drain", "1m");
    assert_eq!(run(&site).delivered, 1);
    verify(&tms.only());
}

#[test]
fn another_body() {
    let tms = AskingTms::start(|_| Reply::of(200));
    let site = site("elm", &tms.origin());
    keep(&site, "elm.json.jinja", &blocks("jinja")[0]);
    keep(&site, "sample.json", EVENT);
    let other = EVENT.replace("e.1", "e.2").replace("in-transit", "posted").replace(r#""weight":1.50,"#, "");
    site.append_bytes(
        format!("{}\n{other}\n", EVENT.replace("e.1", "e.3").replace("in-transit", "posted")).as_bytes(),
    );
    let summary = run(&site);
    let letters = site.dead_letters();
    assert_eq!((summary.delivered, letters.len()), (2, 1), "one has no weight");
    assert_eq!((&*letters[0].stage, &*letters[0].cause), ("deliver", "unsendable"));
    let words = "it cannot be put into the request that its broker asks for: the template fails for this event: \
                 something it asks for is not there in line 6";
    assert_eq!(letters[0].detail, words);
    let seen = tms.seen();
    let expected = |code: &str| json!({ "reference": "L 1", "code": code, "at": "2025-06-01T12:00:00Z", "city": "Łódź", "weight": 1.5 });
    assert_eq!((body(&seen[0]), body(&seen[1])), (expected("X6"), expected("ZZ")));
    seen.iter().for_each(verify);
}

#[test]
fn cloudevents() {
    let tms = AskingTms::start(|_| Reply::of(200));
    assert_eq!(run(&site("fir", &tms.origin())).delivered, 1);
    let request = tms.only();
    assert_eq!(header(&request, "content-type"), "application/cloudevents+json");
    let sent = body(&request);
    let attributes =
        ["specversion", "id", "source", "type", "subject"].map(|name| sent[name].as_str().unwrap());
    assert_eq!(attributes, ["1.0", "e.1", "https://carrier.example/loads", "load.in-transit", "L 1"]);
    assert_eq!(sent["data"], serde_json::from_str::<Value>(EVENT).unwrap());
    verify(&request);
}

#[test]
fn several_events_in_one_post() {
    let tms = AskingTms::start(|request| {
        let is_bad = body(request).as_array().unwrap().iter().any(|event| event["note"] == "bad");
        Reply::of(if is_bad { 422 } else { 200 })
    });
    let site = site("iris", &tms.origin());
    let event = |number: usize, note: &str| {
        let id = EVENT.replace("e.1", &format!("e-{number}")).replace("L 1", &format!("L-{number}"));
        id.replace(r#""note":"\"Zürich\"""#, &format!("\"note\":\"{note}\"")) + "\n"
    };
    let lines: String =
        (0..40).map(|number| event(number, if number == 7 { "bad" } else { "good" })).collect();
    site.write_bytes(lines.as_bytes());
    let summary = run(&site);
    let letters = site.dead_letters();
    assert_eq!((summary.delivered, letters.len()), (39, 1), "{summary:?}");
    assert_eq!((letters[0].event_id.as_deref(), &*letters[0].cause), (Some("e-7"), "refused"));
    let seen = tms.seen();
    seen.iter().for_each(verify);
    let ids = |request: &Request| -> Vec<String> {
        let events = body(request);
        events.as_array().unwrap().iter().map(|event| event["eventId"].as_str().unwrap().to_owned()).collect()
    };
    let taken: Vec<_> = seen.iter().filter(|request| !body(request).to_string().contains("bad")).collect();
    let mut all: Vec<_> = taken.iter().flat_map(|request| ids(request)).collect();
    all.sort();
    all.dedup();
    assert_eq!((all.len(), taken.iter().map(|request| ids(request).len()).sum::<usize>()), (39, 39));
    let largest = seen.iter().max_by_key(|request| ids(request).len()).unwrap();
    assert!(ids(largest).len() > 5 && header(largest, "webhook-id").starts_with("batch-"), "{largest:?}");
    assert!(seen.iter().any(|request| ids(request) == ["e-7"] && header(request, "webhook-id") == "e-7"));
}

#[test]
fn only_some_events() {
    let tms = AskingTms::start(|_| Reply::of(200));
    let site = site("grove", &tms.origin());
    let event = |id: &str, load: &str, status: &str, more: &str| {
        format!(
            r#"{{"eventId":"{id}","loadId":"{load}","status":"{status}","occurredAt":"2025-06-01T12:00:00Z",{more}}}"#
        )
    };
    let wanted = r#""customer":{"id":"grove"},"mode":"ftl","trailer":null"#;
    let lines = [
        event("e-1", "CHI-1", "delivered", wanted),
        event("e-2", "DAL-1", "in-transit", wanted),
        event("e-3", "NYC-1", "delivered", wanted),
        event("e-4", "CHI-1", "posted", wanted),
        event("e-5", "CHI-1", "delivered", &wanted.replace("ftl", "air")),
        event("e-6", "CHI-1", "delivered", &wanted.replace("trailer", "driver")),
        event("e-7", "CHI-1", "delivered", &wanted.replace("grove", "other")),
    ];
    site.write_bytes(format!("{}\n", lines.join("\n")).as_bytes());
    assert_eq!(run(&site).delivered, 2);
    let mut seen: Vec<_> =
        tms.seen().iter().map(|request| header(request, "webhook-id").to_owned()).collect();
    seen.sort();
    assert_eq!(seen, ["e-1", "e-2"]);
}

/// A proxy of Debian's that asks for a password; ended with the test.
struct TinyProxy(Child);

impl TinyProxy {
    /// At a port that was free; none if it is not installed.
    fn start(site: &Site) -> Option<(Self, String)> {
        let address = unreachable_address();
        let port = address.rsplit(':').next().unwrap();
        let config = format!(
            "Port {port}\nListen 127.0.0.1\nTimeout 60\nAllow 127.0.0.1\nBasicAuth user pass\nMaxClients 20\n"
        );
        keep(site, "tinyproxy.conf", &config);
        let mut command = Command::new("tinyproxy");
        command
            .arg("-d")
            .arg("-c")
            .arg(site.path("tinyproxy.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let proxy = Self(command.spawn().ok()?);
        until("the proxy listens", || std::net::TcpStream::connect(&address).is_ok());
        Some((proxy, format!("http://{address}")))
    }
}

impl Drop for TinyProxy {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn through_a_proxy() {
    let authority = Authority::new();
    let tms = AskingTms::start_tls(&authority, false, |_| Reply::of(200));
    let mut site = site("heron", &tms.origin());
    keep(&site, "authority.pem", &authority.pem());
    site.set("delivery.ca_file", "authority.pem");
    let Some((_proxy, url)) = TinyProxy::start(&site) else {
        return skipped("there is no tinyproxy: apt-get install tinyproxy");
    };
    let mut proxy = set_up("heron")["delivery"]["proxy"].clone();
    proxy["url"] = url.into();
    site.set("limits.drain", "0s");
    keep(&site, "proxy-user", "user:wrong");
    site.set("delivery.proxy", proxy);
    let refused = run(&site);
    assert_eq!((refused.delivered, tms.seen().len()), (0, 0), "the proxy refuses the password");
    keep(&site, "proxy-user", "user:pass");
    site.set("limits.drain", "1m");
    assert_eq!(run(&site).delivered, 1);
    verify(&tms.only());
}

#[test]
fn every_set_up_of_the_page_is_tried() {
    let source = include_str!("connecting.rs");
    let ids: Vec<String> = blocks("toml")
        .iter()
        .map(|block| block.split("id = \"").nth(1).unwrap().split('"').next().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 9, "{ids:?}");
    for id in ids {
        assert!(source.contains(&format!("site(\"{id}\"")), "{id} is not tried");
    }
}
