//! What is asked of the ledger thread, and the proof that it answers with.

use tokio::sync::oneshot;

use crate::{dead_letter::DeadLetter, fault::StateFault, record::Record};

/// Proof that a verdict is recorded durably, here and, where its partition's state follows it, in the log outside. Only
/// the ledger makes one; settling a ticket requires it.
#[derive(Debug)]
#[must_use = "a proof that settles nothing leaves an offset open"]
pub struct Recorded(());

impl Recorded {
    /// For an outcome that is durable already, such as a duplicate's first one.
    pub(crate) fn already_durable() -> Self {
        Self(())
    }
}

pub(crate) type Reply = oneshot::Sender<Result<Recorded, StateFault>>;

/// Records that are written together, and whom to answer.
#[derive(Debug)]
pub(crate) struct CommitRequest {
    pub(crate) records: Records,
    pub(crate) reply: Reply,
}

/// Usually one record; several are a batch with one proof.
#[derive(Debug)]
pub(crate) enum Records {
    One(Record),
    Many(Vec<Record>),
}

impl Records {
    /// The dead letters among them.
    pub(crate) fn letters(&self) -> impl Iterator<Item = &DeadLetter> {
        self.as_slice().iter().filter_map(Record::letter)
    }

    pub(crate) fn as_slice(&self) -> &[Record] {
        match self {
            Self::One(record) => std::slice::from_ref(record),
            Self::Many(many) => many,
        }
    }
}
