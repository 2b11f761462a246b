//! One shard: a thread's share of the brokers. Deliveries arrive from the intake in log order, go through the stages one
//! at a time per (broker, load) and many at once otherwise, and are settled once their verdict is on record.
//!
//! `core` decides, `driver` carries out; `step` is what they say to each other. Everything but `driver`, `env`, `perform`
//! and `attempt` is the core: it neither waits nor asks for the time.

mod at;
mod attempt;
mod broker_queue;
mod completion_rate;
mod core;
mod deferred;
mod driver;
mod env;
mod events;
mod gauges;
mod give_up;
mod giving_up;
mod leaving;
mod leaving_queue;
mod load_queues;
#[cfg(test)]
mod model;
mod moving;
mod perform;
#[cfg(test)]
mod purity_tests;
mod put_back;
mod reading;
mod shutdown_phase;
mod spill_batch;
mod spill_index;
mod state_log;
mod step;
mod tick;
mod timers;

#[cfg(test)]
pub(crate) use at::At;
pub(crate) use broker_queue::BrokerQueue;
pub(crate) use deferred::Listed;
pub(crate) use driver::{Driver, ShardReport};
#[cfg(test)]
pub(crate) use env::Pressure;
#[cfg(test)]
pub(crate) use load_queues::{Backing, Item};
pub(crate) use reading::Wanted;
pub(crate) use spill_index::SpillIndex;
pub(crate) use step::{Arrival, ReadAsked};
