//! Starts Loadline, or a part of it, as a process of its own, for whoever compares systems: it can be talked to, and goes
//! with its handle.

use std::{ffi::OsString, fs::File, io, path::Path, process::Stdio};

use tokio::process::{Child, Command};

/// Starts `program`; what it says on stderr goes to `errors`, its other streams are the caller's.
///
/// # Errors
/// The system's, if it cannot be started.
pub(crate) fn start(program: &Path, arguments: &[OsString], errors: File) -> io::Result<Child> {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(errors)
        // A Ctrl-C in the terminal is the caller's to answer: it ends its children itself.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}
