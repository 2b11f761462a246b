//! The payloads that flow through the stages, one file each, in the order in which a record meets them.

mod attempt;
mod delivery;
mod failure;
mod ordinal;
mod raw;
mod run_state;
mod shipment;
mod verdict;

pub use attempt::Attempt;
pub use delivery::{Delivery, Fresh, Permitted, Receipt};
pub use failure::{Failure, FailureKind};
pub use ordinal::Ordinal;
pub use raw::{RawRecord, Unreadable};
pub use run_state::{Leftover, RunState};
pub use shipment::{ShipmentEvent, ValidEvent};
pub use verdict::{Exit, Fault, Rejection, Step, Undeliverable, Verdict};
