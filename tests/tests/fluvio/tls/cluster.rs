//! A real cluster with TLS: every event once, and a fault for whoever is not to be trusted.

use std::{
    env, fs,
    io::{self, Write},
};

use fluvio::metadata::topic::TopicSpec;
use tests::{Authority, Events, Fleet, Oracle, Site, Wants, until};

use crate::{
    cluster::{produce, site},
    topic::Topic,
};

/// A cluster with TLS.
struct Secured {
    endpoint: String,
    domain: String,
    ca: String,
    /// What it wants to see, if anything: a certificate's path and its key's.
    client: Option<(String, String)>,
    topic: Topic,
}

/// The cluster, with a new topic; none, said aloud, if there is none.
fn secured(partitions: u32) -> Option<Secured> {
    let Ok(endpoint) = env::var("LOADLINE_TEST_FLUVIO_TLS") else {
        let said = b"SKIPPED: it needs a Fluvio cluster with TLS; name its controller in LOADLINE_TEST_FLUVIO_TLS (docs/testing.md)\n";
        io::stderr().write_all(said).unwrap();
        return None;
    };
    let of = |name: &str| env::var(format!("LOADLINE_TEST_FLUVIO_TLS_{name}"));
    let needed =
        |name: &str| of(name).unwrap_or_else(|_| panic!("LOADLINE_TEST_FLUVIO_TLS_{name} is missing"));
    let topic = Topic::create_at(&needed("PLAIN"), &TopicSpec::new_computed(partitions, 1, None));
    let client = of("CERT").ok().map(|cert| (cert, needed("KEY")));
    Some(Secured { endpoint, domain: needed("DOMAIN"), ca: needed("CA"), client, topic })
}

impl Secured {
    fn site(&self, fleet: &Fleet) -> Site {
        let mut site = site(fleet, &[Wants::all()], &self.topic);
        site.set("source.endpoint", self.endpoint.as_str());
        site.set("source.tls", true);
        site.set("source.tls_domain", self.domain.as_str());
        site.set("source.tls_ca_file", self.ca.as_str());
        if let Some((cert, key)) = &self.client {
            site.set("source.tls_cert_file", cert.as_str());
            site.set("source.tls_key_file", key.as_str());
        }
        site
    }
}

#[test]
fn every_event_is_produced_and_delivered_once_over_tls() {
    let Some(cluster) = secured(2) else { return };
    let log = Events::new(7, 200).take(10_000);
    let fleet = Fleet::start(1);
    let oracle = Oracle::new(&log, &[Wants::all()]);
    let site = cluster.site(&fleet);
    produce(&site, &log[..8_000]);
    let run = site.run();
    until("the first part is delivered", || fleet.taken() == 8_000);
    let status = site.loadline(&["status", "--json"]).status();
    assert_eq!(status["partitions"].as_array().unwrap().len(), 2, "{status}");
    run.terminate();
    assert_eq!(run.wait().summary().records, 8_000);
    let run = site.run();
    produce(&site, &log[8_000..]);
    until("the rest is delivered", || fleet.taken() == 10_000);
    run.terminate();
    assert_eq!(run.wait().summary().records, 2_000);
    oracle.assert_exactly_once(&fleet);
}

#[test]
fn a_cluster_is_not_trusted_for_less_than_its_authority_and_its_name() {
    let Some(cluster) = secured(1) else { return };
    let fleet = Fleet::start(1);
    let fails = |site: &Site, words: &str| {
        let ended = site.loadline(&["--json", "run", "--fail-fast"]).expect(1);
        assert!(ended.stderr.contains(words), "{words}: {ended:?}");
    };
    let mut other = cluster.site(&fleet);
    fs::write(other.path("other.pem"), Authority::new().pem()).unwrap();
    other.set("source.tls_ca_file", "other.pem");
    fails(&other, "signed by no authority in source.tls_ca_file");
    let mut named = cluster.site(&fleet);
    named.set("source.tls_domain", "another.test");
    fails(&named, "has to be for another.test");
    let mut plain = site(&fleet, &[Wants::all()], &cluster.topic);
    plain.set("source.endpoint", cluster.endpoint.as_str());
    fails(&plain, "gave no answer");
    let mut open = cluster.site(&fleet);
    open.set("source.endpoint", cluster.topic.endpoint.as_str());
    fails(&open, "does not answer a TLS handshake");
    if cluster.client.is_some() {
        let anonymous = Secured { client: None, ..cluster };
        // The alert may be lost to the reset that follows it; both name the key.
        fails(&anonymous.site(&fleet), "source.tls_cert_file");
    }
}
