//! The oracle tried: honest runs, one planted fault each, and honest runs made at random; and that it is independent of what
//! it judges.

mod generated;
mod independence;
mod planted;
mod planting;
mod promises;
mod run;
mod speed;
