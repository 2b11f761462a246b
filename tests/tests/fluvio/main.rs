//! A topic of a Fluvio cluster as the source: with the cluster away, and with a real one.
//!
//! Those that need one run when `LOADLINE_TEST_FLUVIO` is the public address of a controller, and say that they were
//! skipped when it is not. Those that stop a part of it also need `LOADLINE_TEST_FLUVIO_SPU` or `LOADLINE_TEST_FLUVIO_SC`:
//! a shell command that is run with one more word, `kill`, `start`, `pause` or `resume`. See docs/testing.md.

// What a scenario needs fails as the scenario does.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod bad_batches;
mod cluster;
mod cluster_failures;
mod dead_topic;
mod logs;
mod no_cluster;
mod partition_transfer;
mod recreated_topic;
mod surge;
mod tls;
mod topic;
mod volume;
