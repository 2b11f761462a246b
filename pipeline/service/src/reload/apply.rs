//! Carries out a reload: reads and compares the file, or takes what was read of the database's brokers, admits new brokers,
//! and then applies all changes between two records.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    path::{Path, PathBuf},
    sync::Arc,
};

use stages::{Broker, Subscriptions, Terms};
use state::StateFault;
use subscriptions::{BrokerRow, Change, Counts};
use tokio::{sync::mpsc, time::Instant};

use super::{
    Changed, Outcome, Refused,
    plan::Plan,
    request::{Request, Requests},
    table::{Reading, Table},
};
use crate::{
    assemble::{self, BROKERS_PER_RUN_MAX, Parts},
    config::{BROKERS_MAX, BrokerConfig, Config, from_row},
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
    /// The database's brokers in force.
    table: Table,
    /// What is read of them; none without a database.
    changes: Option<mpsc::Receiver<Change>>,
    counts: Option<Arc<Counts>>,
}

/// How many names of brokers one line of the log has.
const NAMES_MAX: usize = 20;

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
        let database = parts.database.as_ref();
        let changes = database.and_then(|database| database.changes.lock().take());
        let counts = database.map(|database| database.counts.clone());
        Self { parts, line, config, path, table: Table::default(), changes, counts }
    }

    /// Serves `requests`, and what is read of the database's brokers. Must be polled by the task that polls the line.
    pub(crate) async fn serve(mut self, requests: &mut Requests) -> Infallible {
        loop {
            let request = tokio::select! {
                request = requests.inbox.recv() => request,
                change = next(&mut self.changes) => {
                    self.take(change).await;
                    continue;
                }
            };
            let Some(Request { by, reply }) = request else {
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
        let mut plan = Plan::new(&self.config, &new).map_err(|problems| {
            Refused::Config(crate::config::ConfigErrors { path: path.clone(), problems })
        })?;
        // The same rows may be other brokers by the new config.
        let table = self.read_rows(&new, Vec::new(), false, true).await?;
        plan.join(table.plan(&self.table));
        let mut hints = self.bring(&new, table, &plan).await?;
        hints.extend(new.warnings.iter().map(ToString::to_string));
        self.config = new;
        Ok(outcome(&path, plan, hints))
    }

    /// Takes what was read of the database's brokers.
    async fn take(&mut self, Change { rows, whole, applied }: Change) {
        let config = self.config.clone();
        let changed = async {
            let table = self.read_rows(&config, rows, whole, false).await?;
            let plan = table.plan(&self.table);
            let hints = self.bring(&config, table, &plan).await?;
            Ok::<_, Refused>((plan, hints))
        };
        match changed.await {
            Ok((plan, hints)) => {
                tell_table(&plan, &hints);
                applied.tell();
            }
            Err(refused) => tracing::error!(fault = %refused, "the brokers of the database stay as they are"),
        }
    }

    /// The table after `rows` have been read by `config`, all of them if `again`. Secrets are fetched for it, on a thread that
    /// may block.
    async fn read_rows(
        &self,
        config: &Config,
        rows: Vec<BrokerRow>,
        whole: bool,
        again: bool,
    ) -> Result<Table, Refused> {
        if self.changes.is_none() {
            return Ok(Table::default());
        }
        let (table, config) = (self.table.clone(), config.clone());
        let base = self.path.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
        let reading = move || {
            let named: BTreeSet<&str> = config.brokers.iter().map(|broker| broker.id.as_str()).collect();
            let reading = Reading {
                read: &|row| from_row(&config, &base, row),
                is_named: &|id| named.contains(id),
                max: BROKERS_MAX.saturating_sub(named.len()),
                again,
            };
            table.next(rows, whole, &reading)
        };
        tokio::task::spawn_blocking(reading).await.map_err(|_| Refused::Stopping)
    }

    /// Brings `new` and `table` into force. Returns hints.
    async fn bring(&mut self, new: &Config, table: Table, plan: &Plan) -> Result<Vec<String>, Refused> {
        let prepared = self.prepare(new, &table, plan)?;
        for broker in &prepared.new {
            if !self.line.admit(broker.clone(), self.parts.ledger.store()).await? {
                return Err(Refused::Stopping);
            }
            // At once: if the next broker cannot be admitted, this one still has its slot and must not get a second.
            self.parts.brokers.know(broker);
            // Again: it may have changed while nobody knew this one.
            self.parts.portions.admit(broker);
        }
        let hints = self.apply(new, &table, plan, prepared);
        for (broker, why) in table.rejected() {
            if self.table.rejected().get(broker) != Some(why) {
                tracing::error!(%broker, %why, "the broker's row is broken: what was in force of it stays");
            }
        }
        if let Some(counts) = &self.counts {
            counts.applied(table.len(), table.rejected().clone());
        }
        self.table = table;
        Ok(hints)
    }

    /// Prepares all changes.
    fn prepare(&self, new: &Config, table: &Table, plan: &Plan) -> Result<Prepared, Refused> {
        let roster = &self.parts.brokers;
        let mut known: BTreeMap<Arc<str>, Arc<Broker>> =
            roster.all().into_iter().map(|broker| (broker.id.clone(), broker)).collect();
        let changed = plan.changed.iter().map(|(name, _)| name);
        let to_agree: BTreeSet<&String> = plan.added.iter().chain(changed).collect();
        let mut prepared = Prepared { listed: Vec::new(), new: Vec::new(), terms: Vec::new() };
        for config in new.brokers.iter().chain(table.brokers()) {
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
    fn apply(&self, new: &Config, table: &Table, plan: &Plan, prepared: Prepared) -> Vec<String> {
        let configs: BTreeMap<&str, &BrokerConfig> =
            new.brokers.iter().chain(table.brokers()).map(|broker| (broker.id.as_str(), broker)).collect();
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
        if !plan.sections.is_empty() {
            front.decode.replace(new.schema.schema());
            front.validate.replace(new.rules.rules(&new.schema));
        }
        front.route.replace(Arc::new(Subscriptions::new(prepared.listed.clone())));
        self.line.share_among(prepared.listed.len());
        self.parts.brokers.replace(prepared.listed);
        let mut hints = self.hints(plan);
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

/// The next change of the database's brokers; never without a database.
async fn next(changes: &mut Option<mpsc::Receiver<Change>>) -> Change {
    if let Some(changes) = changes
        && let Some(change) = changes.recv().await
    {
        return change;
    }
    std::future::pending().await
}

/// Logs what has changed in the database's brokers.
fn tell_table(plan: &Plan, hints: &[String]) {
    let Plan { added, changed, removed, .. } = plan;
    if added.len() + changed.len() + removed.len() > NAMES_MAX {
        let (added, changed, removed) = (added.len(), changed.len(), removed.len());
        tracing::info!(added, changed, removed, "brokers of the database have changed");
    } else if !plan.is_empty() {
        let changed: Vec<_> = changed.iter().map(|(broker, _)| broker).collect();
        tracing::info!(?added, ?changed, ?removed, "brokers of the database have changed");
    }
    hints.iter().take(NAMES_MAX).for_each(|hint| tracing::info!("{hint}"));
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
