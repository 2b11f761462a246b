//! What `loadline demo` shows: the brokers that take part, the oracle's judgement of what they got, and the table at the end.
//! It holds no line of its own.

mod brokers;
mod judge;
mod report;

pub use brokers::{DemoBroker, Loads, brokers};
pub use judge::{BrokerTally, DemoJudge, Outcome};
pub use report::write_report;
