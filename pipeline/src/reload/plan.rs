//! What a new config changes: the one in force and the new one enter; what is to be done leaves, or every key that differs
//! and cannot change while the process runs. Asks nothing but the two.

use std::collections::{BTreeMap, BTreeSet};

use super::fixed;
use crate::config::{BrokerConfig, Config, Problem};

/// The keys that say how a broker is asked: what it answered before says nothing once one of them has changed.
const ASKED_WITH: [&str; 4] = ["url", "secrets", "headers", "timeout"];

/// What is to be done. Brokers are named in the new config's order, those that leave in the old one's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Brokers that the config names now and did not before.
    pub added: Vec<String>,
    /// Brokers with whom something else is agreed, and which keys differ.
    pub changed: Vec<(String, Vec<&'static str>)>,
    /// Brokers that it does not name any more.
    pub removed: Vec<String>,
    /// Other sections that differ: `schema`, `rules`, `log`.
    pub sections: Vec<&'static str>,
}

impl Plan {
    /// What has to be done for `new` to be in force instead of `old`.
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

    /// Brokers that are asked in another way from now on: at another place, with another key or other headers.
    pub fn asked_anew(&self) -> impl Iterator<Item = &str> {
        let anew = |keys: &[&str]| keys.iter().any(|key| ASKED_WITH.contains(key));
        self.changed.iter().filter(move |(_, keys)| anew(keys)).map(|(broker, _)| broker.as_str())
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The keys in which two broker's tables of one name differ. Secrets differ if what they sign does: the reference may be
/// the same, and what it leads to another.
fn keys(old: &BrokerConfig, new: &BrokerConfig) -> Vec<&'static str> {
    let signs = |broker: &BrokerConfig| broker.signer.sign("reload", 0, b"");
    let differ = [
        ("url", old.url != new.url),
        ("allow_networks", old.egress.own_networks != new.egress.own_networks),
        ("allow_ports", old.egress.allow_ports != new.egress.allow_ports),
        ("secrets", old.secrets != new.secrets || signs(old) != signs(new)),
        ("rate", old.rate != new.rate),
        ("burst", old.burst != new.burst),
        ("timeout", old.timeout != new.timeout),
        ("concurrency", old.concurrency != new.concurrency),
        ("when_full", old.when_full != new.when_full),
        ("headers", old.headers != new.headers),
        ("statuses", old.subscription.statuses != new.subscription.statuses),
        ("loads", old.subscription.loads != new.subscription.loads),
    ];
    differ.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
