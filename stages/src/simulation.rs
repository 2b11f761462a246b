//! What a simulation of the line needs of the stages (feature `simulation`): the deliver stage over simulated receivers.

pub use crate::deliver::simulated::{Answer, Receivers, SimulatedDeliver};
