//! Reloading: the config file is read again while the line runs, and what it changes comes into force at once and as a
//! whole, or nothing does.
//!
//! | what differs | what happens |
//! |---|---|
//! | a broker's table | every attempt that begins from now on is made on the new terms; its queue and slot stay |
//! | a new broker | it gets a slot, then events that are read from now on |
//! | a broker that is gone | no new events; what is left for it is still sent |
//! | `[schema]`, `[rules]` | records that are read from now on are read and judged by them |
//! | `log.level` | from now on |
//! | anything else | refused as a whole, see [`plan`] |
//!
//! Guarantees: one reload at a time; whatever can fail is done before anything changes; records are read, judged and
//! routed wholly by the old config or wholly by the new one, because the tables are swapped between two polls of the
//! intake, by the same task, and the first half of the line never waits within a record.

mod apply;
mod fixed;
mod outcome;
pub mod plan;
mod request;

pub(crate) use apply::Reloader;
pub use outcome::{Changed, Outcome, Refused};
pub use request::{By, Reload, Requests};
