//! The oracle tried: honest runs, one planted fault each, and honest runs made at random.

mod generated;
mod planted;
mod planting;
mod promises;
mod run;
mod speed;
