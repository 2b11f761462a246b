//! What `loadline demo` shows: the brokers that take part, and the table at the end. It holds no line of its own.

mod brokers;
mod expect;
mod report;

pub use brokers::{DemoBroker, Loads, brokers};
pub use expect::expected;
pub use report::{BrokerTally, write_report};
