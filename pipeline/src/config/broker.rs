//! `[[brokers]]`: who gets which events, where, signed with what, and how fast.

use std::{collections::BTreeSet, fmt, num::NonZeroU32, ops::RangeInclusive, sync::Arc, time::Duration};

use ::url::Url;
use http::HeaderMap;
use rustc_hash::FxHashSet;
use stages::{
    BreakerPolicy, Egress, Endpoint, EndpointError, Health, Quota, QuotaError, RATE_MAX, SIGNING_KEYS_MAX,
    Signer, SigningKey,
    models::{LoadFilter, Subscription, WhenFull},
};

use super::{
    delivery::{CONCURRENCY, DeliveryConfig, TIMEOUT, networks, ports},
    findings::Order,
    headers,
    limits::{LimitsConfig, WHEN_FULL},
    problem::Refusal,
    retry::{BreakerConfig, RetryConfig},
    schema::SchemaConfig,
    secret::{Secret, SecretRef},
    section::{Item, Section},
    units::{DURATION, NUMBER, count},
    url::{check_url, shown_url},
};

/// Brokers in one config: each has a queue, a limiter and connections of its own.
pub(super) const BROKERS_MAX: usize = 10_000;
const ID_MAX: usize = 64;
const URL_MAX: usize = 2048;
/// The longest load id or prefix, in bytes: `rules.id_max` has the same bound.
const LOAD_MAX: usize = 1024;
/// Attempts a second.
const RATE: RangeInclusive<f64> = 0.001..=RATE_MAX;

/// One broker.
#[derive(Clone)]
pub struct BrokerConfig {
    /// Its name: `[a-z0-9_-]`, 1 to 64 bytes, no other broker's. Ledger and spill know it by this.
    pub id: String,
    /// Where its events are posted.
    pub url: Url,
    /// Where it may be: what `[delivery]` allows, and what is allowed for it alone.
    pub egress: Egress,
    /// Where its signing keys came from, the newest first: 1 to [`SIGNING_KEYS_MAX`].
    pub secrets: Vec<SecretRef>,
    /// Signs with each of these keys, so that a receiver may know any one of them.
    pub signer: Signer,
    /// Attempts a second (0.001 to 1000000).
    pub rate: f64,
    /// Attempts at once after a pause (1 to 1000000; default `rate`, rounded up).
    pub burst: u32,
    /// See [`DeliveryConfig::timeout`].
    pub timeout: Duration,
    /// See [`DeliveryConfig::concurrency`].
    pub concurrency: usize,
    /// See [`LimitsConfig::when_full`].
    pub when_full: WhenFull,
    /// Sent with every request, beside Loadline's own; those that came from a reference are marked sensitive.
    pub headers: HeaderMap,
    /// The events it gets; statuses by their canonical names.
    pub subscription: Subscription,
}

impl fmt::Debug for BrokerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerConfig")
            .field("id", &self.id)
            .field("url", &shown_url(&self.url))
            .field("egress", &self.egress)
            .field("secrets", &self.secrets)
            .field("signer", &self.signer)
            .field("rate", &self.rate)
            .field("burst", &self.burst)
            .field("timeout", &self.timeout)
            .field("concurrency", &self.concurrency)
            .field("when_full", &self.when_full)
            .field("headers", &self.headers)
            .field("subscription", &self.subscription)
            .finish()
    }
}

/// What a broker's reading needs of the other sections.
pub(super) struct Around<'c> {
    pub(super) delivery: &'c DeliveryConfig,
    pub(super) limits: &'c LimitsConfig,
    pub(super) schema: &'c SchemaConfig,
}

impl BrokerConfig {
    /// None if something it cannot do without is missing or wrong, which has been reported then.
    pub(super) fn read(
        s: &mut Section<'_, '_>,
        around: &Around<'_>,
        ids: &mut BTreeSet<String>,
    ) -> Option<Self> {
        // The id first: every other problem of this broker is reported with it.
        let id = id(s, ids);
        let egress = egress(s, around.delivery);
        let url = url(s, &egress);
        let signing = signing(s);
        let rate = s.required("rate", &RATE, &NUMBER, "give the attempts a second this broker can take");
        // Rounded up it is still inside burst's bounds.
        let burst = rate.unwrap_or(1.0).ceil().max(1.0) as u32;
        let burst = s.ranged_or("burst", burst, "`rate`, rounded up".to_owned(), 1..=1_000_000, &count());
        check_quota(s, rate, burst);
        let timeout = around.delivery.timeout;
        let timeout = s.ranged_or("timeout", timeout, "`delivery.timeout`".to_owned(), TIMEOUT, &DURATION);
        let concurrency = s.ranged_or(
            "concurrency",
            around.delivery.concurrency,
            "`delivery.concurrency`".to_owned(),
            CONCURRENCY,
            &count(),
        );
        relations(s, around, timeout, concurrency);
        let when_full = s.choice_or("when_full", around.limits.when_full, "`limits.when_full`", &WHEN_FULL);
        let headers = headers::read(s);
        let subscription = Subscription { statuses: statuses(s, around.schema), loads: loads(s) };
        let (secrets, signer) = signing?;
        Some(Self {
            id: id?,
            url: url?,
            egress,
            secrets,
            signer,
            rate: rate?,
            burst,
            timeout,
            concurrency,
            when_full,
            headers,
            subscription,
        })
    }

    /// Where and how its deliveries are posted.
    ///
    /// # Errors
    /// None for a broker that was loaded.
    pub fn endpoint(&self) -> Result<Endpoint, EndpointError> {
        Endpoint::new(self.url.as_str(), &self.headers, self.signer.clone(), self.timeout, &self.egress)
    }

    /// How fast it may be served: a quota that is full.
    ///
    /// # Errors
    /// None for a broker that was loaded.
    pub fn quota(&self) -> Result<Quota, QuotaError> {
        quota(self.rate, self.burst)
    }

    /// Its breaker and its retry budget, as if nothing had ever failed.
    #[must_use]
    pub fn health(&self, retry: &RetryConfig, breaker: &BreakerConfig) -> Health {
        Health::new(self.breaker_policy(breaker), retry.budget())
    }

    /// When its breaker opens, and for how long.
    #[must_use]
    pub fn breaker_policy(&self, breaker: &BreakerConfig) -> BreakerPolicy {
        // The longest wait for a permit: `rate` is at least 0.001, so this is at most 1000 seconds.
        let permit = Duration::try_from_secs_f64(1.0 / self.rate).unwrap_or_default();
        breaker.policy(self.timeout + permit)
    }
}

fn quota(rate: f64, burst: u32) -> Result<Quota, QuotaError> {
    Quota::new(rate, NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN))
}

/// Each is inside its own bounds; together they may still need too long to fill.
fn check_quota(s: &mut Section<'_, '_>, rate: Option<f64>, burst: u32) {
    let Some(Err(error)) = rate.map(|rate| quota(rate, burst)) else { return };
    let refusal = match error {
        QuotaError::Burst { max, rate, .. } => Refusal::new(
            format!("takes over a year to fill at a rate of {rate}"),
            format!("give at most {max}, or a higher rate"),
        ),
        QuotaError::Rate { rate } => {
            Refusal::new(format!("has no quota at a rate of {rate}"), "change the rate")
        }
    };
    match s.item("burst") {
        Some(item) => s.report(&item, refusal),
        None => s.report_key("burst", refusal),
    }
}

/// The relations of what this broker sets itself; those of the defaults are checked once for all.
fn relations(s: &mut Section<'_, '_>, around: &Around<'_>, timeout: Duration, concurrency: usize) {
    let key = s.key("timeout");
    if s.findings.is_given(&key) {
        let connect = ("delivery.connect_timeout", &around.delivery.connect_timeout);
        let why = "the connection is part of the exchange";
        s.findings.ordered(Order::Below, connect, (&key, &timeout), &DURATION, why);
    }
    let key = s.key("concurrency");
    if s.findings.is_given(&key) {
        let held = ("limits.per_broker_max", &around.limits.per_broker_max);
        let why = "what is on the wire is held in memory";
        s.findings.ordered(Order::AtMost, (&key, &concurrency), held, &count(), why);
    }
}

fn id(s: &mut Section<'_, '_>, ids: &mut BTreeSet<String>) -> Option<String> {
    s.know("id", None, None);
    let Some(item) = s.item("id") else {
        s.report_missing(
            "id",
            "give the broker a name that stays: what it has been given is remembered under it",
        );
        return None;
    };
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    let id = item.value.as_str().unwrap_or_default();
    if id.is_empty() || id.len() > ID_MAX || !id.bytes().all(is_name) {
        let problem = format!("is not a name of 1 to {ID_MAX} letters");
        s.report(&item, Refusal::new(problem, "use a to z, 0 to 9, - and _"));
        return None;
    }
    s.broker = Some(id.to_owned());
    if !ids.insert(id.to_owned()) {
        s.report(&item, Refusal::new("is the id of an earlier broker", "give each broker its own"));
    }
    Some(id.to_owned())
}

fn egress(s: &mut Section<'_, '_>, delivery: &DeliveryConfig) -> Egress {
    let mut egress = Egress { own_networks: networks(s), ..delivery.egress.clone() };
    egress.allow_ports.extend(ports(s));
    egress
}

fn url(s: &mut Section<'_, '_>, egress: &Egress) -> Option<Url> {
    s.know("url", None, None);
    let Some(item) = s.item("url") else {
        s.report_missing("url", "give the address of the broker's webhook");
        return None;
    };
    let Some(text) = item.value.as_str().filter(|text| (1..=URL_MAX).contains(&text.len())) else {
        let problem = format!("is not a text of 1 to {URL_MAX} bytes");
        s.report_hidden(&item, Refusal::new(problem, "give it in quotes"));
        return None;
    };
    match check_url(text, egress) {
        Ok(url) => {
            warn_of_port(s, &item, &url, egress);
            Some(url)
        }
        Err(refusals) => {
            // What is no URL could be anything.
            let value = Url::parse(text).ok().map(|url| shown_url(&url));
            for refusal in refusals {
                s.findings.report(&item.place, value.clone(), refusal);
            }
            None
        }
    }
}

/// A port that is no web server's: a name that leads into a network which is allowed for all is refused there, when it is
/// looked up, so it had better be known before.
fn warn_of_port(s: &mut Section<'_, '_>, item: &Item<'_>, url: &Url, egress: &Egress) {
    let is_open = egress.allow_networks.is_empty() || !egress.own_networks.is_empty();
    if is_open || egress.permits_port(url) {
        return;
    }
    let port = url.port_or_known_default().unwrap_or_default();
    let problem = format!("has port {port}, at which its name may lead to public addresses only");
    let remedy = format!(
        "if it leads into one of delivery.allow_networks, add allow_ports = [{port}] or the network itself to this broker"
    );
    s.findings.warn(&item.place, Refusal::new(problem, remedy));
}

/// The references to the signing keys, and what signs with them; none if one of them is wrong, which has been reported
/// then.
fn signing(s: &mut Section<'_, '_>) -> Option<(Vec<SecretRef>, Signer)> {
    s.know("secrets", None, None);
    let Some(item) = s.item("secrets") else {
        s.report_missing("secrets", "name at least one signing key: secrets = [\"env:NAME\"]");
        return None;
    };
    let elements = s.list(&item)?;
    if elements.is_empty() || elements.len() > SIGNING_KEYS_MAX {
        let problem = format!("has {} elements", elements.len());
        let remedy = format!("name 1 to {SIGNING_KEYS_MAX} signing keys, the newest first");
        s.report_hidden(&item, Refusal::new(problem, remedy));
    }
    let mut fetched: Vec<Secret> = Vec::new();
    let mut keys = Vec::new();
    for element in &elements {
        let Some(secret) = secret(s, element) else { continue };
        match SigningKey::parse(secret.expose()) {
            Err(error) => {
                let remedy = "make one: whsec_ and the standard base64 of 24 to 64 random bytes";
                s.report(element, Refusal::new(format!("names no signing key: {error}"), remedy));
            }
            Ok(_) if fetched.iter().any(|other| other.expose() == secret.expose()) => {
                s.report(element, Refusal::new("names the same signing key again", "leave it out"));
            }
            Ok(key) => {
                keys.push(key);
                fetched.push(secret);
            }
        }
    }
    let references = fetched.into_iter().map(|secret| secret.reference().clone()).collect();
    Some((references, Signer::new(keys).ok()?))
}

/// Fetches the secret a value refers to; what is no reference is not shown.
pub(super) fn secret(s: &mut Section<'_, '_>, item: &Item<'_>) -> Option<Secret> {
    let text = item.value.as_str().unwrap_or_default();
    let reference = match SecretRef::parse(text, s.findings.base) {
        Ok(reference) => reference,
        Err(fault) => {
            s.report_hidden(item, Refusal::new(fault.to_string(), fault.remedy()));
            return None;
        }
    };
    match reference.resolve_in(s.findings.environment) {
        Ok(secret) => {
            if let Some(mode) = secret.readable_by_others() {
                let problem = format!("names a file that others on this machine may read (mode {mode:04o})");
                s.findings.warn(&item.place, Refusal::new(problem, "make it its owner's alone: chmod 600"));
            }
            Some(secret)
        }
        Err(fault) => {
            s.report(item, Refusal::new(fault.to_string(), fault.remedy()));
            None
        }
    }
}

fn statuses(s: &mut Section<'_, '_>, schema: &SchemaConfig) -> Option<FxHashSet<Arc<str>>> {
    s.know("statuses", Some("all".to_owned()), None);
    let item = s.item("statuses")?;
    let elements = s.list(&item)?;
    if elements.is_empty() {
        let remedy = "name one, or leave the key out for all";
        s.report(&item, Refusal::new("names no status: this broker would get nothing", remedy));
    }
    // With a mistake in there, nobody knows which statuses there are.
    if s.findings.has_problem("schema.statuses") {
        return None;
    }
    let mut names = FxHashSet::default();
    for element in &elements {
        match element.value.as_str().and_then(|name| schema.statuses.canonical(name)) {
            Some(canonical) => {
                names.insert(Arc::clone(canonical));
            }
            None => {
                let known = schema.statuses.all().join(", ");
                let remedy = format!("give one of {known}, or add it to schema.statuses");
                s.report(element, Refusal::new("is not a known status", remedy));
            }
        }
    }
    Some(names)
}

fn loads(s: &mut Section<'_, '_>) -> LoadFilter {
    s.know("loads", Some("all".to_owned()), None);
    let Some(item) = s.item("loads") else { return LoadFilter::All };
    if item.value.as_str() == Some("all") {
        return LoadFilter::All;
    }
    if item.value.is_array() {
        let elements = s.list(&item).unwrap_or_default();
        if !elements.is_empty() {
            let texts = elements.iter().filter_map(|element| s.text(element, LOAD_MAX));
            return LoadFilter::List(texts.map(Into::into).collect());
        }
    } else if item.value.is_table() {
        let entries = s.entries(&item).unwrap_or_default();
        if let [("prefix", prefix)] = &entries[..] {
            return s
                .text(prefix, LOAD_MAX)
                .map_or(LoadFilter::All, |prefix| LoadFilter::Prefix(prefix.to_owned()));
        }
    }
    let remedy = "give \"all\", a list such as [\"L-1\", \"L-2\"], or { prefix = \"CHI-\" }";
    s.report(&item, Refusal::new("does not say which loads", remedy));
    LoadFilter::All
}
