//! Where a Fluvio cluster is and how it is spoken to, for every section that names one; and what a topic is called.

use std::{path::PathBuf, time::Duration};

use futures_rustls::pki_types::DnsName;

use super::{
    problem::Refusal,
    section::{Item, Section},
};
use crate::source::{ClientCertificate, ClusterOptions, TlsOptions};

/// Where a cluster is if nobody says where.
pub(super) const ENDPOINT: &str = "127.0.0.1:9003";
/// The keys that only mean something with `tls`.
pub(super) const TLS_KEYS: [&str; 4] = ["tls_domain", "tls_ca_file", "tls_cert_file", "tls_key_file"];

/// How long a handshake may take if nobody says how long an answer may.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// The longest topic, in bytes: the cluster's own limit.
const TOPIC_MAX: usize = 63;
/// The longest endpoint: a host name, a colon and a port.
const ENDPOINT_MAX: usize = 253 + 6;

/// Reads `endpoint`, `tls` and the keys of [`TLS_KEYS`]; `wanted` is whether the section needs a cluster, so that
/// something may be missing or out of place. `shown` is what the documentation gives as the endpoint's default; the value
/// is [`ENDPOINT`].
pub(super) fn read(s: &mut Section<'_, '_>, wanted: bool, shown: &str) -> ClusterOptions {
    let endpoint = endpoint(s, shown);
    let tls = tls(s, &endpoint, wanted);
    ClusterOptions { endpoint, tls }
}

fn endpoint(s: &mut Section<'_, '_>, shown: &str) -> String {
    s.know("endpoint", Some(shown.to_owned()), None);
    let Some(item) = s.item("endpoint") else { return ENDPOINT.to_owned() };
    let text = item.value.as_str().unwrap_or_default();
    if is_endpoint(text) {
        return text.to_owned();
    }
    let remedy = "give the controller's public address in quotes, such as \"fluvio.example:9003\"";
    s.report(&item, Refusal::new("is not a host and a port", remedy));
    ENDPOINT.to_owned()
}

/// Whether this is a host and a port.
#[must_use]
pub fn is_endpoint(text: &str) -> bool {
    let is_host = |host: &str| {
        let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match inside {
            Some(inside) => inside.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty()
                    && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
            }
        }
    };
    let parts = text.rsplit_once(':').filter(|_| text.len() <= ENDPOINT_MAX);
    parts.is_some_and(|(host, port)| is_host(host) && port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn tls(s: &mut Section<'_, '_>, endpoint: &str, wanted: bool) -> Option<TlsOptions> {
    let on = s.flag("tls", false);
    let domain = domain(s, endpoint, on && wanted);
    let (ca_file, cert_file, key_file) =
        (file(s, "tls_ca_file"), file(s, "tls_cert_file"), file(s, "tls_key_file"));
    if !on {
        for key in TLS_KEYS {
            if let Some(item) = s.item(key).filter(|_| wanted) {
                s.report(
                    &item,
                    Refusal::new("has no meaning without TLS", "set tls = true, or leave it out"),
                );
            }
        }
        return None;
    }
    if s.item("tls_ca_file").is_none() && wanted {
        s.report_missing(
            "tls_ca_file",
            "name the PEM file of the authority that signed the cluster's certificates",
        );
    }
    let client = match (cert_file, key_file) {
        (Some(cert_file), Some(key_file)) => Some(ClientCertificate { cert_file, key_file }),
        (None, None) => None,
        (cert, _) => {
            let missing = if cert.is_none() { "tls_cert_file" } else { "tls_key_file" };
            if s.item(missing).is_none() && wanted {
                s.report_missing(missing, "a certificate and its key belong together: give both or neither");
            }
            None
        }
    };
    Some(TlsOptions { domain, ca_file: ca_file?, client, handshake_timeout: HANDSHAKE })
}

/// The name in the controller's certificate. A leader's has the SPU's key and a dot before it, so it is no address.
fn domain(s: &mut Section<'_, '_>, endpoint: &str, wanted: bool) -> String {
    s.know("tls_domain", None, None);
    let item = s.item("tls_domain");
    let named = item.as_ref().and_then(|item| s.text(item, ENDPOINT_MAX));
    let domain = named.unwrap_or_else(|| endpoint.rsplit_once(':').map_or("", |(host, _)| host)).to_owned();
    if wanted && DnsName::try_from(domain.as_str()).is_err() {
        let remedy = "give the DNS name in the controller's certificate; an SPU's has the SPU's key and a dot before it, which no address can have";
        match item {
            Some(item) => s.report(&item, Refusal::new("is not a DNS name", remedy)),
            None => {
                s.report_key(
                    "tls_domain",
                    Refusal::new("is missing, and the endpoint is an address", remedy),
                );
            }
        }
    }
    domain
}

/// A file that is there.
fn file(s: &mut Section<'_, '_>, key: &'static str) -> Option<PathBuf> {
    s.know(key, None, None);
    let item = s.item(key)?;
    let path = s.path_of(&item)?;
    if path.is_file() {
        return Some(path);
    }
    s.report(
        &item,
        Refusal::new("is not a file", "give the path of a PEM file; a relative one starts at this file"),
    );
    None
}

/// A topic's name; none if it cannot be one, which has been reported then.
pub(super) fn topic(s: &mut Section<'_, '_>, item: &Item<'_>) -> Option<String> {
    let text = item.value.as_str().unwrap_or_default();
    if is_topic(text) {
        return Some(text.to_owned());
    }
    let remedy = format!("give 1 to {TOPIC_MAX} of a to z, 0 to 9 and -, with no - at its ends");
    s.report(item, Refusal::new("is not a topic's name", remedy));
    None
}

/// Whether a cluster takes this as a topic's name.
#[must_use]
pub fn is_topic(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=TOPIC_MAX).contains(&text.len())
        && text.bytes().all(is_letter)
        && !text.starts_with('-')
        && !text.ends_with('-')
}
