//! Certificates and names that do not fit: each is a fault that names the key to look at.

use std::{fs, time::Duration};

use tests::{Authority, Events, Fleet, Signed, Site, Wants, pause, silent_address};

use super::server;

const DOMAIN: &str = "fluvio.test";

/// A site whose run trusts `authority` and expects `domain`.
fn site(endpoint: &str, authority: &Authority, domain: &str) -> Site {
    let mut site = plain(endpoint);
    // A handshake may take half of it, also on a machine that is busy.
    site.set("source.connect_timeout", "4s");
    site.set("source.tls", true);
    site.set("source.tls_domain", domain);
    site.set("source.tls_ca_file", "ca.pem");
    fs::write(site.path("ca.pem"), authority.pem()).unwrap();
    site
}

fn plain(endpoint: &str) -> Site {
    Site::with_topic(&Fleet::start(1), &[Wants::all()], endpoint, "shipment-events")
}

/// Shows `signed` to the cluster.
fn show(site: &mut Site, signed: &Signed) {
    for (key, name, pem) in [
        ("source.tls_cert_file", "client.pem", &signed.certificate),
        ("source.tls_key_file", "client.key", &signed.key),
    ] {
        fs::write(site.path(name), pem).unwrap();
        site.set(key, name);
    }
}

/// A run fails at once, and says so in these words.
fn fails(site: &Site, endpoint: &str, words: &str) {
    let ended = site.loadline(&["--json", "run", "--fail-fast"]).expect(1);
    assert!(ended.stderr.contains(words) && ended.stderr.contains(endpoint), "{words}: {ended:?}");
}

#[test]
fn a_server_that_cannot_be_trusted_is_a_fault_that_names_the_key() {
    let (ours, other) = (Authority::new(), Authority::new());
    let at = server::start(&ours.server(&[DOMAIN]), None);
    fails(&site(&at, &other, DOMAIN), &at, "signed by no authority in source.tls_ca_file");
    let words = "is for fluvio.test, and has to be for other.test; check source.tls_domain";
    fails(&site(&at, &ours, "other.test"), &at, words);
    fails(&site(&at, &ours, DOMAIN), &at, "gave no answer");
}

#[test]
fn a_server_that_wants_a_certificate_is_a_fault_that_names_the_key() {
    let (ours, other) = (Authority::new(), Authority::new());
    let at = server::start(&ours.server(&[DOMAIN]), Some(&ours));
    let mut site = site(&at, &ours, DOMAIN);
    fails(&site, &at, "it wants a certificate; set source.tls_cert_file");
    show(&mut site, &other.client());
    fails(&site, &at, "it refuses the certificate in source.tls_cert_file");
    show(&mut site, &ours.server(&[DOMAIN]));
    fails(&site, &at, "it refuses the certificate in source.tls_cert_file");
    show(&mut site, &ours.client());
    fails(&site, &at, "gave no answer");
}

#[test]
fn tls_on_one_side_only_is_a_fault_that_names_the_key() {
    let ours = Authority::new();
    let at = server::start(&ours.server(&[DOMAIN]), None);
    fails(&plain(&at), &at, "if this is a port with TLS, set source.tls");
    // As a controller does that takes a handshake for the length of a question.
    let (_held, at) = silent_address();
    let site = site(&at, &ours, DOMAIN);
    fails(&site, &at, "does not answer a TLS handshake within 2s; this may be its port without TLS");
    site.write(&Events::new(1, 5).take(10));
    let ended = site.produce("1s").expect(1);
    assert!(ended.stderr.contains("has taken nothing for") && ended.stderr.contains("TLS"), "{ended:?}");
}

#[test]
fn without_fail_fast_it_is_waited_for_and_said_once() {
    let (ours, other) = (Authority::new(), Authority::new());
    let at = server::start(&ours.server(&[DOMAIN]), None);
    let run = site(&at, &other, DOMAIN);
    let run = run.run();
    // Several tries: the pauses begin at 200 ms.
    pause(Duration::from_secs(3));
    run.terminate();
    let ended = run.wait().expect(0);
    let said = ended.stderr.lines().filter(|line| line.contains("waiting for the cluster"));
    let said: Vec<&str> = said.collect();
    assert!(said.len() == 1 && said[0].contains("source.tls_ca_file"), "{ended:?}");
}
