//! Carries out a reload: reads and compares the file, admits new brokers, and then applies all changes between two
//! records.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    path::{Path, PathBuf},
    sync::Arc,
};

use stages::{Broker, Subscriptions, Terms};
use state::StateFault;
use tokio::time::Instant;

use super::{
    Changed, Outcome, Refused,
    plan::Plan,
    request::{Request, Requests},
};
use crate::{
    assemble::{self, BROKERS_PER_RUN_MAX, Parts},
    config::{BrokerConfig, Config},
    logging,
};
use line::{LineFault, LineHandle, waiting};

/// Carries reloads out, one after the other.
pub(crate) struct Reloader<'p> {
    parts: &'p Parts,
    line: LineHandle,
    /// The config in force.
    config: Config,
    path: Option<PathBuf>,
}

/// The prepared changes.
struct Prepared {
    /// All brokers of the new config, in its order.
    listed: Vec<Arc<Broker>>,
    /// Those without a slot yet.
    new: Vec<Arc<Broker>>,
    /// New terms of those with a slot.
    terms: Vec<(Arc<Broker>, Terms)>,
}

impl<'p> Reloader<'p> {
    pub(crate) fn new(parts: &'p Parts, line: LineHandle, config: Config, path: Option<PathBuf>) -> Self {
        Self { parts, line, config, path }
    }

    /// Serves `requests`. Must be polled by the task that polls the line.
    pub(crate) async fn serve(mut self, requests: &mut Requests) -> Infallible {
        loop {
            let Some(Request { by, reply }) = requests.inbox.recv().await else {
                // Cannot happen: `requests` has a sender of its own.
                return std::future::pending().await;
            };
            let outcome = self.reload().await;
            tell(by.as_str(), &outcome);
            // The client may be gone; the log has the outcome.
            let _gone = reply.send(outcome).is_err();
        }
    }

    async fn reload(&mut self) -> Result<Outcome, Refused> {
        let path = self.path.clone().ok_or(Refused::NoFile)?;
        let reading = path.clone();
        let read = tokio::task::spawn_blocking(move || Config::load(&reading));
        let new = read.await.map_err(|_| Refused::Stopping)?.map_err(Refused::Config)?;
        let plan = Plan::new(&self.config, &new).map_err(|problems| {
            Refused::Config(crate::config::ConfigErrors { path: path.clone(), problems })
        })?;
        let prepared = self.prepare(&new, &plan)?;
        for broker in &prepared.new {
            if !self.line.admit(broker.clone(), self.parts.ledger.store()).await? {
                return Err(Refused::Stopping);
            }
            // At once: if the next broker cannot be admitted, this one still has its slot and must not get a second.
            self.parts.brokers.know(broker);
            // Again: it may have changed while nobody knew this one.
            self.parts.portions.admit(broker);
        }
        let hints = self.apply(&new, &plan, prepared);
        self.config = new;
        Ok(outcome(&path, plan, hints))
    }

    /// Prepares all changes.
    fn prepare(&self, new: &Config, plan: &Plan) -> Result<Prepared, Refused> {
        let roster = &self.parts.brokers;
        let mut known: BTreeMap<Arc<str>, Arc<Broker>> =
            roster.all().into_iter().map(|broker| (broker.id.clone(), broker)).collect();
        let changed = plan.changed.iter().map(|(name, _)| name);
        let to_agree: BTreeSet<&String> = plan.added.iter().chain(changed).collect();
        let mut prepared =
            Prepared { listed: Vec::with_capacity(new.brokers.len()), new: Vec::new(), terms: Vec::new() };
        for config in &new.brokers {
            let broker = match known.remove(config.id.as_str()) {
                Some(broker) => {
                    if to_agree.contains(&config.id) {
                        let terms = assemble::terms(config, Some(broker.terms().quota.clone()))?;
                        prepared.terms.push((broker.clone(), terms));
                    }
                    broker
                }
                None => {
                    let ordinal = roster.known() + prepared.new.len();
                    let broker = assemble::broker(new, config, ordinal, self.parts.limits.shards)?;
                    self.parts.portions.admit(&broker);
                    prepared.new.push(broker.clone());
                    broker
                }
            };
            prepared.listed.push(broker);
        }
        let known = roster.known() + prepared.new.len();
        if known > BROKERS_PER_RUN_MAX { Err(Refused::TooMany { known }) } else { Ok(prepared) }
    }

    /// Applies all changes at once: nothing here waits or fails. Returns hints.
    fn apply(&self, new: &Config, plan: &Plan, prepared: Prepared) -> Vec<String> {
        let configs: BTreeMap<&str, &BrokerConfig> =
            new.brokers.iter().map(|broker| (broker.id.as_str(), broker)).collect();
        let with_changed_endpoint: BTreeSet<&str> = plan.with_changed_endpoint().collect();
        for (broker, terms) in prepared.terms {
            let moved = broker.terms().endpoint.url() != terms.endpoint.url()
                || with_changed_endpoint.contains(&*broker.id);
            if let Some(config) = configs.get(&*broker.id) {
                broker.health.set_breaker_policy(config.breaker_policy(&new.breaker));
            }
            broker.agree(terms);
            if moved {
                // Failures of the old endpoint or key say nothing about the new one.
                broker.health.on_endpoint_changed(Instant::now());
            }
        }
        let front = &self.parts.front;
        front.decode.replace(new.schema.schema());
        front.validate.replace(new.rules.rules(&new.schema));
        front.route.replace(Arc::new(Subscriptions::new(prepared.listed.clone())));
        self.line.share_among(prepared.listed.len());
        self.parts.brokers.replace(prepared.listed);
        let mut hints = self.hints(plan);
        hints.extend(new.warnings.iter().map(ToString::to_string));
        if self.config.log.level != new.log.level
            && let Err(fault) = logging::set_level(&new.log.level)
        {
            hints.push(format!("log.level stays as it was: {fault}"));
        }
        hints
    }

    fn hints(&self, plan: &Plan) -> Vec<String> {
        let mut hints = Vec::new();
        let all = self.parts.brokers.all();
        let by_name: BTreeMap<&str, &Arc<Broker>> = all.iter().map(|broker| (&*broker.id, broker)).collect();
        let find = |name: &String| by_name.get(name.as_str()).copied();
        let changed = plan.changed.iter().map(|(name, _)| name);
        for broker in plan.added.iter().chain(changed).filter_map(find) {
            let name = &broker.id;
            if let Some(reason) = broker.health.disabled_reason() {
                hints.push(format!("{name} is disabled ({reason}) until `loadline broker enable {name}`"));
            } else if broker.health.is_paused() {
                hints.push(format!("{name} is paused until `loadline broker resume {name}`"));
            }
        }
        for broker in plan.removed.iter().filter_map(find) {
            let (name, left) = (&broker.id, waiting(broker));
            if left > 0 {
                let paused = if broker.health.is_paused() { ", once it is resumed" } else { "" };
                hints.push(format!(
                    "{left} deliveries are left for {name} and are still sent{paused}; `loadline status` shows it until then"
                ));
            }
        }
        hints
    }
}

fn outcome(path: &Path, plan: Plan, hints: Vec<String>) -> Outcome {
    let changed = plan
        .changed
        .into_iter()
        .map(|(broker, keys)| Changed { broker, keys: keys.into_iter().map(str::to_owned).collect() });
    Outcome {
        config: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
        added: plan.added,
        changed: changed.collect(),
        removed: plan.removed,
        sections: plan.sections.into_iter().map(str::to_owned).collect(),
        hints,
    }
}

/// Logs one line, and one for each problem.
fn tell(by: &str, outcome: &Result<Outcome, Refused>) {
    match outcome {
        Ok(Outcome { config, added, changed, removed, sections, hints }) => {
            let changed: Vec<_> = changed.iter().map(|changed| &*changed.broker).collect();
            tracing::info!(by, config = %config.display(), ?added, ?changed, ?removed, ?sections, "config reloaded");
            hints.iter().for_each(|hint| tracing::info!("{hint}"));
        }
        Err(refused) if refused.problems().is_empty() => {
            tracing::error!(by, fault = %refused, "the reload is refused");
        }
        Err(refused) => {
            let count = refused.problems().len();
            tracing::error!(by, count, "the reload is refused as a whole; the config in force stays");
            refused.problems().iter().for_each(|problem| tracing::error!("{problem}"));
        }
    }
}

impl From<StateFault> for Refused {
    fn from(fault: StateFault) -> Self {
        Self::Line(LineFault::State(fault))
    }
}
