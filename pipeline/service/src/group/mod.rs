//! This member among the others of its group: what is said of brokers at one member holds at all, and each knows how the
//! others are doing. Both go through the group's control topic; no member reaches another one's admin endpoint.
//!
//! Guarantees: an operator's command, and a broker that answers 410, reach every member that reads the topic, also one that
//! begins later, whatever becomes of the member where it happened; the last one by the order of the log counts. Where the
//! topic does not answer, a command holds at this member alone and says so.

mod agreement;
mod handle;
mod members;
mod task;

pub(crate) use self::{
    handle::{GroupFault, GroupHandle},
    task::{Group, JoinFault, Joining},
};
