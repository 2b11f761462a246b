//! What Loadline remembers, in an embedded sled store: who has been given what, what waits, what failed, and how far
//! each source has been settled. Knows no HTTP and no broker's URL.

mod attempt;
mod clock;
mod dead;
mod event;
mod fault;
mod outcome;
mod position;
mod spilled;

pub use attempt::{FailedAttempt, HISTORY_MAX, History};
pub use clock::{Clock, UnixMillis};
pub use dead::{DeadLetter, StageName};
pub use event::{BodyDigest, Event};
pub use fault::StateFault;
pub use outcome::{LedgerEntry, Outcome};
pub use position::Position;
pub use spilled::{SpillSeq, SpilledDelivery};
