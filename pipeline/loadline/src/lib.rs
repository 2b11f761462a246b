//! The command line of Loadline: its arguments and its commands.

pub mod cli;
pub mod commands;
