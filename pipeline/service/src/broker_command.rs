//! Pauses, resumes, disables and enables a broker: first recorded, then applied. The same in a running process and in
//! a state directory without one, so it survives a restart either way.

use std::sync::Arc;

use kafka_engine::follow::control::BrokerSet;
use stages::{Broker, HealthState};
use state::{Clock, Disabled, Ledger, Paused, Record, StateFault, Store};
use tokio::time::Instant;

/// The reason of a broker that an operator has disabled.
const BY_OPERATOR: &str = "disabled by an operator";

/// A command for a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerCommand {
    /// Nothing is sent; its deliveries wait.
    Pause,
    /// Deliveries are sent again, those that waited first.
    Resume,
    /// Nothing is sent; its deliveries, and those that wait, become dead letters.
    Disable,
    /// Deliveries are sent again.
    Enable,
}

impl BrokerCommand {
    /// The command of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        [Self::Pause, Self::Resume, Self::Disable, Self::Enable]
            .into_iter()
            .find(|command| command.as_str() == name)
    }

    /// Its name, as in the command and in the path.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Disable => "disable",
            Self::Enable => "enable",
        }
    }

    /// Carries it out in a state directory that no process has open.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn on_directory(self, store: &Store, broker: &str) -> Result<(), StateFault> {
        store.put_all(&[self.record(Arc::from(broker))])
    }

    /// The same, as a group is told.
    pub(crate) fn set_for_group(self) -> BrokerSet {
        match self {
            Self::Pause => BrokerSet::Paused(Some(paused())),
            Self::Resume => BrokerSet::Paused(None),
            Self::Disable => BrokerSet::Disabled(Some(disabled())),
            Self::Enable => BrokerSet::Disabled(None),
        }
    }

    fn record(self, broker: Arc<str>) -> Record {
        match self {
            Self::Pause => Record::Paused(broker, Some(paused())),
            Self::Resume => Record::Paused(broker, None),
            Self::Disable => Record::Disabled(broker, Some(disabled())),
            Self::Enable => Record::Disabled(broker, None),
        }
    }
}

/// Carries it out in a running line; returns the broker's new state. Its shard sees it within 100 ms if anything
/// waits for the broker, and otherwise with its next arrival.
pub(crate) async fn on_running(
    ledger: &Ledger,
    broker: &Broker,
    command: BrokerCommand,
) -> Result<HealthState, StateFault> {
    let _proof = ledger.record(command.record(broker.id.clone())).await?;
    match command {
        BrokerCommand::Pause => broker.health.set_paused(true),
        BrokerCommand::Resume => broker.health.set_paused(false),
        BrokerCommand::Disable => broker.mark_disabled(BY_OPERATOR.to_owned()),
        BrokerCommand::Enable => broker.enable(),
    }
    tracing::warn!(broker = %broker.id, command = command.as_str(), "a broker was changed by an operator");
    Ok(broker.health.state(Instant::now()))
}

fn paused() -> Paused {
    Paused { since: Clock::System.now() }
}

fn disabled() -> Disabled {
    Disabled { since: Clock::System.now(), reason: BY_OPERATOR.to_owned() }
}
