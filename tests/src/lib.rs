//! The harness of Loadline's scenarios: the real binary in a process of its own, brokers that listen on real sockets,
//! generated events, and an oracle that knows who must have been given what.
//!
//! A scenario is blocking code: everything asynchronous runs on one runtime behind it. Every wait has an end
//! ([`PATIENCE`]) after which the scenario fails with what the process said; no scenario asserts how long anything
//! takes.

// A harness fails as a test fails: by panicking, with the words a person needs.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod address;
mod asking_tms;
mod authority;
mod binary;
mod browser;
mod fleet;
mod kafka;
mod oracle;
mod postgres;
mod process;
mod producer;
mod rule_receiver;
mod runtime;
mod site;
mod summary;

pub use address::{silent_address, unreachable_address};
pub use asking_tms::{AskingTms, Reply, Request};
pub use authority::{Authority, Signed};
pub use binary::loadline;
pub use browser::Browser;
pub use fleet::{Arrival, Fleet, Tms};
pub use kafka::{KafkaCluster, KafkaRecord, KafkaTopic, Listener, Transaction};
pub use lab::traffic::{Events, ShipmentEvent, lines};
pub use oracle::{DeliveryCounts, Oracle, Wants};
pub use postgres::Postgres;
pub use process::{Ended, Loadline};
pub use producer::{PostReply, Producer, beside};
pub use rule_receiver::{FixedReceiver, Post, RuleReceiver};
pub use runtime::{PATIENCE, now, pause, skipped, until};
pub use site::Site;
pub use summary::{DeadLetter, PossibleRepeats, Summary};
