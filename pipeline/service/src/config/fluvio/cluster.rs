//! The address of a Fluvio cluster and its TLS, for every section that names one; and the rules for its topic names.

use std::time::Duration;

use futures_rustls::pki_types::DnsName;

use crate::config::{
    problem::Refusal,
    section::Section,
    tls::{self, Tls},
    topic::{ENDPOINT_MAX, is_endpoint},
};
use fluvio_engine::{ClientCertificate, ClusterOptions, TlsOptions};

/// Where a cluster is if nobody says where.
pub(in crate::config) const ENDPOINT: &str = "127.0.0.1:9003";
/// How long a handshake may take if nobody says how long an answer may.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Reads `endpoint` and `tls_domain`, beside the `tls` that has been read; `wanted` is whether the section needs such a
/// cluster, so that something may be missing or out of place. `shown` is what the documentation gives as the endpoint's
/// default; the value is [`ENDPOINT`].
pub(in crate::config) fn read(
    s: &mut Section<'_, '_>,
    wanted: bool,
    tls: Option<&Tls>,
    shown: &str,
) -> ClusterOptions {
    let endpoint = endpoint(s, shown);
    let domain = domain(s, &endpoint, tls.is_some() && wanted);
    let Some(tls) = tls else {
        if wanted {
            tls::without_tls(s, "tls_domain");
        }
        return ClusterOptions { endpoint, tls: None };
    };
    if s.item("tls_ca_file").is_none() && wanted {
        s.report_missing(
            "tls_ca_file",
            "name the PEM file of the authority that signed the cluster's certificates",
        );
    }
    let client = tls.client.clone().map(|(cert_file, key_file)| ClientCertificate { cert_file, key_file });
    let options = tls.ca_file.clone().map(|ca_file| TlsOptions {
        domain,
        ca_file,
        client,
        handshake_timeout: HANDSHAKE,
    });
    ClusterOptions { endpoint, tls: options }
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
