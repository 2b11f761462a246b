//! What flows: one file per payload, in the order in which a record meets them.

mod attempt;
mod broker;
mod delivery;
mod progress;
mod raw;
mod shipment;
mod terms;
mod verdict;

pub use attempt::{Attempt, Failure, FailureKind};
pub use broker::Broker;
pub use delivery::{Delivery, Fresh, Ordinal, Permitted, Receipt};
pub use progress::Progress;
pub use raw::RawRecord;
pub use shipment::{ShipmentEvent, ValidEvent};
pub use terms::{LoadFilter, Subscription, Terms, WhenFull};
pub use verdict::{Exit, Fault, Rejection, Step, Undeliverable, Verdict};
