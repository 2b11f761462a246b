//! Loadline as a service: from the config to a running line, and what an operator asks of it.

pub mod admin;
pub mod assemble;
mod broker_command;
pub mod config;
mod config_file;
pub mod database;
pub mod dead;
mod descriptors;
pub mod engine;
mod group;
pub mod logging;
mod portions;
pub mod reload;
pub mod status;
pub mod summary;
pub mod telemetry;
pub mod text_table;
pub mod trial;
pub mod view;

pub use config_file::ConfigFile;
