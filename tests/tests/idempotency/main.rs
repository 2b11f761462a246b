//! Idempotency schemes that look right and are not, each as a small model: a delivery loop reads a log of events, a
//! few model brokers take what it sends, and the lab's oracle judges what they saw. Time is simulated,
//! and a process dies, a consumer group changes or a log is read again exactly where a test says.
//!
//! Each scheme passes the oracle while nothing happens, so it looks right; and each is then shown the one thing it
//! cannot bear. `docs/idempotency.md` tells the same for people and quotes the oracle's words.

// A model fails by panicking.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod document;
mod drive;
mod log;
mod schemes;
mod store;
mod verdict;
mod world;
