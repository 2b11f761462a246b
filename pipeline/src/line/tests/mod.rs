//! The whole line in one process, on real disks and with scripted receivers.

mod bounds;
mod brokers;
mod crash;
mod faults;
mod full;
mod log;
mod replay;
mod site;
mod whole;
mod wire;
