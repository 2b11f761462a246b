//! A small TMS: what a broker runs behind its webhook, for trying Loadline out and for testing it.
//!
//! Signed POSTs enter, HTTP answers leave; each event that was taken goes to a [`Recorder`], with whether the same
//! `webhook-id` had been taken before. Guaranteed: nothing is recorded as taken whose signature did not verify; every
//! request is counted once; connections, bodies, remembered ids and waits are bounded by [`Limits`].
//!
//! ```text
//! accept -> (refuse: no listener) -> (down: no answer) -> POST? size? -> signature -> limit -> plan -> record -> wait -> answer
//! ```
//!
//! The event is recorded before the wait, as in a real TMS: a client that gives up during the wait has lost the
//! answer, not the event.

mod answer;
mod behaviour;
mod connection;
mod control;
mod counts;
mod door;
mod fleet;
mod keys;
mod limit;
mod lines;
mod recorder;
mod run;
mod script;
mod seen;
mod serve;
mod taken;
#[cfg(test)]
mod tests;

pub use behaviour::{Availability, Behaviour, BehaviourError, LostAnswer, WAIT_MAX};
pub use control::Control;
pub use counts::Counts;
pub use fleet::{Fleet, FleetFault, Part, RunningFleet};
pub use keys::{KEYS_MAX, KeyError, Keys};
pub use limit::{LIMIT_RATE_MAX, RateLimit};
pub use lines::Style;
pub use recorder::{Journal, JournalEntry, Recorder};
pub use run::{Options, RunError, run};
pub use script::{Phase, Script, play};
pub use serve::{BindError, Limits, Receiver, Running, SetupError};
pub use taken::{ID_BYTES_MAX, Peek, Refusal, Taken, Times};
