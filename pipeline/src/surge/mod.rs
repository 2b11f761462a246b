//! The surge simulator: a profile enters; the same traffic is sent through the legacy model and through Loadline, both
//! in processes of their own, against the same simulated brokers; what leaves is a report of what each broker saw,
//! judged by an oracle that believes neither of them.
//!
//! ```text
//! profile -> traffic -> log -> system (legacy | loadline) -> brokers' receivers -> evidence -> oracle -> report
//! ```

pub mod evidence;
pub mod oracle;
pub mod report;
pub mod sighting;
pub mod traffic;
