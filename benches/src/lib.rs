//! What the benchmarks share: a seeded corpus of events, and a receiver that does nothing but answer.

pub mod corpus;
pub mod receiver;
