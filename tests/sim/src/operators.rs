//! What operators do while a run is in trouble: they pause and disable brokers for a while, reload the config with brokers
//! added, removed or changed, and have dead letters sent again. What should have been done while no process ran is done
//! when the next one starts.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
    time::Duration,
};

use line::{LineHandle, Replay, Roster};
use stages::{Broker, Route, Subscriptions, models::Delivery};
use state::{Disabled, Ledger, LedgerKey, Outcome, Paused, Record};
use tokio::time::sleep;

use crate::{
    chain,
    checks::disk::{broker_id, broker_number},
    plan::BrokerPlan,
    planted::Planted,
    trace::Step,
    violation::Promise,
    world::{Broken, Phase, World, state_fault},
};

/// The operators of one run.
pub(crate) struct Operators<'w> {
    world: &'w World,
    ledger: Ledger,
    roster: Roster,
    route: Route,
    /// The line, once it runs.
    pub(crate) handle: Arc<OnceLock<LineHandle>>,
    /// Up to when reloads and replays have been done.
    done: u64,
}

impl<'w> Operators<'w> {
    pub(crate) fn new(world: &'w World, ledger: &Ledger, brokers: &[Arc<Broker>], route: &Route) -> Self {
        let (roster, done) = (Roster::new(brokers.to_vec()), world.state().now());
        let (ledger, route) = (ledger.clone(), route.clone());
        Self { world, ledger, roster, route, handle: Arc::default(), done }
    }

    /// Does what the plan says, until the run ends; returns only if it cannot be done.
    pub(crate) async fn operate(&mut self) -> Broken {
        loop {
            if let Err(broken) = self.act().await {
                return broken;
            }
            let (now, plan) = (self.world.state().now(), self.world.plan());
            let changes =
                plan.brokers.iter().flat_map(BrokerPlan::changes).chain(plan.replays.iter().copied());
            match changes.filter(|at| *at > now).min() {
                Some(next) => sleep(Duration::from_millis(next - now)).await,
                None => std::future::pending().await,
            }
        }
    }

    async fn act(&mut self) -> Result<(), Broken> {
        let now = self.world.state().now();
        let since = self.done..now + 1;
        self.done = now + 1;
        self.reload(&since).await?;
        for broker in self.roster.all() {
            self.change(&broker).await?;
        }
        if self.world.plan().replays.iter().any(|at| since.contains(at)) {
            self.replay().await?;
        }
        Ok(())
    }

    /// Brings the line to the config of now, as a reload does: new brokers first, then all at once.
    async fn reload(&self, since: &Range<u64>) -> Result<(), Broken> {
        let (world, plan) = (self.world, self.world.plan());
        let (listed, wanted) = {
            let state = world.state();
            (state.listed.clone(), state.to_be_listed(plan))
        };
        let changed: Vec<_> = wanted
            .iter()
            .filter(|broker| plan.brokers[**broker].reloads.iter().any(|at| since.contains(at)))
            .collect();
        if listed == wanted && changed.is_empty() {
            return Ok(());
        }
        // It is polled after the line, which has told by then.
        let Some(line) = self.handle.get() else { return Ok(()) };
        for number in &wanted {
            if self.roster.find(&broker_id(*number)).is_some() {
                continue;
            }
            let broker = chain::broker(world, *number, self.roster.known())?;
            let admitted = line.admit(broker.clone(), self.ledger.store()).await;
            if !admitted.map_err(|fault| (Promise::NoFault, fault.to_string()))? {
                return Ok(());
            }
            self.roster.know(&broker);
        }
        for number in changed {
            let Some(broker) = self.roster.find(&broker_id(*number)) else { continue };
            let terms = chain::terms(world, *number, Some(broker.quota()));
            broker.agree(terms.map_err(|error| (Promise::NoFault, error))?);
        }
        let named: Vec<_> =
            wanted.iter().filter_map(|number| self.roster.find(&broker_id(*number))).collect();
        if world.planted() != Some(Planted::ReloadUnrouted) {
            self.route.replace(Arc::new(Subscriptions::new(named.clone())));
        }
        line.share_among(named.len());
        self.roster.replace(named);
        world.serve(&self.roster.all());
        world.state().listed = wanted.clone();
        world.step(Step::Reloaded { listed: wanted.into_iter().collect() });
        Ok(())
    }

    /// Brings a broker into the state that the plan says.
    async fn change(&self, broker: &Broker) -> Result<(), Broken> {
        let (world, number) = (self.world, broker_number(&broker.id).unwrap_or(usize::MAX));
        let (now, phase) = {
            let state = world.state();
            (state.now(), state.phase)
        };
        let plan = &world.plan().brokers[number];
        let is_now =
            |times: &[Range<u64>]| phase == Phase::Trouble && times.iter().any(|times| times.contains(&now));
        let (paused, disabled) = (is_now(&plan.paused), is_now(&plan.disabled));
        if paused != broker.health.is_paused() {
            let record = Record::Paused(broker.id.clone(), paused.then_some(Paused { since: now }));
            self.record(record).await?;
            broker.health.set_paused(paused);
            let disabled = broker.health.is_disabled();
            world.step(Step::Operated { broker: number, paused, disabled });
        }
        // One that answers 410 is disabled by its own doing.
        if plan.gone_at.is_none() && disabled != broker.health.is_disabled() {
            let entry = disabled.then(|| Disabled { since: now, reason: "by an operator".to_owned() });
            self.record(Record::Disabled(broker.id.clone(), entry)).await?;
            if disabled {
                broker.mark_disabled("by an operator".to_owned());
            } else {
                broker.enable();
            }
            world.step(Step::Operated { broker: number, paused, disabled });
        }
        Ok(())
    }

    async fn record(&self, record: Record) -> Result<(), Broken> {
        let _proof = self.ledger.record(record).await.map_err(|fault| state_fault(&fault))?;
        Ok(())
    }

    /// Has those dead letters sent again that may be: of events for brokers of the config, which no later one of their load
    /// has passed.
    async fn replay(&self) -> Result<(), Broken> {
        let (world, store) = (self.world, self.ledger.store());
        let Some(line) = self.handle.get() else { return Ok(()) };
        let (mut replays, mut letters) = (Vec::new(), Vec::new());
        for letter in store.dead_letters().iter() {
            let letter = letter.map_err(|fault| state_fault(&fault))?;
            let listed = |id: &Arc<str>| self.roster.find(id).filter(|broker| !broker.is_leaving());
            let Some(broker) = letter.broker.as_ref().and_then(listed) else { continue };
            let Some(delivery) = Delivery::from_letter(&letter, broker.clone(), store.clock().monotonic())
            else {
                continue;
            };
            let key = LedgerKey::new(&broker.id, &delivery.event().event_id);
            let entry = store.look_up(&key).map_err(|fault| state_fault(&fault))?;
            let is_open = entry.is_some_and(|entry| {
                entry.outcome == Outcome::DeadLettered && entry.digest == delivery.event().digest
            });
            let passed = store.overtaken().of(&letter).map_err(|fault| state_fault(&fault))?;
            let number = world.plan().log.of_position(&letter.position);
            let (Some(number), true, None) = (number, is_open, passed) else { continue };
            letters.push((broker_number(&broker.id).unwrap_or(usize::MAX), number));
            replays.push(Replay { delivery, letter: Some(letter) });
        }
        for (broker, number) in &letters {
            world.state().wire.replayed(*broker, *number);
        }
        world.step(Step::Replayed { letters });
        if world.planted() == Some(Planted::ReplayForgotten) {
            for letter in replays.into_iter().filter_map(|replay| replay.letter) {
                self.record(Record::LetterRemoved(Box::new(letter))).await?;
            }
            return Ok(());
        }
        let placed = line.replay(replays).await;
        placed.map(drop).map_err(|fault| (Promise::NoFault, fault.to_string()))
    }
}
