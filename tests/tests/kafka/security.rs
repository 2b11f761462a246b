//! Listeners with TLS, certificates and passwords: what is right works, and what is wrong is named.

use std::fs;

use tests::{Events, Fleet, KafkaCluster, KafkaTopic, Listener, Oracle, Site, Wants, until};

use crate::site::{end, group, member};

/// A member that comes in by `listener`; `sasl` is how it shows its password there.
fn by(fleet: &Fleet, topic: &KafkaTopic<'_>, listener: Listener, sasl: Option<&str>) -> Site {
    let cluster = topic.cluster();
    let mut site = member(fleet, &[Wants::all()], topic, &group(topic));
    site.bootstrap(&cluster.bootstrap(listener));
    if listener != Listener::SaslPlain {
        site.set("source.tls", true);
        site.set("source.tls_ca_file", cluster.pem("ca.pem").display().to_string());
    }
    if let Some(sasl) = sasl {
        let (username, password) = cluster.user();
        site.set("source.sasl", sasl);
        site.set("source.username", username);
        fs::write(site.path("password"), password).unwrap();
        site.set("source.password", "file:password");
    }
    site
}

fn show(site: &mut Site, cluster: &KafkaCluster, who: &str) {
    site.set("source.tls_cert_file", cluster.pem(&format!("{who}.pem")).display().to_string());
    site.set("source.tls_key_file", cluster.pem(&format!("{who}.key")).display().to_string());
}

#[test]
fn every_event_comes_once_over_each_listener_of_a_guarded_cluster() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(2);
    let ways = [
        (Listener::SaslTls, Some("scram-sha-512")),
        (Listener::SaslTls, Some("scram-sha-256")),
        (Listener::SaslTls, Some("plain")),
        (Listener::MutualTls, None),
        (Listener::Tls, None),
        (Listener::SaslPlain, Some("scram-sha-512")),
    ];
    let log = Events::new(51, 20).take(ways.len() * 50);
    let fleet = Fleet::start(1);
    let mut produced = 0;
    for (listener, sasl) in ways {
        let mut site = by(&fleet, &topic, listener, sasl);
        if listener == Listener::MutualTls {
            show(&mut site, cluster, "client");
        }
        site.write(&log[produced..produced + 50]);
        produced += 50;
        let _taken = site.produce("1m").expect(0);
        let run = site.run();
        until("what was produced is delivered", || fleet.taken() == produced);
        assert_eq!(end(run), 50, "{listener:?} {sasl:?}");
    }
    Oracle::new(&log, &[Wants::all()]).assert_exactly_once(&fleet);
}

#[test]
fn a_wrong_password_an_unknown_authority_and_a_strangers_certificate_are_named() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(1);
    let fleet = Fleet::start(1);
    let wrong_password = by(&fleet, &topic, Listener::SaslTls, Some("scram-sha-512"));
    fs::write(wrong_password.path("password"), "tr0ub4dor").unwrap();
    let mut unknown = by(&fleet, &topic, Listener::Tls, None);
    unknown.set("source.tls_ca_file", cluster.pem("stranger.pem").display().to_string());
    let mut stranger = by(&fleet, &topic, Listener::MutualTls, None);
    show(&mut stranger, cluster, "stranger");
    let cases =
        [(wrong_password, "authentication was refused"), (unknown, "TLS failed"), (stranger, "TLS failed")];
    for (site, words) in cases {
        for ended in [site.loadline(&["run", "--fail-fast"]), {
            site.write(&Events::new(52, 1).take(1));
            site.produce("3s")
        }] {
            let ended = ended.expect(1);
            assert!(ended.stderr.contains(words), "{words}: {ended:?}");
        }
    }
}
