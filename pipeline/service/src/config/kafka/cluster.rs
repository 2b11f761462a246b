//! Where a Kafka cluster is and how it is spoken to, for every section that names one; and what a topic is called there.

use std::{collections::BTreeMap, net::IpAddr};

use toml::de::DeValue;

use crate::config::{
    fetch_secret::secret,
    findings::shown,
    problem::Refusal,
    section::{Item, Section},
    tls::Tls,
    topic::{Pace, is_endpoint},
};
use kafka_engine::{
    ClientCertificate, ClusterOptions, Password, SaslMechanism, SaslOptions, TlsOptions, invalid_properties,
    refused_property,
};

/// The keys that only a Kafka cluster has, beside `bootstrap`.
pub(in crate::config) const CLUSTER_KEYS: [&str; 4] = ["sasl", "username", "password", "properties"];
/// The most brokers to begin with: one that answers is enough.
const BOOTSTRAP_MAX: usize = 32;
/// The longest user name, in bytes.
const USERNAME_MAX: usize = 1024;
/// The longest value of a property, in bytes.
const PROPERTY_MAX: usize = 1024;
/// The most properties.
const PROPERTIES_MAX: usize = 64;

/// Reads `bootstrap` and [`CLUSTER_KEYS`], beside the `tls` that has been read; `wanted` is whether the section needs such a
/// cluster, so that something may be missing or out of place.
pub(in crate::config) fn read(
    s: &mut Section<'_, '_>,
    wanted: bool,
    tls: Option<&Tls>,
    pace: Pace,
) -> ClusterOptions {
    let bootstrap = bootstrap(s, wanted);
    let sasl = sasl(s, wanted);
    let is_plain = sasl.as_ref().is_some_and(|sasl| sasl.mechanism == SaslMechanism::Plain);
    if wanted && is_plain && tls.is_none() && !bootstrap.iter().all(|endpoint| is_loopback(endpoint)) {
        let refusal = Refusal::new(
            "sends the password as it is, and without TLS anyone on the way can read it",
            "set tls = true, or sasl = \"scram-sha-512\" if the cluster knows it",
        );
        s.report_key("sasl", refusal);
    }
    let client = |(cert_file, key_file)| ClientCertificate { cert_file, key_file };
    ClusterOptions {
        bootstrap,
        tls: tls
            .map(|tls| TlsOptions { ca_file: tls.ca_file.clone(), client: tls.client.clone().map(client) }),
        sasl,
        timeout: pace.timeout,
        backoff_min: pace.backoff_min,
        backoff_max: pace.backoff_max,
        properties: properties(s),
    }
}

fn bootstrap(s: &mut Section<'_, '_>, wanted: bool) -> Vec<String> {
    s.know("bootstrap", None, None);
    let Some(item) = s.item("bootstrap") else {
        if wanted {
            s.report_missing("bootstrap", "name one or more brokers: bootstrap = [\"kafka-1.example:9092\"]");
        }
        return Vec::new();
    };
    let Some(items) = s.list(&item) else { return Vec::new() };
    if items.is_empty() || items.len() > BOOTSTRAP_MAX {
        let remedy = format!("name 1 to {BOOTSTRAP_MAX}: the others are asked for");
        s.report(&item, Refusal::new(format!("has {} brokers", items.len()), remedy));
    }
    let mut bootstrap: Vec<String> = Vec::with_capacity(items.len());
    for item in items {
        let text = item.value.as_str().unwrap_or_default();
        if is_endpoint(text) {
            bootstrap.push(text.to_owned());
        } else {
            let remedy = "give a broker's address in quotes, such as \"kafka-1.example:9092\"";
            s.report(&item, Refusal::new("is not a host and a port", remedy));
        }
    }
    bootstrap
}

/// Whether nothing that is sent there leaves this machine.
fn is_loopback(endpoint: &str) -> bool {
    let host = endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host);
    let host = host.trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

fn sasl(s: &mut Section<'_, '_>, wanted: bool) -> Option<SaslOptions> {
    let mechanisms = [
        ("plain", Some(SaslMechanism::Plain)),
        ("scram-sha-256", Some(SaslMechanism::ScramSha256)),
        ("scram-sha-512", Some(SaslMechanism::ScramSha512)),
    ];
    let mechanism = s.choice("sasl", ("none", None), &mechanisms);
    for key in ["username", "password"] {
        s.know(key, None, None);
    }
    let (username, password) = (s.item("username"), s.item("password"));
    let username = username.and_then(|item| s.text(&item, USERNAME_MAX).map(str::to_owned));
    let password = password.and_then(|item| secret(s, &item));
    let Some(mechanism) = mechanism else {
        let is_wrong = s.findings.has_problem(&s.key("sasl"));
        for key in ["username", "password"] {
            if let Some(item) = s.item(key).filter(|_| wanted && !is_wrong) {
                let remedy = "set sasl = \"scram-sha-512\", or leave it out";
                s.report_hidden(&item, Refusal::new("has no meaning without sasl", remedy));
            }
        }
        return None;
    };
    for (key, remedy) in [
        ("username", "name who Loadline is to the cluster"),
        ("password", "name where the password is: password = \"env:NAME\" or \"file:PATH\""),
    ] {
        if s.item(key).is_none() && wanted {
            s.report_missing(key, remedy);
        }
    }
    Some(SaslOptions { mechanism, username: username?, password: Password::new(password?.expose()) })
}

/// What librdkafka is to be told besides; what it would refuse, or what would break a promise, is refused here.
fn properties(s: &mut Section<'_, '_>) -> BTreeMap<String, String> {
    s.know("properties", None, None);
    let mut properties = BTreeMap::new();
    let Some(item) = s.item("properties") else { return properties };
    let mut entries = Vec::new();
    flatten(s, "", &item, &mut entries);
    if entries.len() > PROPERTIES_MAX {
        let problem = format!("has {} properties", entries.len());
        s.report_hidden(&item, Refusal::new(problem, format!("give at most {PROPERTIES_MAX}")));
    }
    for (name, item) in entries {
        if let Some(reason) = refused_property(&name) {
            s.report_hidden(&item, Refusal::new("may not be set here", reason));
            continue;
        }
        let Some(value) = property(&item) else {
            let problem = format!("is not a text of at most {PROPERTY_MAX} bytes, a number, true or false");
            s.report_hidden(
                &item,
                Refusal::new(problem, "give the value as librdkafka's documentation has it"),
            );
            continue;
        };
        let one = BTreeMap::from([(name, value)]);
        for (_, words) in invalid_properties(&one) {
            // Its words may repeat the value, and that could be a secret in a wrong place.
            let words = shown(item.raw).map_or(String::new(), |_| format!(": {words}"));
            let refusal =
                Refusal::new(format!("is refused by librdkafka{words}"), "correct it, or leave it out");
            s.report_hidden(&item, refusal);
        }
        properties.extend(one);
    }
    properties
}

/// The entries of a table with their full names: `client.rack` without quotes is a table in a table.
fn flatten<'d>(s: &mut Section<'_, 'd>, before: &str, item: &Item<'d>, out: &mut Vec<(String, Item<'d>)>) {
    for (name, item) in s.entries(item).unwrap_or_default() {
        let name = format!("{before}{name}");
        match item.value {
            DeValue::Table(_) => flatten(s, &format!("{name}."), &item, out),
            _ => out.push((name, item)),
        }
    }
}

fn property(item: &Item<'_>) -> Option<String> {
    let value = match item.value {
        DeValue::String(text) => text.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok()?.to_string(),
        _ => return None,
    };
    (value.len() <= PROPERTY_MAX && !value.contains('\0')).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_on_this_machine_is_loopback() {
        for inside in ["localhost:9092", "127.0.0.1:1", "127.9.9.9:1", "[::1]:9092", "[::ffff:127.0.0.1]:1"] {
            assert!(is_loopback(inside), "{inside}");
        }
        for outside in ["kafka.example:9092", "10.0.0.1:9092", "localhost.example:1", "[::2]:1"] {
            assert!(!is_loopback(outside), "{outside}");
        }
    }
}
