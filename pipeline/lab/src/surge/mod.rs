//! The surge simulator: the same traffic is sent through the legacy model and through Loadline, both in processes of their
//! own, against the same simulated brokers. The report says what each broker saw, judged by an oracle that believes
//! neither of them.
//!
//! ```text
//! profile -> traffic -> log -> system (legacy | loadline) -> brokers' receivers -> evidence -> oracle -> report
//! ```

pub mod fault;
pub mod figures;
pub mod group_run;
pub mod live;
pub mod run;
pub mod runner;
pub mod sample;
pub mod system;
pub mod target;
