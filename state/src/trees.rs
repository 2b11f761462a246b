//! The numbers of the trees with digests, as they are stored.

pub(crate) const SPILL: u8 = 0;
pub(crate) const DEAD: u8 = 1;
pub(crate) const SOURCES: u8 = 2;
pub(crate) const BROKERS: u8 = 3;
