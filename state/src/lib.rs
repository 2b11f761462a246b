//! What Loadline stores, in an embedded sled database: what each broker has been given, what waits, what failed, how
//! far each source has been settled, and what producers have posted. Knows no HTTP and no broker's URL.

pub mod answer;
mod appends;
mod attempt;
mod brokers;
mod buckets;
mod checkpoint;
mod claims;
mod clock;
mod clock_reading;
#[cfg(test)]
mod clock_tests;
mod codec;
mod commit;
mod commit_marker;
mod commit_request;
mod dangling;
mod dead_letter;
mod dead_letter_order;
mod dead_letters;
mod directory_copy;
mod durability;
mod envelope;
mod event;
mod fault;
#[cfg(test)]
mod fault_tests;
mod filter_warmup;
mod followed;
mod following;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod histogram;
mod in_doubt;
mod intake;
mod intake_log;
mod intake_place;
mod integrity;
#[cfg(test)]
mod integrity_tests;
mod journal;
mod journal_file;
mod key_filter;
mod ledger;
mod ledger_status;
mod left_open;
mod monotonic;
mod opening;
mod outcome;
mod overtaken;
mod ownership;
mod partition_log;
mod partition_transfer;
mod parts;
#[cfg(test)]
mod parts_tests;
mod permissions;
mod position;
mod readable_entries;
mod record;
mod salvage;
mod simulated_log;
mod source_files;
mod sources;
mod spill;
mod spilled;
mod state_check;
mod storage;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod text;
pub mod timestamp;
mod trace_parent;
mod tree_digest;
mod trees;
mod unfinished_letters;
mod unresolved;
#[cfg(test)]
mod upgrade_tests;
mod watchdog;

pub use attempt::{ANSWERS_MAX, FailedAttempt, HISTORY_MAX, History, Unclear};
pub use brokers::{Brokers, Disabled, Paused};
pub use checkpoint::{Checkpoint, Horizon, MARK_MAX};
pub use claims::Claim;
pub use clock::{Clock, KeptClock, Steps, UnixMillis};
pub use commit::{CommitOptions, CommitStats, LedgerThread};
pub use commit_request::Recorded;
pub use dangling::MissingDelivery;
pub use dead_letter::{DeadLetter, QUEUE_FULL, StageName};
pub use dead_letters::{DeadCounts, DeadLetters, RecordedLetter};
pub use durability::Durability;
pub use event::{BodyDigest, Event};
pub use fault::StateFault;
pub use followed::Waiting;
pub use histogram::{BUCKETS, Histogram, Latency};
pub use intake::{EmbeddedLog, IntakeOptions, IntakeRefusal};
pub use intake_log::{IntakePost, IntakeRecord};
pub use intake_place::IntakePlace;
pub use journal::Mark;
pub use ledger::Ledger;
pub use ledger_status::LedgerStatus;
pub use left_open::LeftOpen;
pub use outcome::{LedgerEntry, LedgerKey, Outcome};
pub use overtaken::{Newer, Overtaken};
pub use ownership::{Owner, Ownership};
pub use partition_log::{Appended, PartitionChange, PartitionLog, PartitionLogFault, Restored};
pub use partition_transfer::{ImportRules, PartitionTransfer, TransferFault};
pub use position::Position;
pub use record::{Origin, Record};
pub use simulated_log::{LogMember, SimulatedLog};
pub use source_files::{FileLoss, FileRecord, KnownFile, SourceDirectory, SourceFiles};
pub use sources::Sources;
pub use spill::{Spill, SpillUsage};
pub use spilled::{SpillRef, SpillSeq, SpilledDelivery};
pub use state_check::StateCheck;
pub use storage::{Crash, SimulatedDisk};
pub use store::{Store, StoreOptions};
pub use text::{Escaped, Word, is_unprintable};
pub use trace_parent::TraceParent;
