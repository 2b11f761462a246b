//! A small TMS: what a broker runs behind its webhook, for trying Loadline out and for testing it.
//!
//! It answers signed POSTs; each event that was taken goes to a [`Recorder`], with whether the same `webhook-id` had been
//! taken before. Nothing is recorded as taken whose signature did not verify; every request is counted once; connections,
//! bodies, remembered ids and waits are bounded by [`Limits`].
//!
//! ```text
//! accept -> (refuse: no listener) -> (down: no answer) -> POST? size? -> signature -> limit -> plan -> record -> wait -> answer
//! ```
//!
//! The event is recorded before the wait, as in a real TMS: a client that gives up during the wait has lost the
//! answer, not the event.

mod answer_body;
mod arrivals;
mod behaviour;
mod connection;
mod control;
mod counts;
mod fleet;
mod handler;
mod keys;
pub mod lean;
mod limit;
mod lines;
mod recorder;
mod rule;
mod run;
mod script;
mod seen_ids;
mod serve;
mod taken;
#[cfg(test)]
mod tests;
mod toggle_listener;

pub use arrivals::{ArrivalStats, Arrivals};
pub use behaviour::{Availability, Behaviour, BehaviourError, LostAnswer, WAIT_MAX};
pub use control::Control;
pub use counts::Counts;
pub use fleet::{Fleet, FleetFault, ReceiverSpec, RunningFleet};
pub use keys::{KEYS_MAX, KeyError, Keys};
pub use limit::{LIMIT_RATE_MAX, RateLimit};
pub use lines::Style;
pub use recorder::{Journal, JournalEntry, Recorder};
pub use rule::{Post, Rule, RuleAnswer};
pub use run::{Options, RunError, run};
pub use script::{Phase, Script, play};
pub use serve::{Limits, Receiver, Running, SetupError};
pub use taken::{ID_BYTES_MAX, Peek, Refusal, Taken, Times};
pub use toggle_listener::BindError;
