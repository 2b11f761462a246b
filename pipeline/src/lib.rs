//! Loadline as a library: its config, its command line, its sources, and the line that joins the stages.

pub mod admin;
pub mod assemble;
pub mod bench;
mod child_process;
pub mod cli;
pub mod columns;
pub mod commands;
pub mod config;
pub mod dead;
pub mod demo;
mod descriptors;
pub mod engine;
pub mod legacy;
pub mod line;
mod listening;
pub mod logging;
mod proc;
pub mod produce;
pub mod receive;
pub mod reload;
pub mod roster;
pub mod source;
pub mod status;
pub mod stop;
pub mod summary;
pub mod surge;
pub mod telemetry;
