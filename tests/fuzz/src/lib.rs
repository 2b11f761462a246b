//! Fuzz targets. Each takes any bytes and checks what must hold of them: the code that reads them accepts or refuses them,
//! without a panic, within its bounds, and what it accepts is what stood there.
//!
//! `cargo test -p fuzz` runs each target some thousand times over edits of its seeds in `corpus/`, with other random numbers
//! each time; a failure is made smaller and printed as the script of edits that repeats it ([`mutate`]).
//! `FUZZ_SECONDS=300 cargo test -p fuzz -- --nocapture` runs each for five minutes and prints how many inputs that were.
//!
//! Over proptest, which the workspace has anyway: bolero 0.13 would hold `indexmap` and `toml` at old versions for the
//! product too. The targets are plain functions of bytes, so a coverage-guided engine can drive them as they are.

#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "a target fails by a panic")]

mod config;
mod decode;
mod fluvio_batch;
mod http_body;
mod kafka_state;
mod mutate;
mod retry_after;
mod state_record;
mod state_transfer;

pub use config::config;
pub use decode::decode;
pub use fluvio_batch::fluvio_batch;
pub use http_body::{http_body, http_gzip};
pub use kafka_state::kafka_state;
pub use mutate::mutate;
pub use retry_after::retry_after;
pub use state_record::state_record;
pub use state_transfer::{exported, state_transfer};
