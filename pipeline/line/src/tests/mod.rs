//! The whole line in one process, on real disks and with scripted receivers.

mod bounds;
mod brokers;
mod crash;
mod faults;
mod follow;
mod full;
mod log;
mod look_ahead;
mod moves;
mod replay;
mod site;
mod stopping;
mod whole;
mod wire;
