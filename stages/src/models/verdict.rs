//! How a payload leaves the chain early: with a verdict, which is about the event and is recorded, or with a fault,
//! which is about Loadline and stops the line.

use std::fmt;

use state::{BodyDigest, History, Outcome, QUEUE_FULL, StageName, StateFault};
use tokio::time::Instant;

/// The result of a stage: the next payload, or an exit.
pub type Step<T> = Result<T, Exit>;

/// An early end of a chain of stages.
#[derive(Debug)]
pub enum Exit {
    /// The event or delivery ends here, or must wait; this is recorded.
    Verdict(Verdict),
    /// Loadline itself is broken; the line stops and the offset stays open.
    Fault(Fault),
}

/// The verdict on a record or on one of its deliveries.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The broker took it.
    Delivered {
        /// How many attempts failed before the one that succeeded.
        failed_attempts: u32,
    },
    /// The broker has been given this event before, or its dead letter or spilled delivery stands for it.
    Duplicate {
        /// The outcome of the first.
        of: Outcome,
    },
    /// The record is not an event Loadline can deliver.
    Rejected(Box<Rejection>),
    /// The delivery is a dead letter.
    Undeliverable {
        /// Why.
        why: Undeliverable,
        /// The attempts made.
        history: History,
    },
    /// The next attempt is too far away to wait in memory: the delivery goes to disk and is tried again.
    Spilled {
        /// The attempts made.
        history: History,
        /// Not before this time; none if only the broker's state holds it.
        not_before: Option<Instant>,
    },
    /// No broker subscribes to the event.
    Unrouted,
}

/// All that is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The stage that refused it: decode or validate.
    pub stage: StageName,
    /// The kind of reason, kebab-case, from a bounded set; the first one if there are several.
    pub cause: &'static str,
    /// Everything that is wrong, in words.
    pub detail: String,
    /// The event's id as far as it could be read.
    pub event_id: Option<String>,
    /// The load as far as it could be read.
    pub load_id: Option<String>,
    /// The status as far as it could be read.
    pub status: Option<String>,
}

/// Why a delivery became a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undeliverable {
    /// The same event id came before with another body.
    Conflict {
        /// The digest on record.
        recorded: BodyDigest,
    },
    /// The receiver refused it for good.
    Refused {
        /// The HTTP status of the refusal.
        status: u16,
    },
    /// The last attempt allowed has failed.
    AttemptsExhausted,
    /// It has waited longer than allowed.
    TooOld,
    /// Its broker's disk queue has no room for it.
    QueueFull,
    /// The broker is disabled: it answered 410, or an operator said so.
    BrokerDisabled,
    /// The endpoint's address is in a network the config does not allow.
    AddressRefused,
    /// It cannot be put into the request that its broker asks for.
    Unsendable {
        /// Why not, in words.
        why: String,
    },
}

impl Undeliverable {
    /// The kebab-case cause, as in dead letters and metrics.
    #[must_use]
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "conflict",
            Self::Refused { .. } => "refused",
            Self::AttemptsExhausted => "attempts-exhausted",
            Self::TooOld => "too-old",
            Self::QueueFull => QUEUE_FULL,
            Self::BrokerDisabled => "broker-disabled",
            Self::AddressRefused => "address-refused",
            Self::Unsendable { .. } => "unsendable",
        }
    }
}

impl fmt::Display for Undeliverable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict { .. } => f.write_str("the same event id came before with another body"),
            Self::Refused { status: 0 } => {
                f.write_str("the receiver's answer has more headers than are read: it may have taken it")
            }
            Self::Refused { status } => write!(f, "the receiver refused it for good with status {status}"),
            Self::AttemptsExhausted => f.write_str("the last attempt allowed has failed"),
            Self::TooOld => f.write_str("it has waited longer than allowed"),
            Self::QueueFull => f.write_str("the broker's disk queue was full"),
            Self::BrokerDisabled => f.write_str("the broker is disabled"),
            Self::AddressRefused => {
                f.write_str("the endpoint's address is in a network the config does not allow")
            }
            Self::Unsendable { why } => {
                write!(f, "it cannot be put into the request that its broker asks for: {why}")
            }
        }
    }
}

/// What stops the line.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The state directory failed.
    #[error(transparent)]
    State(#[from] StateFault),
}
