//! `[[brokers]]`: which events a broker gets, where, signed with what, and how fast.

use std::{collections::BTreeSet, fmt, num::NonZeroU32, ops::RangeInclusive, sync::Arc, time::Duration};

use ::url::Url;
use http::HeaderMap;
use stages::{
    Answers, BreakerPolicy, Egress, Endpoint, EndpointError, Health, PlaceField, Quota, QuotaError, RATE_MAX,
    Shape, Signer, Special, Subscription, UrlPlaces, UrlPlacesError, WhenFull,
};

use super::{
    answers, auth, batch,
    delivery::{CONCURRENCY, DeliveryConfig, TIMEOUT, networks, ports},
    findings::Order,
    headers,
    limits::WHEN_FULL,
    other_sections::OtherSections,
    own_tls::{self, TlsFiles},
    problem::Refusal,
    proxy,
    retry::{BreakerConfig, RetryConfig},
    secret::SecretRef,
    section::{Item, Section},
    shape, signatures, subscription,
    units::{DURATION, NUMBER, count},
    url::{check_url, places_refusals, shown_url},
};

/// Brokers in one config: each has a queue, a limiter and connections of its own.
pub const BROKERS_MAX: usize = 10_000;
const ID_MAX: usize = 64;
const URL_MAX: usize = 2048;
/// Attempts a second.
const RATE: RangeInclusive<f64> = 0.001..=RATE_MAX;

/// One broker.
#[derive(Clone)]
pub struct BrokerConfig {
    /// Its name: `[a-z0-9_-]`, 1 to 64 bytes, no other broker's. Ledger and spill know it by this.
    pub id: String,
    /// Where its events are posted; with something in each place that stands for a field.
    pub url: Url,
    /// The allowed networks: those of `[delivery]`, and its own.
    pub egress: Egress,
    /// The references of its signing keys, the newest first; none if `special` has all its signatures.
    pub secrets: Vec<SecretRef>,
    /// Signs with each of these keys, so that a receiver needs any one of them.
    pub signer: Signer,
    /// Attempts a second (0.001 to 1000000).
    pub rate: f64,
    /// Attempts at once after a pause (1 to 1000000; default `rate`, rounded up).
    pub burst: u32,
    /// See [`DeliveryConfig::timeout`].
    pub timeout: Duration,
    /// What its answers mean (default the standards' meaning).
    pub answers: Arc<Answers>,
    /// See [`DeliveryConfig::concurrency`].
    pub concurrency: usize,
    /// See [`LimitsConfig::when_full`](super::LimitsConfig::when_full).
    pub when_full: WhenFull,
    /// Sent with every request, beside Loadline's own; those that came from a reference are marked sensitive.
    pub headers: HeaderMap,
    /// What it has that most brokers have not: shape, signatures, access tokens, TLS, proxy.
    pub special: Special,
    /// Where the files of its own TLS are.
    pub tls_files: TlsFiles,
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
            .field("answers", &self.answers)
            .field("concurrency", &self.concurrency)
            .field("when_full", &self.when_full)
            .field("headers", &self.headers)
            .field("special", &self.special)
            .field("tls_files", &self.tls_files)
            .field("subscription", &self.subscription)
            .finish()
    }
}

impl BrokerConfig {
    /// None if a required value is missing or wrong, which has been reported.
    pub(super) fn read(
        s: &mut Section<'_, '_>,
        around: &OtherSections<'_>,
        ids: &mut BTreeSet<String>,
    ) -> Option<Self> {
        // The id first, because every other problem of this broker is reported with it.
        let id = id(s, ids);
        let egress = egress(s, around.delivery);
        let url = url(s, &egress);
        let signing = signatures::standard(s);
        let rate = s.required("rate", &RATE, &NUMBER, "give the attempts a second this broker can take");
        // Rounded up it is still within the bounds of `burst`.
        let burst = rate.unwrap_or(1.0).ceil().max(1.0) as u32;
        let burst = s.ranged_or("burst", burst, "`rate`, rounded up".to_owned(), 1..=1_000_000, &count());
        check_quota(s, rate, burst);
        let batch = batch::read(s);
        let timeout = around.delivery.timeout;
        let timeout = s.ranged_or("timeout", timeout, "`delivery.timeout`".to_owned(), TIMEOUT, &DURATION);
        let concurrency = s.ranged_or(
            "concurrency",
            batch::concurrency(batch, around),
            "`delivery.concurrency`".to_owned(),
            CONCURRENCY,
            &count(),
        );
        relations(s, around, timeout, concurrency);
        batch::relations(s, around, batch, concurrency);
        let answers = answers::read(s);
        let when_full = s.choice_or("when_full", around.limits.when_full, "`limits.when_full`", &WHEN_FULL);
        let mut headers = headers::read(s);
        auth::read(s, &mut headers);
        shape::content_type(s, &mut headers);
        let (url, places) = url.map_or((None, None), |(url, places)| (Some(url), places));
        let special = Special {
            shape: Shape { method: shape::method(s), url: places, body: shape::body(s, around.schema) },
            signatures: signatures::others(s, signing.as_ref().map(|(_, signer)| signer)),
            oauth2: auth::oauth2(s, &egress, &headers),
            tls: own_tls::read(s),
            proxy: proxy::read(s, Some("`delivery.proxy`"), around.delivery.proxy.as_ref()),
            batch,
        };
        let tls_files = own_tls::files(s);
        batch::check_shape(s, &special);
        let subscription = subscription::read(s, around.schema);
        shape::default_content_type(&special, &mut headers);
        let (secrets, signer) = signing?;
        let broker = Self {
            id: id?,
            url: url?,
            egress,
            secrets,
            signer,
            rate: rate?,
            burst,
            timeout,
            answers,
            concurrency,
            when_full,
            headers,
            special,
            tls_files,
            subscription,
        };
        broker.check_endpoint(s);
        Some(broker)
    }

    /// Reports what only shows when all is put together: too many headers, or two signatures in one.
    fn check_endpoint(&self, s: &mut Section<'_, '_>) {
        match self.endpoint() {
            Ok(_) => {}
            Err(EndpointError::SignatureTwice { name }) => {
                let problem = format!("sets the header {name}, which is set already");
                s.report_key("signatures", Refusal::new(problem, "keep one of the two"));
            }
            Err(error) => {
                let remedy = "send fewer: what auth and content_type set counts, too";
                s.report_key("headers", Refusal::new(error.to_string(), remedy));
            }
        }
    }

    /// Where and how its deliveries are posted.
    ///
    /// # Errors
    /// None for a broker that was loaded.
    pub fn endpoint(&self) -> Result<Endpoint, EndpointError> {
        let (url, signer) = (self.url.as_str(), self.signer.clone());
        let endpoint = Endpoint::new(url, &self.headers, signer, self.timeout, &self.egress)?;
        endpoint.with_answers(self.answers.clone()).with(self.special.clone(), &self.egress)
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
        let gathering = self.special.batch.map_or(Duration::ZERO, |batch| batch.wait);
        breaker.policy(self.timeout + permit + gathering)
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

/// Checks the relations of values that this broker sets itself; those of the defaults are checked once.
fn relations(s: &mut Section<'_, '_>, around: &OtherSections<'_>, timeout: Duration, concurrency: usize) {
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

/// The URL, and its places if it has some; these have something in them in the URL.
fn url(s: &mut Section<'_, '_>, egress: &Egress) -> Option<(Url, Option<UrlPlaces>)> {
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
    let checked = match UrlPlaces::parse(text, egress) {
        Ok(Some(places)) => Ok((places.sample().clone(), Some(places))),
        Ok(None) => check_url(text, egress).map(|url| (url, None)),
        Err(UrlPlacesError::Url(errors)) => Err(places_refusals(&errors)),
        Err(error) => {
            let remedy = format!("the places are {}", PlaceField::NAMES);
            Err(vec![Refusal::new(error.to_string(), remedy)])
        }
    };
    match checked {
        Ok((url, places)) => {
            warn_of_port(s, &item, &url, egress);
            Some((url, places))
        }
        Err(refusals) => {
            // Not shown: a value that is no URL may be a secret.
            let value = Url::parse(text).ok().map(|url| shown_url(&url));
            for refusal in refusals {
                s.findings.report(&item.location, value.clone(), refusal);
            }
            None
        }
    }
}

/// Warns of a port at which a name that leads into a network allowed for all brokers would be refused at each
/// look-up.
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
    s.findings.warn(&item.location, Refusal::new(problem, remedy));
}
