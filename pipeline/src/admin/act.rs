//! What an operator does to a broker: put on record first, then in force. The same in a running process and in a state
//! directory without one, so that it survives a restart either way.

use std::sync::Arc;

use stages::{HealthState, models::Broker};
use state::{Clock, Disabled, Ledger, Paused, Record, StateFault, Store};
use tokio::time::Instant;

/// Why a broker is disabled if an operator did it.
const BY_OPERATOR: &str = "disabled by an operator";

/// What is done to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing is sent; what comes for it waits.
    Pause,
    /// It is sent again, what waited first.
    Resume,
    /// Nothing is sent; what comes for it, and what waits, becomes dead letters.
    Disable,
    /// It is sent again.
    Enable,
}

impl Act {
    /// The act of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        [Self::Pause, Self::Resume, Self::Disable, Self::Enable].into_iter().find(|act| act.as_str() == name)
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

    fn record(self, broker: Arc<str>) -> Record {
        match self {
            Self::Pause => Record::Paused(broker, Some(paused())),
            Self::Resume => Record::Paused(broker, None),
            Self::Disable => Record::Disabled(broker, Some(disabled())),
            Self::Enable => Record::Disabled(broker, None),
        }
    }
}

/// Carries it out in a running line; what the broker's state is then. Its shard sees it within a tenth of a second
/// if there is anything for the broker, and with its next arrival otherwise.
pub(super) async fn on_running(
    ledger: &Ledger,
    broker: &Broker,
    act: Act,
) -> Result<HealthState, StateFault> {
    let _proof = ledger.record(act.record(broker.id.clone())).await?;
    match act {
        Act::Pause => broker.health.set_paused(true),
        Act::Resume => broker.health.set_paused(false),
        Act::Disable => broker.disabled_before(BY_OPERATOR.to_owned()),
        Act::Enable => broker.enable(),
    }
    tracing::warn!(broker = %broker.id, act = act.as_str(), "an operator has changed a broker");
    Ok(broker.health.state(Instant::now()))
}

fn paused() -> Paused {
    Paused { since: Clock::System.now() }
}

fn disabled() -> Disabled {
    Disabled { since: Clock::System.now(), reason: BY_OPERATOR.to_owned() }
}
