//! What the benchmarks share: a seeded corpus of events, the payloads and parts made of it, and receivers that do
//! nothing but answer.
//!
//! A part that cannot be made is a defect of the benchmark, so it ends the benchmark at once, with the reason.

pub mod brokers;
pub mod ledgers;
pub mod loopback;
pub mod payloads;
pub mod stub;

use std::fmt::Debug;

pub use lab::{receiver::lean, traffic::corpus};

/// What must be there for anything to be measured.
pub fn must<T, E: Debug>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => unreachable!("a benchmark is set up wrong: {error:?}"),
    }
}

/// Whether criterion was asked only to see that every benchmark runs (`-- --test`): what takes long to prepare is left
/// out then.
#[must_use]
pub fn is_test() -> bool {
    std::env::args().any(|argument| argument == "--test")
}
