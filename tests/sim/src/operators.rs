//! What operators do to brokers while a run is in trouble: they pause and disable them for a while. What should have been
//! done while no process ran is done when the next one starts.

use std::{sync::Arc, time::Duration};

use stages::Broker;
use state::{Disabled, Ledger, Paused, Record, StateFault};
use tokio::time::sleep;

use crate::{
    plan::BrokerPlan,
    trace::Step,
    world::{Broken, Phase, World, state_fault},
};

/// Does what the plan says, until the run ends; returns only if it cannot be put on record.
pub(crate) async fn operate(world: &World, ledger: &Ledger, brokers: &[Arc<Broker>]) -> Broken {
    loop {
        for broker in brokers {
            if let Err(fault) = change(world, ledger, broker).await {
                return state_fault(&fault);
            }
        }
        let now = world.state().now();
        let changes = world.plan().brokers.iter().flat_map(BrokerPlan::changes);
        match changes.filter(|at| *at > now).min() {
            Some(next) => sleep(Duration::from_millis(next - now)).await,
            None => std::future::pending().await,
        }
    }
}

/// Brings a broker into the state that the plan says.
async fn change(world: &World, ledger: &Ledger, broker: &Broker) -> Result<(), StateFault> {
    let (now, phase) = {
        let state = world.state();
        (state.now(), state.phase)
    };
    let plan = &world.plan().brokers[broker.ordinal];
    let is_now = |times: &[std::ops::Range<u64>]| {
        phase == Phase::Trouble && times.iter().any(|times| times.contains(&now))
    };
    let (paused, disabled) = (is_now(&plan.paused), is_now(&plan.disabled));
    if paused != broker.health.is_paused() {
        let record = Record::Paused(broker.id.clone(), paused.then_some(Paused { since: now }));
        let _proof = ledger.record(record).await?;
        broker.health.set_paused(paused);
        world.step(Step::Operated { broker: broker.ordinal, paused, disabled: broker.health.is_disabled() });
    }
    // One that answers 410 is disabled by its own doing.
    if plan.gone_at.is_none() && disabled != broker.health.is_disabled() {
        let entry = disabled.then(|| Disabled { since: now, reason: "by an operator".to_owned() });
        let _proof = ledger.record(Record::Disabled(broker.id.clone(), entry)).await?;
        if disabled {
            broker.mark_disabled("by an operator".to_owned());
        } else {
            broker.enable();
        }
        world.step(Step::Operated { broker: broker.ordinal, paused, disabled });
    }
    Ok(())
}
