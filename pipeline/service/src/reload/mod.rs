//! Reloading: the config file is read again while the line runs, and all its changes are applied at once, or none.
//!
//! | what differs | what happens |
//! |---|---|
//! | a broker's table | new attempts use the new terms; its queue and slot stay |
//! | a new broker | it gets a slot, then newly read events |
//! | a removed broker | no new events; what waits for it is still sent |
//! | `[schema]`, `[rules]` | newly read records are decoded and validated by them |
//! | `log.level` | from now on |
//! | a row of the database's brokers | as a broker's table, by itself: a broken row keeps its last good version |
//! | anything else | refused as a whole, see [`plan`] |
//!
//! Guarantees: one reload at a time. Everything that can fail is done before anything changes. A record is decoded, validated
//! and routed entirely by the old config or entirely by the new one, because the same task swaps the tables between two
//! polls of the intake, and the first half of the line never waits within a record. With subscriptions in a database it
//! waits before a record is routed, so that this one is routed by the newer of the two.

mod apply;
mod fixed;
mod outcome;
pub mod plan;
mod request;
mod table;

pub(crate) use apply::Reloader;
pub use outcome::{Changed, Outcome, Refused};
pub use request::{Reload, ReloadTrigger, Requests};
