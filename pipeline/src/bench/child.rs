//! A part of a measurement in a process of its own: words enter, lines and what the system says of it leave. Guaranteed:
//! every wait has an end, and the process goes with its handle.

use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child as Process, ChildStdin, ChildStdout},
    time::{Instant, sleep, timeout},
};

use super::fault::BenchFault;
use crate::{child_process, proc};

/// How long a part may take for an answer, or to come up or end: only what never comes takes that long.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Over how long a process must be quiet to be at rest. CPU time is counted in hundredths of a second.
const QUIET: Duration = Duration::from_millis(100);
/// What a process at rest may use in that time: one tick, for a look at its file now and then.
const QUIET_CPU: Duration = Duration::from_millis(10);
/// How long to wait for that at most; a figure taken later would be no better.
const QUIET_MAX: Duration = Duration::from_secs(10);
/// How much of a log is repeated in a fault, in bytes from its end.
const SAID_MAX: usize = 1_000;

/// A running part.
#[derive(Debug)]
pub(super) struct Child {
    what: String,
    process: Process,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    /// The last line that has been read and not been asked for.
    heard: Option<String>,
    log: PathBuf,
}

impl Child {
    /// Starts `program`; what it says on stderr goes to the file `log`. `what` names it in faults.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(
        what: impl Into<String>,
        program: &Path,
        arguments: &[OsString],
        log: PathBuf,
    ) -> Result<Self, BenchFault> {
        let what = what.into();
        let errors = File::options().create(true).append(true).open(&log).map_err(BenchFault::file(&log))?;
        let started = child_process::start(program, arguments, errors);
        let mut process = started.map_err(|error| BenchFault::Start { what: what.clone(), error })?;
        let stdin = process.stdin.take();
        let Some(stdout) = process.stdout.take() else { return Err(gone(&what, &log)) };
        Ok(Self { what, process, stdin, lines: BufReader::new(stdout).lines(), heard: None, log })
    }

    /// Its name in faults.
    #[must_use]
    pub(super) fn what(&self) -> &str {
        &self.what
    }

    /// Its process id; 0, which nobody has, once it has ended.
    #[must_use]
    pub(super) fn pid(&self) -> u32 {
        self.process.id().unwrap_or_default()
    }

    /// Says a line to it.
    ///
    /// # Errors
    /// It does not listen any more.
    pub(super) async fn say(&mut self, words: &str) -> Result<(), BenchFault> {
        let line = format!("{words}\n");
        let said = match &mut self.stdin {
            Some(stdin) => stdin.write_all(line.as_bytes()).await.is_ok() && stdin.flush().await.is_ok(),
            None => false,
        };
        if said { Ok(()) } else { Err(self.gone()) }
    }

    /// Takes what it has said so far, so that it never waits for a reader; the last line can still be asked for.
    pub(super) async fn hear(&mut self) {
        while let Ok(Ok(Some(line))) = timeout(Duration::ZERO, self.lines.next_line()).await {
            self.heard = Some(line);
        }
    }

    /// The next line it says, or the last one that was heard.
    ///
    /// # Errors
    /// It says no more, or nothing for [`PATIENCE`].
    pub(super) async fn line(&mut self) -> Result<String, BenchFault> {
        if let Some(heard) = self.heard.take() {
            return Ok(heard);
        }
        match timeout(PATIENCE, self.lines.next_line()).await {
            Ok(Ok(Some(line))) => Ok(line),
            Ok(Ok(None) | Err(_)) => Err(self.gone()),
            Err(_) => Err(self.stalled("before it says something", PATIENCE)),
        }
    }

    /// Says a line, and reads the answer.
    ///
    /// # Errors
    /// As [`Child::say`] and [`Child::line`].
    pub(super) async fn ask(&mut self, words: &str) -> Result<String, BenchFault> {
        self.say(words).await?;
        self.line().await
    }

    /// That it runs.
    ///
    /// # Errors
    /// It does not.
    pub(super) fn must_run(&mut self) -> Result<(), BenchFault> {
        match self.process.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(_)) | Err(_) => Err(self.gone()),
        }
    }

    /// Waits until it uses no CPU to speak of.
    ///
    /// # Errors
    /// It has ended.
    pub(super) async fn rest(&mut self) -> Result<(), BenchFault> {
        let end = Instant::now() + QUIET_MAX;
        let mut before = proc::cpu(self.pid());
        while Instant::now() < end {
            sleep(QUIET).await;
            self.must_run()?;
            let now = proc::cpu(self.pid());
            // Where the system says nothing, the pause has to do.
            let used = before.zip(now).map_or(Duration::ZERO, |(before, now)| now.saturating_sub(before));
            if used <= QUIET_CPU {
                break;
            }
            before = now;
        }
        Ok(())
    }

    /// Sends it a signal; if it has gone, waiting for it tells.
    pub(super) fn signal(&self, signal: Signal) {
        let pid = self.process.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let _gone = pid.is_none_or(|pid| kill_process(pid, signal).is_err());
    }

    /// Closes its stdin, reads the rest of what it says and waits for its end; gives the last line.
    ///
    /// # Errors
    /// It ends badly, or not within [`PATIENCE`].
    pub(super) async fn end(mut self) -> Result<String, BenchFault> {
        drop(self.stdin.take());
        let ending = async {
            let mut last = self.heard.take().unwrap_or_default();
            while let Ok(Some(line)) = self.lines.next_line().await {
                last = line;
            }
            (last, self.process.wait().await)
        };
        match timeout(PATIENCE, ending).await {
            Ok((last, Ok(status))) if status.success() => Ok(last),
            Ok(_) => Err(self.gone()),
            Err(_) => Err(self.stalled("before it ends", PATIENCE)),
        }
    }

    /// Ends it without notice, and waits until it is gone.
    ///
    /// # Errors
    /// It cannot be killed.
    pub(super) async fn kill(mut self) -> Result<(), BenchFault> {
        self.process.kill().await.map_err(|_| self.gone())
    }

    /// The fault that it stands still.
    #[must_use]
    pub(super) fn stalled(&self, until: impl Into<String>, time: Duration) -> BenchFault {
        BenchFault::Stalled {
            what: self.what.clone(),
            until: until.into(),
            seconds: time.as_secs(),
            said: said(&self.log),
        }
    }

    /// The fault that it is gone.
    #[must_use]
    pub(super) fn gone(&self) -> BenchFault {
        gone(&self.what, &self.log)
    }
}

fn gone(what: &str, log: &Path) -> BenchFault {
    BenchFault::Gone { what: what.to_owned(), said: said(log) }
}

/// The end of a log.
fn said(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let end = &text[text.len().saturating_sub(SAID_MAX)..];
    let said = String::from_utf8_lossy(end).trim().to_owned();
    if said.is_empty() { "nothing".to_owned() } else { said }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(dir: &Path, script: &str) -> Child {
        let arguments = ["-c", script].map(OsString::from);
        Child::start("the shell", Path::new("/bin/sh"), &arguments, dir.join("log")).unwrap()
    }

    #[tokio::test]
    async fn words_are_answered_and_the_end_of_stdin_ends_it_with_its_last_line() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = shell(dir.path(), "while read word; do echo got $word; done; echo bye");
        assert_eq!(child.ask("one").await.unwrap(), "got one");
        child.say("two").await.unwrap();
        while child.heard.is_none() {
            child.hear().await;
            tokio::task::yield_now().await;
        }
        assert_eq!(child.line().await.unwrap(), "got two");
        child.must_run().unwrap();
        assert!(child.pid() > 0);
        assert_eq!(child.end().await.unwrap(), "bye");
    }

    #[tokio::test]
    async fn one_that_ends_badly_is_a_fault_with_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let child = shell(dir.path(), "echo no such thing >&2; exit 3");
        let fault = child.end().await.unwrap_err().to_string();
        assert!(
            fault.starts_with("the shell ended unexpectedly") && fault.ends_with("no such thing"),
            "{fault}"
        );
        let mut child = shell(dir.path(), "exit 0");
        assert!(child.line().await.is_err());
    }
}
