//! What Loadline remembers, in an embedded sled store: who has been given what, what waits, what failed, how far each
//! source has been settled, and what producers have handed over. Knows no HTTP and no broker's URL.

mod access;
mod account;
#[cfg(test)]
mod account_tests;
mod attempt;
mod brokers;
mod buckets;
mod checkpoint;
mod claims;
mod clock;
#[cfg(test)]
mod clock_tests;
mod codec;
mod commit;
mod copy;
mod custody;
mod dangling;
mod dead;
mod dead_letters;
mod dead_order;
mod doubt;
mod durability;
mod envelope;
mod event;
mod fault;
#[cfg(test)]
mod fault_tests;
mod files;
mod guard;
mod hand_over;
mod histogram;
mod intake;
mod intake_log;
mod intake_place;
mod journal;
mod journal_file;
mod learn;
mod ledger;
mod lived;
mod outcome;
mod parts;
#[cfg(test)]
mod parts_tests;
mod position;
mod pulse;
mod reading;
mod record;
mod salvage;
mod seal;
mod seen;
mod sources;
mod spill;
mod spilled;
mod store;
mod survey;
mod table;
mod tally;
#[cfg(test)]
mod tests;
mod text;
mod trace_parent;
mod unresolved;
#[cfg(test)]
mod upgrade_tests;
mod watchdog;

pub use attempt::{FailedAttempt, HISTORY_MAX, History, Unclear};
pub use brokers::{Brokers, Disabled, Paused};
pub use checkpoint::{Checkpoint, Horizon, MARK_MAX};
pub use claims::Claim;
pub use clock::{Clock, KeptClock, Steps, UnixMillis};
pub use commit::{CommitOptions, CommitStats, LedgerThread, Recorded};
pub use custody::{Custody, Holding};
pub use dangling::Missing;
pub use dead::{DeadLetter, QUEUE_FULL, StageName};
pub use dead_letters::{DeadCounts, DeadLetters, RecordedLetter};
pub use durability::Durability;
pub use event::{BodyDigest, Event};
pub use fault::StateFault;
pub use files::{FileLoss, FileRecord, Home, MetFile, SourceFiles};
pub use hand_over::{Arrival, HandOver, HandOverFault};
pub use histogram::{BUCKETS, Histogram, Latency};
pub use intake::{EmbeddedLog, IntakeOptions, IntakeRefusal};
pub use intake_log::{IntakePost, IntakeRecord};
pub use intake_place::IntakePlace;
pub use journal::Mark;
pub use ledger::Ledger;
pub use outcome::{LedgerEntry, LedgerKey, Outcome};
pub use position::Position;
pub use pulse::Pulse;
pub use record::{Record, SpillRef};
pub use sources::Sources;
pub use spill::{Spill, SpillUsage};
pub use spilled::{SpillSeq, SpilledDelivery};
pub use store::{Store, StoreOptions};
pub use survey::Survey;
pub use text::{Fit, Word, is_unfit};
pub use trace_parent::TraceParent;
