//! Ends a run that has met a fault but does not end, with the fault as its cause.
//!
//! The line, the ledger and the endpoint end by themselves after a fault, each within its own timeout. This is for a
//! thread that waits for the disk and cannot be interrupted.

use std::{
    io::{self, Write},
    panic, thread,
    time::Duration,
};

use anyhow::Context;
use state::{LedgerStatus, StateFault};

use super::exit_now::exit_now;

/// How often the ledger's status is read.
const POLL: Duration = Duration::from_millis(250);

/// How many polls a run may take to end after a fault: 20 s, more than all timeouts within it.
const POLLS_MAX: u32 = 80;

/// The threads whose panics nothing else catches: the store's own, and the intake's.
const UNCAUGHT: [&str; 2] = ["sled", "main"];

/// Watches `ledger_status` until the process ends.
pub(super) fn watch(ledger_status: LedgerStatus) -> anyhow::Result<()> {
    note_panics(ledger_status.clone());
    let body = move || {
        let fault = loop {
            match ledger_status.fault() {
                Some(fault) => break fault,
                None => thread::park_timeout(POLL),
            }
        };
        // Polls are counted, because a suspended process has no time to end.
        for _ in 0..POLLS_MAX {
            thread::park_timeout(POLL);
        }
        exit_now(move || {
            let _gone = writeln!(io::stderr(), "loadline: {fault}");
        });
    };
    thread::Builder::new().name("last-resort".to_owned()).spawn(body).context("thread last-resort")?;
    Ok(())
}

/// Turns a panic of a thread that nobody waits for into a fault, beside the usual panic message.
fn note_panics(ledger_status: LedgerStatus) {
    let told = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        told(panic);
        let thread = thread::current();
        let name = thread.name().unwrap_or_default();
        if UNCAUGHT.iter().any(|uncaught| name.starts_with(uncaught)) {
            let whose = format!("thread {name}");
            ledger_status.fail(StateFault::panicked(whose, panic.payload()));
        }
    }));
}
