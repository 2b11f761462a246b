//! The surge simulator: a profile enters; the same traffic is sent through the legacy model and through Loadline, both
//! in processes of their own, against the same simulated brokers; what leaves is a report of what each broker saw,
//! judged by an oracle that believes neither of them.
//!
//! ```text
//! profile -> traffic -> log -> system (legacy | loadline) -> brokers' receivers -> evidence -> oracle -> report
//! ```

mod body;
pub mod evidence;
pub mod figures;
pub mod generate;
pub mod live;
pub mod oracle;
pub mod play;
pub mod post;
pub mod profile;
pub mod publish;
pub mod report;
pub mod run;
pub mod sample;
pub mod sighting;
pub mod stage;
pub mod stalls;
pub mod system;
pub mod target;
pub mod topic;
pub mod traffic;
pub mod witness;

use std::time::Duration;

/// From how many milliseconds on a record that is due and not appended is worth a word: a second is beyond anything
/// that ticks, batches and a busy machine make of it.
const LATE_MS: u64 = 1_000;

/// A time of a run in whole milliseconds, the unit of everything that is kept of one.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
