//! Loadline's promises as scenarios: the real binary in its own process, real sockets, a real store, real signals.
//! Each module is one situation; the harness and its oracle are this package's library.

// A scenario fails by panicking.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod admin;
mod backpressure;
mod bad_input;
mod bad_loads;
mod bench;
mod clocks;
mod comings;
mod conflicts;
mod damaged;
mod dead_letters;
mod exactly_once;
mod full_disk;
mod full_queue;
mod gone;
mod http_intake;
mod in_between;
mod isolation;
mod killed;
mod memory;
mod moves;
mod posters;
mod quota;
mod refusals;
mod reload;
mod repeats;
mod replays;
mod rotation;
mod rotation_torture;
mod stdin;
mod stopping;
mod told;
mod traces;
