//! Sees to it that the nodes end with the test process, even if that is killed: a shell waits at a pipe whose other end
//! only the test process holds. When the pipe closes it kills the process group of the nodes and removes their directory.

use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

/// `$1` is the directory. The killing is done from a session of its own, outside of the group that is killed.
const WAIT: &str = r#"read -r _; setsid sh -c 'kill -9 -"$1"; rm -rf "$2"' sh $$ "$1""#;

/// Ends the nodes when it is dropped.
#[derive(Debug)]
pub(crate) struct Guard(Child);

impl Guard {
    pub(crate) fn new(directory: &Path) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", WAIT, "sh"]).arg(directory).process_group(0);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(shell.spawn().expect("a shell"))
    }

    /// The process group of the nodes. It is not given to others while the guard is there.
    pub(crate) fn group(&self) -> i32 {
        self.0.id().cast_signed()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ended = self.0.wait().is_ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::until;

    #[test]
    fn what_is_in_the_group_ends_with_the_guard_and_the_directory_goes() {
        let directory = tempfile::tempdir().unwrap().keep();
        let guard = Guard::new(&directory);
        let sleeping = Command::new("sleep").arg("600").process_group(guard.group()).spawn();
        let mut sleeping = sleeping.unwrap();
        assert!(sleeping.try_wait().unwrap().is_none());
        drop(guard);
        assert_eq!(sleeping.wait().unwrap().code(), None, "a signal has ended it");
        until("the directory is gone", || !directory.exists());
    }
}
