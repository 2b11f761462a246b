//! A seeded simulation of the whole line on one thread, in simulated time.
//!
//! A single process ([`Kind::Process`]), or several members of a Kafka group ([`Kind::Group`]).
//!
//! Real: the chain (decode, validate, route, the brokers' queues, dedupe, throttle, retry, ack), tickets and watermark,
//! the ledger's order of writes, the state directory's logic, the attempts journal, what a start makes of what it finds.
//! Simulated: time, the source, the receivers, and the disk, which at a crash loses any suffix of its unflushed writes.
//!
//! A seed decides everything: the log, the brokers, the bounds, the receivers' troubles, when each process dies, and what
//! the disk keeps. The same seed takes the same steps.

mod campaign;
mod chain;
mod checks;
mod draw;
mod group;
mod life;
mod log;
mod operators;
mod plan;
mod planted;
mod process;
mod receivers;
mod simulate;
mod source;
mod trace;
mod violation;
mod watch;
mod world;

pub use campaign::{Summary, campaign};
pub use planted::Planted;
pub use simulate::{Kind, Outcome, plan, simulate, traced};
pub use violation::{Promise, Violation};
