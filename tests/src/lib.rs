//! The harness of Loadline's scenarios: the real binary in a process of its own, brokers that listen on real sockets,
//! generated events, and an oracle that knows who must have been given what.
//!
//! A scenario is blocking code: everything asynchronous runs on one runtime behind it. Every wait has an end
//! ([`PATIENCE`]) after which the scenario fails with what the process said; no scenario asserts how long anything
//! takes.

// A harness fails as a test fails: by panicking, with the words a person needs.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod binary;
mod browser;
mod events;
mod fleet;
mod oracle;
mod peer;
mod picky;
mod process;
mod producer;
mod runtime;
mod site;
mod summary;

pub use binary::loadline;
pub use browser::Browser;
pub use events::{Events, ShipmentEvent, lines};
pub use fleet::{Arrival, Fleet, Tms};
pub use oracle::{Given, Oracle, Wants};
pub use peer::{Peer, Post};
pub use picky::{Answer, Picky};
pub use process::{Ended, Loadline};
pub use producer::{Producer, Told, beside};
pub use runtime::{PATIENCE, now, pause, skipped, until};
pub use site::Site;
pub use summary::{DeadLetter, PossibleRepeats, Summary};
