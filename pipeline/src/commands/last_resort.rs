//! The last resort: a run that has met a fault and does not come to its end is ended, with the fault as its cause.
//!
//! The line, the ledger and the endpoint end by themselves after a fault, each within its own patience; what this is for
//! is a thread among them that waits for the disk and cannot be told.

use std::{
    io::{self, Write},
    panic, thread,
    time::Duration,
};

use anyhow::Context;
use state::{Pulse, StateFault};

use super::leave::leave;

/// How often the pulse is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// How many looks a run may take to end after a fault: 20 s, more than all that waits within it.
const LOOKS_MAX: u32 = 80;

/// The threads that nothing in the process catches a panic of: the store's own, and the one that takes records in.
const UNCAUGHT: [&str; 2] = ["sled", "main"];

/// Watches over `pulse` until the process ends.
pub(super) fn watch(pulse: Pulse) -> anyhow::Result<()> {
    note_panics(pulse.clone());
    let body = move || {
        let fault = loop {
            match pulse.fault() {
                Some(fault) => break fault,
                None => thread::park_timeout(LOOK),
            }
        };
        // Looks are counted: a process that is stopped from outside has no time to end.
        for _ in 0..LOOKS_MAX {
            thread::park_timeout(LOOK);
        }
        leave(move || {
            let _gone = writeln!(io::stderr(), "loadline: {fault}");
        });
    };
    thread::Builder::new().name("last-resort".to_owned()).spawn(body).context("thread last-resort")?;
    Ok(())
}

/// Takes a panic of a thread that nobody waits for as the fault it is, beside what is told of every panic.
fn note_panics(pulse: Pulse) {
    let told = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        told(panic);
        let thread = thread::current();
        let name = thread.name().unwrap_or_default();
        if UNCAUGHT.iter().any(|uncaught| name.starts_with(uncaught)) {
            let whose = format!("thread {name}");
            pulse.fail(StateFault::panicked(whose, panic.payload()));
        }
    }));
}
