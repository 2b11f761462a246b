//! `[delivery]`: how a delivery is posted; a broker can override it.

use std::{net::IpAddr, ops::RangeInclusive, path::PathBuf, sync::Arc, time::Duration};

use ipnet::IpNet;
use stages::{Egress, EgressProxy};

use super::{
    problem::Refusal,
    proxy,
    section::{Item, Section},
    units::{DURATION, count, size},
};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// The bounds of a timeout, a broker's own included.
pub(super) const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(600);
/// The bounds of a broker's concurrency: sockets to one host.
pub(super) const CONCURRENCY: RangeInclusive<usize> = 1..=4096;

/// How a delivery is posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryConfig {
    /// Requests on the wire to one broker (default 32, 1 to 4096). A fast receiver needs few: 256 are slower than 64.
    pub concurrency: usize,
    /// The whole exchange, from the connection to the end of the response's headers, or of its body if the broker has rules for
    /// that (default 15 s, 10 ms to 10 min).
    pub timeout: Duration,
    /// Address look-up, connection and TLS handshake (default 2 s, 1 ms to 1 min); part of `timeout`.
    pub connect_timeout: Duration,
    /// How long an unused connection is kept (default 1 min, 1 s to 1 h).
    pub idle_timeout: Duration,
    /// How long a connection is used for further requests (default 5 min, 1 s to 1 day).
    pub connection_age_max: Duration,
    /// How much of a response's body is read, in bytes (default 16 KiB, 0 to 1 MiB).
    pub response_max: usize,
    /// Whether plain http is allowed (default no: a signature does not keep anyone from reading the events), and
    /// which non-public networks may be posted to, at which ports (default none).
    pub egress: Egress,
    /// More certificate authorities to trust, in PEM (default none).
    pub ca_file: Option<PathBuf>,
    /// The forward proxy of brokers that name no other (default none).
    pub proxy: Option<Arc<EgressProxy>>,
}

impl DeliveryConfig {
    pub(super) fn read(s: &mut Section<'_, '_>) -> Self {
        Self {
            concurrency: s.ranged("concurrency", 32, CONCURRENCY, &count()),
            timeout: s.ranged("timeout", 15 * SECOND, TIMEOUT, &DURATION),
            connect_timeout: s.ranged("connect_timeout", 2 * SECOND, MILLI..=60 * SECOND, &DURATION),
            idle_timeout: s.ranged("idle_timeout", 60 * SECOND, SECOND..=3600 * SECOND, &DURATION),
            connection_age_max: s.ranged(
                "connection_age_max",
                300 * SECOND,
                SECOND..=86_400 * SECOND,
                &DURATION,
            ),
            response_max: s.ranged("response_max", 16 << 10, 0..=1 << 20, &size()),
            egress: Egress {
                allow_http: s.flag("allow_http", false),
                allow_networks: networks(s),
                allow_ports: ports(s),
                own_networks: Vec::new(),
            },
            ca_file: ca_file(s),
            proxy: proxy::read(s, None, None),
        }
    }
}

/// Non-public networks that may be posted to: for all brokers in `[delivery]`, or for one.
pub(super) fn networks(s: &mut Section<'_, '_>) -> Vec<IpNet> {
    s.know("allow_networks", Some("[]".to_owned()), None);
    let Some(item) = s.item("allow_networks") else { return Vec::new() };
    let elements = s.list(&item).unwrap_or_default();
    elements.iter().filter_map(|element| network(s, element)).collect()
}

/// Ports at which a name may lead into a network that is allowed for all.
pub(super) fn ports(s: &mut Section<'_, '_>) -> Vec<u16> {
    s.know("allow_ports", Some("[]".to_owned()), None);
    let Some(item) = s.item("allow_ports") else { return Vec::new() };
    let elements = s.list(&item).unwrap_or_default();
    elements.iter().filter_map(|element| s.bounded(element, &(1..=u16::MAX), &count())).collect()
}

fn network(s: &mut Section<'_, '_>, item: &Item<'_>) -> Option<IpNet> {
    let text = item.value.as_str().unwrap_or_default();
    let refusal = match (text.parse::<IpNet>(), text.parse::<IpAddr>()) {
        (Ok(network), _) if network.trunc() == network => return Some(network),
        // 10.1.2.3/8 may be meant as 10.1.2.3/32 or as 10.0.0.0/8, which allows far more.
        (Ok(network), _) => {
            let remedy = format!("write {} or {}", network.trunc(), IpNet::from(network.addr()));
            Refusal::new("has bits set behind its prefix", remedy)
        }
        (Err(_), Ok(address)) => return Some(address.into()),
        (Err(_), Err(_)) => Refusal::new("is not a network", "write it as \"10.0.0.0/8\" or \"fd00::/8\""),
    };
    s.report(item, refusal);
    None
}

fn ca_file(s: &mut Section<'_, '_>) -> Option<PathBuf> {
    s.know("ca_file", None, None);
    let item = s.item("ca_file")?;
    let path = s.path_of(&item)?;
    if path.is_file() {
        return Some(path);
    }
    let remedy = "give the path of a PEM file; a relative one starts where the config file is";
    s.report(&item, Refusal::new("is not a file", remedy));
    None
}
