//! Finds what an incident has left in brokers' systems: events that were taken more than once, and loads that were set
//! back to an older status. It reads logs of deliveries of any size, and uses bounded memory.
//!
//! ```text
//! input -> rows -> reading -> sort (on disk) -> judge, load by load -> report, corrections
//!                                                         \-> sort by load -> correction events
//! ```
//!
//! `judge` is pure: deliveries in, findings out. Nothing here sends anything.

mod bad_lines;
mod columns;
mod combined;
mod corrections;
mod delivery;
mod events;
mod fault;
mod input;
mod judge;
mod loads;
mod progress;
mod reading;
mod report;
mod rows;
mod run;
mod sort;
mod status_order;
mod times;

pub use bad_lines::{BAD_LINES_KEPT, BadLine};
pub use columns::{Column, Columns};
pub use delivery::{Delivery, Outcome};
pub use fault::AuditFault;
pub use input::Input;
pub use judge::{Basis, Duplicate, LoadFinding, Setback, State, Time, judge};
pub use progress::{Phase, Progress};
pub use reading::Counts;
pub use report::{BrokerReport, DuplicateExample, Report, SHOWN, TIMES_SHOWN};
pub use rows::Form;
pub use run::{MEMORY_MIN, Options, audit};
pub use status_order::StatusOrder;
pub use times::rfc3339;
