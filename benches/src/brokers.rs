//! Brokers made by hand, which limit nothing.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use stages::{
    BreakerPolicy, Broker, Egress, Endpoint, Health, LoadFilter, Quota, RATE_MAX, RetryBudgetPolicy, Signer,
    SigningKey, Subscription, Terms, WhenFull,
};

use crate::must;

/// Signing keys, as configs hold them.
pub const SECRETS: [&str; 2] =
    ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"];

/// An address that is never asked.
const NOWHERE: &str = "https://tms.example.com/hook";

/// A signer with so many keys: one, or two as while one takes over from the other.
#[must_use]
pub fn signer(keys: usize) -> Signer {
    let keys = SECRETS.iter().take(keys).map(|secret| must(SigningKey::parse(secret)));
    must(Signer::new(keys.collect()))
}

/// Allows plain http to loopback.
#[must_use]
pub fn egress() -> Egress {
    Egress { allow_http: true, allow_networks: vec![must("127.0.0.0/8".parse())], ..Egress::default() }
}

/// A broker at `url` that may have `concurrency` deliveries on the wire.
#[must_use]
pub fn broker_at(url: &str, ordinal: usize, loads: LoadFilter, concurrency: usize) -> Arc<Broker> {
    let timeout = Duration::from_secs(5);
    let endpoint = must(Endpoint::new(url, &Default::default(), signer(1), timeout, &egress()));
    let quota = must(Quota::new(RATE_MAX, NonZeroU32::MAX));
    let subscription = Subscription { loads, ..Subscription::default() };
    let terms =
        Terms { subscription, endpoint, quota: Arc::new(quota), concurrency, when_full: WhenFull::Hold };
    // Whoever fails, fails for as long as anything here takes.
    let hour = Duration::from_secs(3_600);
    let breaker = BreakerPolicy { open_min: hour, open_max: hour, ..BreakerPolicy::default() };
    let health = Health::new(breaker, RetryBudgetPolicy::default());
    Arc::new(Broker::new(format!("broker-{ordinal}"), ordinal, 0, terms, health))
}

/// Broker 0, which wants every load and is never posted to.
#[must_use]
pub fn broker() -> Arc<Broker> {
    broker_at(NOWHERE, 0, LoadFilter::All, 32)
}

/// So many brokers that are never posted to, and may have so many deliveries under way.
#[must_use]
pub fn several(count: usize, concurrency: usize) -> Vec<Arc<Broker>> {
    (0..count).map(|ordinal| broker_at(NOWHERE, ordinal, LoadFilter::All, concurrency)).collect()
}

/// Three brokers that want all loads, and others that want a hundred each by prefix.
#[must_use]
pub fn subscribed(count: usize) -> Vec<Arc<Broker>> {
    let loads = |ordinal: usize| match ordinal {
        0..3 => LoadFilter::All,
        _ => LoadFilter::Prefixes(vec![format!("LD-{:06}", ordinal - 3)]),
    };
    (0..count).map(|ordinal| broker_at(NOWHERE, ordinal, loads(ordinal), 32)).collect()
}
