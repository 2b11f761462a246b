//! What tries Loadline, one of each: a receiver that stands for a broker's TMS, traffic, processes and their configs, an
//! oracle that judges what the receivers saw, and reports; on them the surge simulator, the benchmarks, the demo and a
//! model of the service that Loadline replaces. No product crate knows this one.
//!
//! ```text
//! receiver   traffic   process
//!        \     |         |
//!         oracle      report          (the oracle knows nothing of the line)
//!              \      /
//!      surge  bench  demo  legacy
//! ```

pub mod bench;
mod delivery_log;
pub mod demo;
mod digest;
pub mod kafka;
pub mod legacy;
mod member_source;
pub mod oracle;
pub mod process;
pub mod receiver;
pub mod rehearsal;
pub mod report;
mod run_dir;
pub mod surge;
pub mod traffic;

pub use delivery_log::DeliveryLog;
pub use digest::BodyDigest;
pub use member_source::MemberSource;
pub use run_dir::{BrokerTable, RunDir};
