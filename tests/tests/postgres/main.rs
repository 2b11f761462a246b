//! A real PostgreSQL: what Loadline promises over brokers and subscriptions in a database, with rows that change while events
//! flow, a server that is killed, and load ids that are attacks.
//!
//! Servers are started by the tests, see [`tests::Postgres`].

// What a scenario needs fails as the scenario does.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod brokers;
mod commands;
mod hostile;
mod outages;
mod rows;
mod security;
mod seen;
mod world;
