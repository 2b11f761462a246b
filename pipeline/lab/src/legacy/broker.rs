//! A broker of the model, as its table in the config has it. Its subscription means what it means in Loadline's config.

use std::{collections::BTreeSet, sync::Arc};

use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};
use stages::{LoadFilter, Statuses, Subscription};
use url::{Host, Url};

use super::LegacyConfigFault;

/// A broker of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegacyBroker {
    /// Its name, for the log.
    pub id: String,
    /// Where its events are posted: plain http on loopback.
    pub url: Url,
    /// The statuses it wants, as in Loadline's config; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statuses: Option<BTreeSet<String>>,
    /// The loads it wants, as in Loadline's config.
    #[serde(default)]
    pub loads: Loads,
}

/// Which loads a broker wants: `"all"`, `["L-1", "L-2"]` or `{ prefix = "CHI-" }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Loads {
    /// Every load.
    All(All),
    /// These loads.
    List(BTreeSet<String>),
    /// Loads whose id starts with one of these.
    Prefix {
        /// The beginnings.
        prefix: Prefixes,
    },
}

/// Beginnings of load ids: one, or a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Prefixes {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl From<String> for Prefixes {
    fn from(one: String) -> Self {
        Self::One(one)
    }
}

/// The word `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum All {
    /// Every load.
    All,
}

impl LegacyBroker {
    /// A broker with the subscription it has at Loadline.
    #[must_use]
    pub fn new(id: impl Into<String>, url: Url, subscription: &Subscription) -> Self {
        let owned = |names: &FxHashSet<Arc<str>>| names.iter().map(|name| (**name).into()).collect();
        Self {
            id: id.into(),
            url,
            statuses: subscription.statuses.as_ref().map(owned),
            loads: match &subscription.loads {
                LoadFilter::All => Loads::default(),
                LoadFilter::List(loads) => Loads::List(owned(loads)),
                LoadFilter::Prefixes(prefixes) => {
                    Loads::Prefix { prefix: Prefixes::Several(prefixes.clone()) }
                }
            },
        }
    }

    /// What it wants, as Loadline means it.
    ///
    /// # Errors
    /// It is not on loopback, or wants a status that is not known.
    pub fn subscription(&self) -> Result<Subscription, LegacyConfigFault> {
        let is_loopback = match self.url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(_)) | None => false,
        };
        if self.url.scheme() != "http" || !is_loopback {
            return Err(LegacyConfigFault::Url { broker: self.id.clone(), url: self.url.clone() });
        }
        let known = Statuses::default();
        let canonical = |status: &String| {
            known.canonical(status).cloned().ok_or_else(|| LegacyConfigFault::Status {
                broker: self.id.clone(),
                status: status.clone(),
                known: known.all().join(", "),
            })
        };
        let statuses =
            self.statuses.as_ref().map(|names| names.iter().map(canonical).collect()).transpose()?;
        let loads = match &self.loads {
            Loads::All(All::All) => LoadFilter::All,
            Loads::List(loads) => LoadFilter::List(loads.iter().map(|load| Arc::from(&**load)).collect()),
            Loads::Prefix { prefix: Prefixes::One(prefix) } => LoadFilter::Prefixes(vec![prefix.clone()]),
            Loads::Prefix { prefix: Prefixes::Several(prefixes) } => LoadFilter::Prefixes(prefixes.clone()),
        };
        Ok(Subscription { statuses, loads, ..Subscription::default() })
    }
}

impl Default for Loads {
    fn default() -> Self {
        Self::All(All::All)
    }
}
