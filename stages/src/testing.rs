//! Fixtures for tests of several stages and of other crates (feature `testing`): brokers, events, permits, failures,
//! signers and resolvers.
#![allow(dead_code, clippy::unwrap_used, reason = "only tests ask for it")]

use std::{net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use state::{BodyDigest, Event, Position};

use crate::{
    BreakerPolicy, Egress, Endpoint, Health, HttpOptions, Lookup, LookupFuture, Quota, RetryBudgetPolicy,
    Signer, SigningKey,
    broker::{Broker, Subscription, Terms, WhenFull},
    models::{Delivery, Failure, FailureKind, Fresh, Permitted, ValidEvent},
};

/// Two secrets that sign nothing but tests.
pub(crate) const SECRETS: [&str; 2] =
    ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"];

/// A signer with these secrets.
pub(crate) fn signer(secrets: &[&str]) -> Signer {
    Signer::new(secrets.iter().map(|secret| SigningKey::parse(secret).unwrap()).collect()).unwrap()
}

/// A broker on shard 0 that wants everything, at this endpoint and with this quota.
fn broker_at(id: &str, endpoint: Endpoint, rate: f64, burst: u32) -> Broker {
    let quota = Quota::new(rate, NonZeroU32::new(burst).unwrap()).unwrap();
    let subscription = Subscription::default();
    let terms =
        Terms { subscription, endpoint, quota: quota.into(), concurrency: 8, when_full: WhenFull::Hold };
    let health = Health::new(BreakerPolicy::default(), RetryBudgetPolicy::default());
    Broker::new(id, 0, 0, terms, health)
}

/// A broker with this endpoint, everything else by default.
pub(crate) fn broker(endpoint: Endpoint) -> Arc<Broker> {
    Arc::new(broker_at("acme", endpoint, 1_000.0, 1_000))
}

/// A broker with this quota, everything else by default.
#[must_use]
pub fn broker_with(id: &str, rate: f64, burst: u32) -> Broker {
    let timeout = Duration::from_secs(5);
    let (headers, egress) = (http::HeaderMap::new(), Egress::default());
    let endpoint = Endpoint::new("https://tms.example.com/", &headers, signer(&SECRETS), timeout, &egress);
    broker_at(id, endpoint.unwrap(), rate, burst)
}

/// An event of `body` read at zero.
fn event_of(event_id: &str, body: &'static [u8]) -> ValidEvent {
    ValidEvent::new(Event {
        position: Position::new("test".into(), 0, 0),
        event_id: event_id.into(),
        load_id: "load-1".into(),
        status: "accepted".into(),
        occurred_at: 0,
        sequence: None,
        traceparent: None,
        read_at: 0,
        body: Bytes::from_static(body),
        digest: BodyDigest::of(body),
    })
}

/// A delivery to `broker` that has passed dedupe.
pub(crate) fn fresh(broker: &Arc<Broker>) -> Fresh {
    Fresh::new(Delivery::new(event_of("e1", b"{}"), Arc::clone(broker)))
}

/// A delivery of `body` as event `event_id`, with leave to be attempted.
pub(crate) fn permitted(broker: &Arc<Broker>, event_id: &str, body: &'static [u8]) -> Permitted {
    Fresh::new(Delivery::new(event_of(event_id, body), broker.clone())).permit()
}

/// A failure of this kind with no answer.
pub(crate) fn failure(kind: FailureKind) -> Failure {
    Failure {
        kind,
        status: None,
        cause: "connection reset".to_owned(),
        retry_after: None,
        may_have_arrived: false,
        answer: None,
    }
}

/// Limits that no test comes near.
pub(crate) fn http_options() -> HttpOptions {
    HttpOptions {
        connect_timeout: Duration::from_secs(20),
        idle_timeout: Duration::from_secs(30),
        idle_per_host_max: 8,
        connection_age_max: Duration::from_secs(300),
        extra_ca_pem: Vec::new(),
    }
}

/// A resolver that gives prepared answers, one for each question, and the last one for ever.
pub(crate) struct FixedLookup(Mutex<Vec<Vec<IpAddr>>>);

impl FixedLookup {
    /// Always these addresses.
    pub(crate) fn new(addresses: &[&str]) -> Self {
        Self::sequence(&[addresses])
    }

    /// These answers, in this order.
    pub(crate) fn sequence(answers: &[&[&str]]) -> Self {
        let parsed = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        Self(Mutex::new(answers.iter().rev().map(parsed).collect()))
    }
}

impl Lookup for FixedLookup {
    fn addresses(&self, _host: &str) -> LookupFuture {
        let mut answers = self.0.lock();
        let answer = if answers.len() > 1 { answers.pop() } else { answers.last().cloned() };
        Box::pin(std::future::ready(Ok(answer.unwrap_or_default())))
    }
}
