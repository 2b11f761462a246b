//! A broker of a profile: what it wants, how fast it may be served, and how its TMS behaves over time.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use stages::{LoadFilter, Subscription};

use crate::receiver::{Availability, Behaviour, LostAnswer, Phase, RateLimit, Script};

/// A broker.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerProfile {
    /// Its id.
    pub id: String,
    /// What is special about it, in a few words.
    #[serde(default = "well")]
    pub about: String,
    /// Requests a second it may be sent.
    pub rate: f64,
    /// Requests at once after a quiet time; by default what Loadline's config has by default.
    pub burst: Option<u32>,
    /// Requests on the wire at once; by default what Loadline's config has by default.
    pub concurrency: Option<u32>,
    /// The lane whose loads it wants, by the prefix of their ids; all if not given.
    pub lane: Option<String>,
    /// The statuses it wants; all if not given.
    #[serde(default)]
    pub statuses: Vec<String>,
    /// How long its TMS takes for an answer.
    #[serde(with = "humantime_serde")]
    pub latency: Duration,
    /// Added to that: evenly spread between nothing and this.
    #[serde(default, with = "humantime_serde")]
    pub jitter: Duration,
    /// The share of answers that take `tail` longer.
    #[serde(default)]
    pub tail_rate: f64,
    /// See `tail_rate`.
    #[serde(default, with = "humantime_serde")]
    pub tail: Duration,
    /// What befalls it. A broker without troubles is well throughout. They must not overlap.
    #[serde(default)]
    pub troubles: Vec<Trouble>,
}

/// What befalls a broker's TMS for a while; what is not given stays as usual.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trouble {
    /// From when of the run.
    #[serde(with = "humantime_serde")]
    pub from: Duration,
    /// Until when.
    #[serde(with = "humantime_serde")]
    pub to: Duration,
    /// Whether it can be reached.
    pub down: Option<Down>,
    /// How long it takes for an answer.
    #[serde(default, with = "humantime_serde")]
    pub latency: Option<Duration>,
    /// Requests a second it takes; the others are answered 429.
    pub limit_per_second: Option<f64>,
    /// What a 429 asks for in Retry-After.
    #[serde(default, with = "humantime_serde")]
    pub retry_after: Option<Duration>,
    /// The share of requests answered 500 and not taken.
    #[serde(default)]
    pub fail_rate: f64,
    /// The share of requests that are taken although the sender never hears of it.
    #[serde(default)]
    pub lost_answer_rate: f64,
}

/// Whether a TMS can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Down {
    /// Nothing listens: connections are refused.
    Refusing,
    /// It takes connections and never answers.
    Hanging,
}

fn well() -> String {
    "well".to_owned()
}

impl BrokerProfile {
    /// A broker that is well and answers after `latency`.
    #[must_use]
    pub fn well(id: &str, latency: Duration) -> Self {
        Self {
            id: id.to_owned(),
            about: well(),
            rate: 1.0,
            burst: None,
            concurrency: None,
            lane: None,
            statuses: Vec::new(),
            latency,
            jitter: Duration::ZERO,
            tail_rate: 0.0,
            tail: Duration::ZERO,
            troubles: Vec::new(),
        }
    }

    /// The events it wants.
    #[must_use]
    pub fn subscription(&self) -> Subscription {
        let statuses = self.statuses.iter().map(|status| Arc::from(status.as_str())).collect();
        Subscription {
            statuses: (!self.statuses.is_empty()).then_some(statuses),
            loads: self.lane.clone().map_or(LoadFilter::All, |lane| LoadFilter::Prefixes(vec![lane])),
            ..Subscription::default()
        }
    }

    /// Whether nothing befalls it.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.troubles.is_empty()
    }

    /// How its receiver behaves when nothing befalls it.
    #[must_use]
    pub fn usual(&self) -> Behaviour {
        Behaviour {
            latency: self.latency,
            jitter: self.jitter,
            tail_rate: self.tail_rate,
            tail: self.tail,
            ..Behaviour::default()
        }
    }

    /// How it behaves over the run.
    #[must_use]
    pub fn script(&self) -> Script {
        let mut phases = Vec::new();
        let mut at = Duration::ZERO;
        for trouble in &self.troubles {
            phases.push(Phase { behaviour: self.usual(), lasts: trouble.from.saturating_sub(at) });
            phases.push(Phase {
                behaviour: trouble.behaviour(&self.usual()),
                lasts: trouble.to.saturating_sub(trouble.from),
            });
            at = trouble.to;
        }
        phases.push(Phase { behaviour: self.usual(), lasts: Duration::MAX });
        Script { first: phases.remove(0), then: phases, repeats: false }
    }
}

impl Trouble {
    /// A receiver that behaves like `usual`, so befallen.
    #[must_use]
    pub fn behaviour(&self, usual: &Behaviour) -> Behaviour {
        Behaviour {
            availability: match self.down {
                None => Availability::Up,
                Some(Down::Refusing) => Availability::Refusing,
                Some(Down::Hanging) => Availability::Down,
            },
            latency: self.latency.unwrap_or(usual.latency),
            // As many at once as in a tenth of a second: a limit by the second would let bursts through.
            limit: self.limit_per_second.map(|per_second| RateLimit {
                per_second,
                burst: (per_second / 10.0).ceil().max(1.0) as u32,
            }),
            retry_after: self.retry_after.unwrap_or(usual.retry_after),
            fail_rate: self.fail_rate,
            lost_answer_rate: self.lost_answer_rate,
            lost_answer: LostAnswer::Hang,
            ..usual.clone()
        }
    }

    /// What it is called in a plot.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.down {
            Some(Down::Refusing) => "down",
            Some(Down::Hanging) => "hangs",
            None if self.limit_per_second.is_some() => "limits",
            None if self.fail_rate + self.lost_answer_rate > 0.0 => "flaps",
            None => "slow",
        }
    }
}
