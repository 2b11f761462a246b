//! The oracle: what the promises ask for, told from the log and from what receivers have seen. It shares no code with the
//! line; of the store it uses what anyone can ask it.

pub(crate) mod disk;
pub(crate) mod rest;
pub(crate) mod wire;
