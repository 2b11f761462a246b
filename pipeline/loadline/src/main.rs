//! `loadline`: reads the command line, carries the command out, ends with 0 (done), 1 (failed) or 64 (usage or
//! config).
//!
//! The line itself is in the crate `service`, in `assemble.rs`.

use std::{
    env,
    io::{self, Write},
    panic,
    process::ExitCode,
};

use loadline::{
    cli::{Cli, Exit},
    commands,
};
use state::Escaped;

/// Less time in the allocator: reqwest gains 11 to 27 % over the system's.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = match Cli::read(env::args_os()) {
        Ok(cli) => cli,
        Err(exit) => return exit.into(),
    };
    match panic::catch_unwind(|| commands::execute(cli)) {
        Ok(Ok(exit)) => exit.into(),
        Ok(Err(error)) => failed(&format!("{error:#}")),
        // The panic has printed its message already.
        Err(_) => failed(
            "ended unexpectedly: this is a defect of Loadline, please report it with what stands above",
        ),
    }
}

fn failed(why: &str) -> ExitCode {
    // The message can contain text from outside.
    let told = format!("loadline: {why}");
    // If stderr is closed as well, nothing can be done.
    let _gone = told.lines().try_for_each(|line| writeln!(io::stderr().lock(), "{}", Escaped(line))).is_err();
    Exit::Failed.into()
}
