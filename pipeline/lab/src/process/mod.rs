//! Loadline, or a part of it, as a process of its own: it is started, talked to, signalled, stopped or killed.
//! Every wait has an end, and the process goes with its handle.

mod capture;
pub mod clock;
mod fault;
pub mod usage;

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::{Instant, sleep, timeout},
};

pub use capture::Capture;
pub use fault::ProcessFault;

/// How long a process may take for an answer, or to come up or end: only what never comes takes that long.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Over how long a process must be quiet to be at rest. CPU time is counted in hundredths of a second.
const QUIET: Duration = Duration::from_millis(100);
/// What a process at rest may use in that time: one tick, for a look at its file now and then.
const QUIET_CPU: Duration = Duration::from_millis(10);
/// How long to wait for that at most; a figure taken later would be no better.
const QUIET_MAX: Duration = Duration::from_secs(10);
/// How much of a log is repeated in a fault, in bytes from its end.
const SAID_MAX: usize = 1_000;

/// A running process.
#[derive(Debug)]
pub struct Process {
    what: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Option<Lines<BufReader<ChildStdout>>>,
    /// The last line that has been read and not been asked for.
    unasked: Option<String>,
    log: Log,
}

/// Where a process's stderr goes.
#[derive(Debug)]
enum Log {
    File(PathBuf),
    Memory(Capture),
}

/// A command that is talked to over its stdin, in a process group of its own: a Ctrl-C in the terminal is the caller's
/// to answer, who ends its children itself.
pub fn talking<A: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).process_group(0);
    command
}

impl Process {
    /// Starts `command`; its stderr is appended to the file `log`. `what` names it in faults.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(what: impl Into<String>, mut command: Command, log: &Path) -> Result<Self, ProcessFault> {
        let what = what.into();
        let errors = File::options().create(true).append(true).open(log);
        let errors = errors.map_err(|error| ProcessFault::Start { what: what.clone(), error })?;
        command.stderr(errors);
        let child = spawn(&what, command)?;
        Ok(Self::of(what, child, Log::File(log.to_owned())))
    }

    /// Starts `command`; its stderr is kept in memory, see [`log`](Self::log).
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_captured(what: impl Into<String>, mut command: Command) -> Result<Self, ProcessFault> {
        let what = what.into();
        command.stderr(Stdio::piped());
        let mut child = spawn(&what, command)?;
        let log = Log::Memory(child.stderr.take().map(Capture::of).unwrap_or_default());
        Ok(Self::of(what, child, log))
    }

    fn of(what: String, mut child: Child, log: Log) -> Self {
        let stdin = child.stdin.take();
        let lines = child.stdout.take().map(|stdout| BufReader::new(stdout).lines());
        Self { what, child, stdin, lines, unasked: None, log }
    }

    /// Its name in faults.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Its process id; 0, which nobody has, once it has ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// What it has written to stderr so far.
    #[must_use]
    pub fn log(&self) -> String {
        match &self.log {
            Log::File(path) => String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned(),
            Log::Memory(capture) => capture.text(),
        }
    }

    /// What has been captured of stderr; none if it goes to a file.
    pub fn captured_log(&mut self) -> Option<&mut Capture> {
        match &mut self.log {
            Log::File(_) => None,
            Log::Memory(capture) => Some(capture),
        }
    }

    /// Its stdout, line by line, for whoever reads it alone from now on; none if that was asked for before.
    pub fn take_lines(&mut self) -> Option<Lines<BufReader<ChildStdout>>> {
        self.lines.take()
    }

    /// Says a line to it.
    ///
    /// # Errors
    /// It does not listen any more.
    pub async fn say(&mut self, words: &str) -> Result<(), ProcessFault> {
        let line = format!("{words}\n");
        let said = match &mut self.stdin {
            Some(stdin) => stdin.write_all(line.as_bytes()).await.is_ok() && stdin.flush().await.is_ok(),
            None => false,
        };
        if said { Ok(()) } else { Err(self.gone()) }
    }

    /// Takes what it has said so far, so that it never waits for a reader; the last line can still be asked for.
    pub async fn drain(&mut self) {
        let Some(lines) = &mut self.lines else { return };
        while let Ok(Ok(Some(line))) = timeout(Duration::ZERO, lines.next_line()).await {
            self.unasked = Some(line);
        }
    }

    /// The next line it says, or the last one that was drained.
    ///
    /// # Errors
    /// It says no more, or nothing for [`PATIENCE`].
    pub async fn line(&mut self) -> Result<String, ProcessFault> {
        if let Some(line) = self.unasked.take() {
            return Ok(line);
        }
        let Some(lines) = &mut self.lines else { return Err(self.gone()) };
        match timeout(PATIENCE, lines.next_line()).await {
            Ok(Ok(Some(line))) => Ok(line),
            Ok(Ok(None) | Err(_)) => Err(self.gone()),
            Err(_) => Err(self.stalled("before it says something", PATIENCE)),
        }
    }

    /// Says a line, and reads the answer.
    ///
    /// # Errors
    /// As [`Process::say`] and [`Process::line`].
    pub async fn ask(&mut self, words: &str) -> Result<String, ProcessFault> {
        self.say(words).await?;
        self.line().await
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// That it runs.
    ///
    /// # Errors
    /// It does not.
    pub fn must_run(&mut self) -> Result<(), ProcessFault> {
        if self.runs() { Ok(()) } else { Err(self.gone()) }
    }

    /// Waits until it uses no CPU to speak of.
    ///
    /// # Errors
    /// It has ended.
    pub async fn rest(&mut self) -> Result<(), ProcessFault> {
        let end = Instant::now() + QUIET_MAX;
        let mut before = usage::cpu(self.pid());
        while Instant::now() < end {
            sleep(QUIET).await;
            self.must_run()?;
            let now = usage::cpu(self.pid());
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
    pub fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let _gone = pid.is_none_or(|pid| kill_process(pid, signal).is_err());
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// It has not within `time`.
    pub async fn wait(&mut self, time: Duration) -> Result<ExitStatus, ProcessFault> {
        match timeout(time, self.child.wait()).await {
            Ok(Ok(status)) => Ok(status),
            Ok(Err(_)) => Err(self.gone()),
            Err(_) => Err(self.stalled("before it ends", time)),
        }
    }

    /// Waits until it has ended well.
    ///
    /// # Errors
    /// It ends badly, or not within `time`.
    pub async fn end_well(&mut self, time: Duration) -> Result<(), ProcessFault> {
        if self.wait(time).await?.success() { Ok(()) } else { Err(self.gone()) }
    }

    /// Closes its stdin, reads the rest of what it says and waits for its end; gives the last line.
    ///
    /// # Errors
    /// It ends badly, or not within [`PATIENCE`].
    pub async fn end(mut self) -> Result<String, ProcessFault> {
        drop(self.stdin.take());
        let mut last = self.unasked.take().unwrap_or_default();
        let end = Instant::now() + PATIENCE;
        if let Some(mut lines) = self.lines.take() {
            let reading = async {
                while let Ok(Some(line)) = lines.next_line().await {
                    last = line;
                }
            };
            if timeout(PATIENCE, reading).await.is_err() {
                return Err(self.stalled("before it ends", PATIENCE));
            }
        }
        self.end_well(end.saturating_duration_since(Instant::now())).await?;
        Ok(last)
    }

    /// Ends it without notice, and waits until it is gone.
    ///
    /// # Errors
    /// It cannot be killed.
    pub async fn kill(&mut self) -> Result<(), ProcessFault> {
        self.child.kill().await.map_err(|_| self.gone())
    }

    /// The fault that it stands still.
    #[must_use]
    pub fn stalled(&self, until: impl Into<String>, time: Duration) -> ProcessFault {
        let (what, until) = (self.what.clone(), until.into());
        ProcessFault::Stalled { what, until, seconds: time.as_secs(), said: self.said() }
    }

    /// The fault that it is gone.
    #[must_use]
    pub fn gone(&self) -> ProcessFault {
        ProcessFault::Gone { what: self.what.clone(), said: self.said() }
    }

    /// The end of its log, and where the rest is.
    fn said(&self) -> String {
        let text = self.log();
        let from = text.ceil_char_boundary(text.len().saturating_sub(SAID_MAX));
        let said = text[from..].trim();
        let said = if said.is_empty() { "nothing" } else { said };
        match &self.log {
            Log::File(path) => format!("{said} (its log is {})", path.display()),
            Log::Memory(_) => said.to_owned(),
        }
    }
}

fn spawn(what: &str, mut command: Command) -> Result<Child, ProcessFault> {
    let started = command.stdout(Stdio::piped()).kill_on_drop(true).spawn();
    started.map_err(|error| ProcessFault::Start { what: what.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(dir: &Path, script: &str) -> Process {
        let command = talking(Path::new("/bin/sh"), ["-c", script]);
        Process::start("the shell", command, &dir.join("log")).unwrap()
    }

    #[tokio::test]
    async fn words_are_answered_and_the_end_of_stdin_ends_it_with_its_last_line() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = shell(dir.path(), "while read word; do echo got $word; done; echo bye");
        assert_eq!(process.ask("one").await.unwrap(), "got one");
        process.say("two").await.unwrap();
        while process.unasked.is_none() {
            process.drain().await;
            tokio::task::yield_now().await;
        }
        assert_eq!(process.line().await.unwrap(), "got two");
        process.must_run().unwrap();
        assert!(process.pid() > 0);
        assert_eq!(process.end().await.unwrap(), "bye");
    }

    #[tokio::test]
    async fn one_that_ends_badly_is_a_fault_with_the_end_of_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let fault = shell(dir.path(), "echo no such thing >&2; exit 3").end().await.unwrap_err().to_string();
        assert!(
            fault.starts_with("the shell ended unexpectedly") && fault.contains("no such thing (its log is "),
            "{fault}"
        );
        assert!(shell(dir.path(), "exit 0").line().await.is_err());
    }

    #[tokio::test]
    async fn what_it_writes_to_stderr_can_be_kept_in_memory_and_a_signal_ends_it() {
        let command = talking(Path::new("/bin/sh"), ["-c", "echo here >&2; exec sleep 600"]);
        let mut process = Process::start_captured("the shell", command).unwrap();
        while process.log().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(process.log(), "here\n");
        process.signal(Signal::TERM);
        assert_eq!(process.wait(PATIENCE).await.unwrap().code(), None);
        assert!(!process.runs());
        let gone = process.gone().to_string();
        assert!(gone.ends_with("what it said last: here"), "{gone}");
    }
}
