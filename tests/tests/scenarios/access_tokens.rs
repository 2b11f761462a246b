//! Brokers that want an access token: it is fetched, kept, replaced when it is refused, and its absence is one broker's own.

use std::{
    env,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tests::{AskingTms, Events, Fleet, Reply, Request, Site, Wants, skipped, until};
use toml::{Table, Value};

/// Makes `broker` of the site one that wants tokens from `token_url`.
fn wants_tokens(site: &mut Site, broker: usize, url: &str, token_url: &str) {
    site.set_broker(broker, "url", url);
    site.environment("CLIENT_SECRET", "s3cret");
    let oauth2 =
        [("token_url", token_url), ("client_id", "loadline"), ("client_secret", "env:CLIENT_SECRET")];
    let oauth2 = oauth2.map(|(key, value)| (key.to_owned(), Value::from(value)));
    site.set_broker(broker, "oauth2", Table::from_iter(oauth2));
}

fn token_of(request: &Request) -> &str {
    let value = request.headers.get("authorization").map_or("", |value| value.to_str().unwrap());
    value.strip_prefix("Bearer ").unwrap_or("")
}

fn granted(token: &str) -> Reply {
    let body = format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":3600}}"#);
    Reply { status: 200, body }
}

#[test]
fn a_token_that_is_refused_is_replaced_and_no_event_is_lost() {
    let (granted_so_far, taken) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    let tms = AskingTms::start(move |request| {
        if request.target == "/token" {
            return granted(&format!("t{}", granted_so_far.fetch_add(1, Ordering::SeqCst) + 1));
        }
        // The first token is taken back after ten events.
        match token_of(request) {
            "t1" if taken.fetch_add(1, Ordering::SeqCst) < 10 => Reply::of(200),
            "t2" => Reply::of(200),
            _ => Reply::of(401),
        }
    });
    let mut site = Site::new(&Fleet::start(1), &[Wants::all()]);
    wants_tokens(&mut site, 0, &format!("{}/hook", tms.origin()), &format!("{}/token", tms.origin()));
    site.impatient();
    let events = Events::new(7, 10).take(100);
    site.write(&events);
    let summary = site.run().wait().summary();
    assert_eq!((summary.delivered, summary.dead_letters), (100, 0), "{summary:?}");
    let asked = tms.seen().iter().filter(|request| request.target == "/token").count();
    assert_eq!(asked, 2);
}

#[test]
fn a_token_endpoint_that_fails_holds_its_own_broker_and_no_other() {
    let is_well = Arc::new(AtomicBool::new(false));
    let well = is_well.clone();
    let tms = AskingTms::start(move |request| match &*request.target {
        "/token" if well.load(Ordering::SeqCst) => granted("t"),
        "/token" => Reply::of(503),
        _ if token_of(request) == "t" => Reply::of(200),
        _ => Reply::of(401),
    });
    let other = AskingTms::start(|_| Reply::of(200));
    let mut site = Site::new(&Fleet::start(2), &[Wants::all(), Wants::all()]);
    wants_tokens(&mut site, 0, &format!("{}/hook", tms.origin()), &format!("{}/token", tms.origin()));
    site.set_broker(1, "url", other.origin());
    site.impatient();
    site.write(&Events::new(7, 10).take(60));
    let run = site.run();
    until("the other broker has all", || other.seen().len() == 60);
    assert!(tms.seen().iter().all(|request| request.target == "/token"), "nothing goes without a token");
    is_well.store(true, Ordering::SeqCst);
    let summary = run.wait().summary();
    assert_eq!((summary.delivered, summary.dead_letters), (120, 0), "{summary:?}");
}

/// Prints its port, and serves until it is killed.
const SERVER: &str = "
import { OAuth2Server } from 'oauth2-mock-server';
const server = new OAuth2Server();
await server.issuer.keys.generate('RS256');
await server.start(0, '127.0.0.1');
console.log(server.address().port);
";

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_real_authorization_server_grants_tokens() {
    let Some(libraries) = env::var_os("LOADLINE_TEST_OAUTH2").map(PathBuf::from) else {
        return skipped(
            "it needs node and `npm install oauth2-mock-server`; LOADLINE_TEST_OAUTH2 says where that is",
        );
    };
    let mut node = Command::new("node");
    node.current_dir(libraries).args(["--input-type=module", "-e", SERVER]).stdout(Stdio::piped());
    let mut server = Server(node.spawn().expect("node"));
    let mut port = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let issuer = format!("http://127.0.0.1:{}", port.trim());
    let tms = AskingTms::start(|_| Reply::of(200));
    let mut site = Site::new(&Fleet::start(1), &[Wants::all()]);
    wants_tokens(&mut site, 0, &tms.origin(), &format!("{issuer}/token"));
    site.write(&Events::new(7, 10).take(20));
    assert_eq!(site.run().wait().summary().delivered, 20);
    let seen = tms.seen();
    let tokens: Vec<&str> = seen.iter().map(token_of).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]), "one token for all");
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let claims = URL_SAFE_NO_PAD.decode(tokens[0].split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    assert!(claims["iss"].as_str().unwrap().contains(port.trim()) && claims["exp"].is_number(), "{claims}");
}
