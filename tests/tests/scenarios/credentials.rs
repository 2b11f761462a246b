//! What Loadline shows to a TMS, and whom it trusts, is replaced by a reload while events flow: no delivery fails over it, and
//! the old one is not used any more.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::json;
use tests::{AskingTms, Authority, Events, Fleet, Loadline, Reply, Request, Signed, Site, Wants, until};
use toml::{Table, Value};

use crate::{
    admin::following,
    reload::{reload, started},
};

const EVENTS: usize = 2_000;

/// A site that delivers to `tms`, slowly enough that there is time for a reload.
fn site(tms: &AskingTms) -> Site {
    let mut site = following(&Fleet::start(1), &[Wants::all()]);
    site.set_broker(0, "url", format!("{}/hook", tms.origin()));
    site.set_broker(0, "rate", 400);
    site.set_broker(0, "burst", 8);
    site.write(&Events::new(810, 60).take(EVENTS));
    site
}

/// Puts a secret into a file of the site.
fn keep(site: &Site, name: &str, text: &str) {
    fs::write(site.path(name), text).unwrap();
    fs::set_permissions(site.path(name), fs::Permissions::from_mode(0o600)).unwrap();
}

fn show(site: &Site, signed: &Signed) {
    keep(site, "client.pem", &signed.certificate);
    keep(site, "client.key", &signed.key);
}

fn der(signed: &Signed) -> Vec<u8> {
    CertificateDer::from_pem_slice(signed.certificate.as_bytes()).unwrap().to_vec()
}

fn is_delivery(request: &Request) -> bool {
    request.target == "/hook"
}

fn wait_for(tms: &AskingTms, count: usize, which: impl Fn(&Request) -> bool) {
    until("enough has come", || tms.count(|request| is_delivery(request) && which(request)) >= count);
}

/// Waits for the rest: each event must have come once, and none a second time.
fn end(tms: &AskingTms, run: Loadline) {
    assert!(tms.count(is_delivery) < EVENTS, "the load was over before the last change");
    wait_for(tms, EVENTS, |_| true);
    run.terminate();
    let summary = run.wait().summary();
    assert_eq!((summary.delivered, summary.dead_letters), (EVENTS as u64, 0), "{summary:?}");
    assert_eq!(tms.count(is_delivery), EVENTS, "an attempt has failed");
}

fn authorization(request: &Request) -> &str {
    request.headers.get("authorization").map_or("", |value| value.to_str().unwrap())
}

#[test]
fn a_bearer_token_that_is_replaced_by_a_reload_fails_no_delivery() {
    let only_new = Arc::new(AtomicBool::new(false));
    let strict = only_new.clone();
    let tms = AskingTms::start(move |request| match authorization(request) {
        "Bearer new" => Reply::of(200),
        "Bearer old" if !strict.load(Ordering::SeqCst) => Reply::of(200),
        _ => Reply::of(401),
    });
    let mut site = site(&tms);
    keep(&site, "token", "old");
    site.set_broker(0, "auth", Table::from_iter([("bearer".to_owned(), Value::from("file:token"))]));
    let run = started(&site);
    wait_for(&tms, 200, |_| true);
    keep(&site, "token", "new");
    assert_eq!(reload(&site)["changed"], json!([{ "broker": "broker-0", "keys": ["headers"] }]));
    wait_for(&tms, 200, |request| authorization(request) == "Bearer new");
    only_new.store(true, Ordering::SeqCst);
    end(&tms, run);
}

#[test]
fn a_secret_of_oauth2_that_is_replaced_by_a_reload_fails_no_delivery() {
    let only_new = Arc::new(AtomicBool::new(false));
    let strict = only_new.clone();
    let basic = |secret: &str| format!("Basic {}", STANDARD.encode(format!("loadline:{secret}")));
    let (old, new) = (basic("old"), basic("new"));
    let tms = AskingTms::start(move |request| {
        let (shown, takes_old) = (authorization(request), !strict.load(Ordering::SeqCst));
        let granted = |token: &str| Reply {
            status: 200,
            body: json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3600 }).to_string(),
        };
        match (&*request.target, shown) {
            ("/token", shown) if shown == new => granted("by-new"),
            ("/token", shown) if shown == old && takes_old => granted("by-old"),
            ("/hook", "Bearer by-new") => Reply::of(200),
            ("/hook", "Bearer by-old") if takes_old => Reply::of(200),
            _ => Reply::of(401),
        }
    });
    let mut site = site(&tms);
    keep(&site, "client-secret", "old");
    let oauth2 = [
        ("token_url", format!("{}/token", tms.origin())),
        ("client_id", "loadline".to_owned()),
        ("client_secret", "file:client-secret".to_owned()),
    ];
    let oauth2 = oauth2.map(|(key, value)| (key.to_owned(), Value::from(value)));
    site.set_broker(0, "oauth2", Table::from_iter(oauth2));
    let run = started(&site);
    wait_for(&tms, 200, |_| true);
    keep(&site, "client-secret", "new");
    assert_eq!(reload(&site)["changed"], json!([{ "broker": "broker-0", "keys": ["oauth2"] }]));
    wait_for(&tms, 200, |request| authorization(request) == "Bearer by-new");
    only_new.store(true, Ordering::SeqCst);
    end(&tms, run);
    assert_eq!(tms.count(|request| request.target == "/token"), 2, "one token for each secret");
}

#[test]
fn a_client_certificate_that_is_replaced_by_a_reload_fails_no_delivery() {
    let (servers, first, second) = (Authority::new(), Authority::new(), Authority::new());
    let (old, new) = (first.client(), second.client());
    let tms = AskingTms::start_tls(&servers, false, |_| Reply::of(200));
    tms.present(&servers, &[&first, &second]);
    let mut site = site(&tms);
    keep(&site, "servers.pem", &servers.pem());
    show(&site, &old);
    for (key, file) in
        [("ca_file", "servers.pem"), ("tls_cert_file", "client.pem"), ("tls_key_file", "client.key")]
    {
        site.set_broker(0, key, file);
    }
    let run = started(&site);
    wait_for(&tms, 200, |request| request.client == Some(der(&old)));
    show(&site, &new);
    assert_eq!(reload(&site)["changed"], json!([{ "broker": "broker-0", "keys": ["tls_cert_file"] }]));
    wait_for(&tms, 200, |request| request.client == Some(der(&new)));
    tms.present(&servers, &[&second]);
    let (before, opened) = (tms.count(|request| request.client == Some(der(&old))), tms.connections());
    end(&tms, run);
    let after = tms.count(|request| request.client == Some(der(&old)));
    assert_eq!((before, opened > 1), (after, true), "the old one is not used any more");
}

#[test]
fn an_authority_that_is_replaced_by_reloads_fails_no_delivery() {
    let (old, new) = (Authority::new(), Authority::new());
    let tms = AskingTms::start_tls(&old, false, |_| Reply::of(200));
    let mut site = site(&tms);
    keep(&site, "authorities.pem", &old.pem());
    site.set_broker(0, "ca_file", "authorities.pem");
    site.set("delivery.connection_age_max", "1s");
    let run = started(&site);
    wait_for(&tms, 100, |_| true);
    keep(&site, "authorities.pem", &format!("{}{}", old.pem(), new.pem()));
    assert_eq!(reload(&site)["changed"], json!([{ "broker": "broker-0", "keys": ["ca_file"] }]));
    tms.present(&new, &[]);
    let opened = tms.connections();
    wait_for(&tms, 100, |request| request.connection > opened);
    keep(&site, "authorities.pem", &new.pem());
    let _told = reload(&site);
    let opened = tms.connections();
    wait_for(&tms, 20, |request| request.connection > opened);
    end(&tms, run);
}
