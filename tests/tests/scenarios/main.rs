//! Loadline's promises as scenarios: the real binary in its own process, real sockets, a real store, real signals.
//! Each module is one situation; the harness and its oracle are this package's library.

// A scenario fails by panicking.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod access_tokens;
mod admin;
mod answers;
mod audits;
mod backpressure;
mod bad_input;
mod bad_loads;
mod batches;
mod bench;
mod broker_membership;
mod clock_steps;
mod concurrent_posts;
mod credentials;
mod damaged_state;
mod dead_letters;
mod event_shapes;
mod exactly_once;
mod full_disk;
mod full_queue;
mod http_intake;
mod isolation;
mod killed;
mod late_answers;
mod memory;
mod operator_messages;
mod partition_transfer;
mod quota;
mod refusals;
mod rehearsals;
mod reload;
mod replays;
mod reused_ids;
mod rotation;
mod rotation_torture;
mod status_410;
mod stdin;
mod stopping;
mod traces;
mod trying;
mod unknown_outcomes;
