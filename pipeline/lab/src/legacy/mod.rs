//! The legacy delivery service of INC-4471 as a model: it reads a log that grows, posts to brokers and reports its progress.
//! It is wrong on purpose, in the ways in which the service was wrong; the surge simulator runs it beside Loadline. The
//! model itself stops promptly in any state, and what it holds is bounded.
//!
//! ```text
//! log -> partitions -> consumers, each: parse -> look up -> post, post, post -> (any error: all of it again)
//!             ^ committed every so often, whatever became of it
//! ```
//!
//! What is known of the service, by the record of the incident (its account of the service, and the faults 1 to 11
//! that a careful reader of its code found), and where it is modelled:
//!
//! | the record | what it says | here |
//! |---|---|---|
//! | account | one function a message: parse as JSON, query the load's subscriptions, then for each broker in turn await a POST of the payload with a timeout of 5 s | `service.rs` |
//! | account, 2, 3 | on any error a line is logged and the whole function called again for the same message: at once, from the first broker on, without limit, backoff, jitter or giving up | the loop in `service.rs` |
//! | 1 | a message read twice is posted twice; nothing on the wire lets the receiver tell | `service.rs`: a content type and no other header; `group.rs` keeps no memory but offsets |
//! | 4 | a slow broker holds the brokers after it, and the partition | `service.rs` awaits one POST after the other, `consumer.rs` one message after the other |
//! | 5 | a query for every message, on the hot path | `query`, paid by each attempt anew |
//! | 6 | the parse stands outside any error handling: one malformed message stops or loops the consumer | `event.rs`; the crash and the restart in `consumer.rs` and `group.rs` |
//! | 7 | nothing is recorded | no ledger, no dead letters; counters for the reports only |
//! | 8 | no rate limit, no respect for 429 and Retry-After, no breaker, no cap on concurrency | `service.rs`: a 429 is an error like any other |
//! | 9 | unsigned; response body and redirects untreated; logs without structure or ids | `service.rs` |
//! | 10 | offsets are committed with no relation to what was delivered | `group.rs`: on a timer, the place after the message being handled |
//! | 11 | more consumers are more load on the same endpoints, and a rebalance replays what is not committed | `run.rs`: all stop, and all partitions go on at what is committed |
//!
//! The log is a file, over which `group.rs` simulates the group; or a topic of a real cluster, and each consumer a process
//! (`topic.rs`).
//!
//! # What is simplified
//!
//! Where the record leaves a choice, the model takes the one that is kinder to the service:
//!
//! - A message is posted as it stands in the log, not parsed and written again; Loadline's promise of intact bytes is
//!   not held against it.
//! - A scale-out is one rebalance, not one for each consumer that joins; the consumers that were there stop handling
//!   at once, where real ones would go on beside their successors and deliver twice.
//! - A crash stops the one consumer, not the group, and costs no rebalance. After `poison_max` crashes at one message
//!   the group is moved past it, as an operator would do by hand.
//! - A consumer takes the oldest message of its partitions, not a batch of one partition and then of the next, so that
//!   no partition waits for another. Fetching costs nothing.
//! - Connections are kept, and shared by all consumers.
//! - The recursion (fault 3) is a loop that counts: the stack it grew is left out. So are the injection through the SQL
//!   text (fault 5) and a database that gets slower under load: `query` is always the same.
//! - Responses are read and dropped, not kept.
//! - It can keep a log of deliveries, so that an audit has one; the service's own log had no ids.
//! - It posts to loopback only: URLs unchecked (fault 9) are nothing to try out on others.
//! - The subscriptions are those of Loadline's config, its filter by status included, so that both owe the same.
//!
//! Two choices are not kind: JSON that nests deeper than 128 levels counts as malformed, and a record is cut at 1 MiB,
//! the largest a Kafka log takes by default. No traffic of the simulator comes near either.

mod assign;
mod broker;
mod config;
mod consumer;
mod event;
mod fault;
mod group;
mod order;
mod partition;
mod progress;
mod read;
mod run;
mod service;
#[cfg(test)]
mod tests;
mod topic;

pub use broker::{All, LegacyBroker, Loads};
pub use config::{LegacyConfig, LegacyConfigFault, MEMBERS_MAX};
pub use fault::LegacyFault;
pub use order::{Order, OrderFault};
pub use progress::Progress;
pub use run::run;
pub use topic::LegacyTopic;
