//! Why a run fails.

use state::{LedgerStatus, StateFault};

use crate::{admin::AdminFault, assemble::AssembleFault, group::JoinFault};
use fluvio_engine::TopicFault;
use kafka_engine::KafkaFault;
use line::{LineFault, SourceFault};
use sources::ReadFault;
use subscriptions::DatabaseFault;

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunFault {
    /// A part could not be made.
    #[error(transparent)]
    Assemble(#[from] AssembleFault),
    /// The admin endpoint could not be started.
    #[error(transparent)]
    Admin(#[from] AdminFault),
    /// The line stopped.
    #[error(transparent)]
    Line(#[from] LineFault),
    /// The database of subscriptions cannot be used as the config says.
    #[error("the database of subscriptions: {0}")]
    Database(#[from] DatabaseFault),
    /// The source could not be opened.
    #[error(transparent)]
    Source(#[from] SourceFault),
    /// The state failed at the end.
    #[error(transparent)]
    State(#[from] StateFault),
}

impl From<ReadFault> for RunFault {
    fn from(fault: ReadFault) -> Self {
        Self::Source(fault.into())
    }
}

impl From<JoinFault> for RunFault {
    fn from(fault: JoinFault) -> Self {
        match fault {
            JoinFault::Topic(fault) => Self::Source(fault.into()),
            JoinFault::State(fault) => Self::State(fault),
        }
    }
}

impl From<KafkaFault> for RunFault {
    fn from(fault: KafkaFault) -> Self {
        Self::Source(fault.into())
    }
}

impl From<TopicFault> for RunFault {
    fn from(fault: TopicFault) -> Self {
        Self::Source(fault.into())
    }
}

impl RunFault {
    /// The fault of the state, if it is one.
    pub(super) fn of_state(&self) -> Option<&StateFault> {
        match self {
            Self::State(fault)
            | Self::Line(LineFault::State(fault) | LineFault::Source(SourceFault::State(fault)))
            | Self::Source(SourceFault::State(fault))
            | Self::Assemble(AssembleFault::State(fault)) => Some(fault),
            Self::Assemble(_) | Self::Admin(_) | Self::Line(_) | Self::Database(_) | Self::Source(_) => None,
        }
    }

    /// The first cause: a closed ledger is only the consequence of an earlier fault.
    pub(super) fn caused_by(self, ledger_status: &LedgerStatus) -> Self {
        match (self.of_state(), ledger_status.fault()) {
            (Some(StateFault::Closed), Some(first)) => Self::State(first),
            _ => self,
        }
    }
}
