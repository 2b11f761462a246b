//! Compares the config in force with a new one: what a reload has to do, or every changed key that needs a restart.
//! Pure.

use std::collections::{BTreeMap, BTreeSet};

use stages::OwnTls;

use super::fixed;
use crate::config::{BrokerConfig, Config, Problem};

/// The keys of a broker's endpoint: earlier failures say nothing once one of them has changed.
const ENDPOINT_KEYS: [&str; 12] = [
    "url",
    "secrets",
    "signatures",
    "headers",
    "timeout",
    "method",
    "body",
    "oauth2",
    "ca_file",
    "tls_cert_file",
    "proxy",
    ANSWERS,
];

/// Stands for the keys that say what answers mean.
const ANSWERS: &str = "success, retry, pause, disable, final or body_errors";

/// What a reload has to do. Brokers are in the new config's order, removed ones in the old one's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Added brokers.
    pub added: Vec<String>,
    /// Brokers with changed terms, and the changed keys.
    pub changed: Vec<(String, Vec<&'static str>)>,
    /// Removed brokers.
    pub removed: Vec<String>,
    /// Other sections that differ: `schema`, `rules`, `log`.
    pub sections: Vec<&'static str>,
}

impl Plan {
    /// What has to be done to replace `old` by `new`.
    ///
    /// # Errors
    /// Every key that differs and needs a restart.
    pub fn new(old: &Config, new: &Config) -> Result<Self, Vec<Problem>> {
        let problems = fixed::differences(old, new);
        if !problems.is_empty() {
            return Err(problems);
        }
        let before: BTreeMap<&str, &BrokerConfig> =
            old.brokers.iter().map(|broker| (broker.id.as_str(), broker)).collect();
        let mut plan = Self::default();
        for broker in &new.brokers {
            match before.get(broker.id.as_str()).map(|before| keys(before, broker)) {
                None => plan.added.push(broker.id.clone()),
                Some(keys) if keys.is_empty() => {}
                Some(keys) => plan.changed.push((broker.id.clone(), keys)),
            }
        }
        let named: BTreeSet<&str> = new.brokers.iter().map(|broker| broker.id.as_str()).collect();
        let left = old.brokers.iter().filter(|broker| !named.contains(broker.id.as_str()));
        plan.removed = left.map(|broker| broker.id.clone()).collect();
        let sections = [
            ("schema", old.schema != new.schema),
            ("rules", old.rules != new.rules),
            ("log", old.log != new.log),
        ];
        plan.sections = sections.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect();
        Ok(plan)
    }

    /// Adds what has to be done for the database's brokers. One that goes here and comes there stays.
    pub(super) fn join(&mut self, other: Self) {
        let Self { added, changed, removed, sections: _ } = other;
        let goes = std::mem::take(&mut self.removed).into_iter().chain(removed);
        let goes: Vec<String> = goes.collect();
        self.added.extend(added);
        self.changed.extend(changed);
        self.removed = goes.into_iter().filter(|id| !self.added.contains(id)).collect();
    }

    /// Brokers with a changed endpoint, key or headers.
    pub fn with_changed_endpoint(&self) -> impl Iterator<Item = &str> {
        let anew = |keys: &[&str]| keys.iter().any(|key| ENDPOINT_KEYS.contains(key));
        self.changed.iter().filter(move |(_, keys)| anew(keys)).map(|(broker, _)| broker.as_str())
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The keys in which two tables of one broker differ. Secrets are compared by what they sign: the same reference may
/// lead to another secret.
pub(super) fn keys(old: &BrokerConfig, new: &BrokerConfig) -> Vec<&'static str> {
    let signs = |broker: &BrokerConfig| broker.signer.sign("reload", 0, b"");
    let signatures = |broker: &BrokerConfig| -> Vec<_> {
        let all = broker.special.signatures.iter();
        all.map(|one| (one.name().clone(), one.sign("reload", 0, b"body"))).collect()
    };
    let (special, other) = (&old.special, &new.special);
    let (tls, other_tls) = (special.tls.as_deref(), other.tls.as_deref());
    let differ = [
        ("url", old.url != new.url || special.shape.url != other.shape.url),
        ("method", special.shape.method != other.shape.method),
        ("body", special.shape.body != other.shape.body),
        ("signatures", signatures(old) != signatures(new)),
        ("oauth2", special.oauth2 != other.oauth2),
        (
            "ca_file",
            tls.map_or(&[][..], OwnTls::authorities) != other_tls.map_or(&[][..], OwnTls::authorities),
        ),
        (
            "tls_cert_file",
            tls.map_or(&[][..], OwnTls::certificate) != other_tls.map_or(&[][..], OwnTls::certificate),
        ),
        ("proxy", special.proxy != other.proxy),
        ("batch", special.batch != other.batch),
        ("allow_networks", old.egress.own_networks != new.egress.own_networks),
        ("allow_ports", old.egress.allow_ports != new.egress.allow_ports),
        ("secrets", old.secrets != new.secrets || signs(old) != signs(new)),
        ("rate", old.rate != new.rate),
        ("burst", old.burst != new.burst),
        ("timeout", old.timeout != new.timeout),
        (ANSWERS, old.answers != new.answers),
        ("concurrency", old.concurrency != new.concurrency),
        ("when_full", old.when_full != new.when_full),
        ("headers", old.headers != new.headers),
        ("statuses", old.subscription.statuses != new.subscription.statuses),
        ("loads", old.subscription.loads != new.subscription.loads),
        ("filter", old.subscription.fields != new.subscription.fields),
    ];
    differ.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
