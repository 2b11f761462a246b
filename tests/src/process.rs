//! A `loadline` process: arguments and environment enter, its exit code and everything it said leave. It does not outlive
//! its scenario, unless the scenario itself is killed.

use std::{
    fmt,
    net::SocketAddr,
    process::{Output, Stdio},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    task::JoinHandle,
    time,
};

use crate::{
    runtime::{PATIENCE, runtime, until},
    summary::Summary,
};

/// A running process.
pub struct Loadline {
    child: Child,
    stdout: JoinHandle<Vec<u8>>,
    stderr: JoinHandle<Vec<u8>>,
    log: Said,
}

/// What a process has said so far.
type Said = Arc<Mutex<Vec<u8>>>;

/// How a process ended.
pub struct Ended {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Loadline {
    /// Starts `command`, with its output held and with no standard input unless it has been given one.
    pub(crate) fn start(mut command: Command) -> Self {
        let _context = runtime().enter();
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the process starts");
        let log = Said::default();
        let stdout = tokio::spawn(read(child.stdout.take().expect("a pipe"), Said::default()));
        let stderr = tokio::spawn(read(child.stderr.take().expect("a pipe"), log.clone()));
        Self { child, stdout, stderr, log }
    }

    /// Its process id.
    ///
    /// # Panics
    /// If it has been waited for.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id().expect("a process that has not been waited for")
    }

    /// Where it listens for posts, once it does.
    ///
    /// # Panics
    /// If it ends before, or after [`PATIENCE`].
    pub fn listening(&mut self) -> SocketAddr {
        let mut addr = None;
        until("it listens", || {
            let log = self.log();
            addr = log.lines().find_map(|line| line.split_once("listening addr=")?.1.trim().parse().ok());
            assert!(addr.is_some() || self.runs(), "it ended before it listened: {log}");
            addr.is_some()
        });
        addr.expect("checked")
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// Reads its stderr no longer: what it writes there fails from now on, as when a log's collector is gone.
    pub fn stop_reading_its_log(&mut self) {
        self.stderr.abort();
        let stderr = std::mem::replace(&mut self.stderr, runtime().spawn(async { Vec::new() }));
        // Only when the reader is gone is the pipe closed.
        let _aborted = runtime().block_on(stderr).is_err();
    }

    /// Asks it to end, as a service manager does.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Asks it to read its config again, as a service manager does.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// What it has written to stderr so far.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.lock()).into_owned()
    }

    /// Ends it at once, without notice, and waits until it is gone.
    pub fn kill(self) -> Ended {
        self.signal(Signal::KILL);
        self.wait()
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// After [`PATIENCE`]; the process is killed and what it said is shown.
    #[must_use]
    pub fn wait(mut self) -> Ended {
        let ended = runtime().block_on(async { time::timeout(PATIENCE, self.child.wait()).await });
        if ended.is_err() {
            let said = self.kill_in_vain();
            panic!("the process did not end within {PATIENCE:?}: {said:?}");
        }
        let status = ended.expect("checked").expect("a child");
        self.output(status.code())
    }

    fn kill_in_vain(mut self) -> Ended {
        self.child.start_kill().expect("a child");
        self.output(None)
    }

    fn output(self, code: Option<i32>) -> Ended {
        let text = |read: JoinHandle<Vec<u8>>| {
            // A grandchild could hold the pipe for ever.
            let bytes = runtime().block_on(async { time::timeout(Duration::from_secs(10), read).await });
            String::from_utf8_lossy(&bytes.expect("the pipe closes").expect("a reader")).into_owned()
        };
        Ended { code, stdout: text(self.stdout), stderr: text(self.stderr) }
    }

    fn signal(&self, signal: Signal) {
        // It may have ended by itself, just now or as seen by `runs`.
        let pid = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let _gone = pid.is_none_or(|pid| kill_process(pid, signal).is_err());
    }
}

impl Ended {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The same, if the exit code is `code`.
    ///
    /// # Panics
    /// If it is another one.
    #[must_use]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// The summary of a run that has ended well: with 0, or with 5 if its source has ended and something waits on disk.
    ///
    /// # Panics
    /// If it has ended otherwise, or there is no summary.
    #[must_use]
    pub fn summary(self) -> Summary {
        assert!(matches!(self.code, Some(0 | 5)), "{self:?}");
        let line = self.stdout.lines().rev().find(|line| line.starts_with('{'));
        let summary: Summary = match serde_json::from_str(line.unwrap_or_default()) {
            Ok(summary) => summary,
            Err(error) => panic!("no summary ({error}): {self:?}"),
        };
        assert!(self.code == Some(0) || summary.spilled > 0, "{self:?}");
        summary
    }

    /// What `loadline status --json` has said, if its exit code says the same.
    ///
    /// # Panics
    /// If it does not, or there was no status.
    #[must_use]
    pub fn status(self) -> Value {
        let status: Value =
            serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        let code = match status["verdict"]["word"].as_str() {
            Some("healthy") => 0,
            Some("lagging" | "failing") => 2,
            Some("faulted") => 3,
            Some("not-running") => 4,
            _ => panic!("a verdict: {self:?}"),
        };
        assert_eq!(self.code, Some(code), "{self:?}");
        status
    }
}

/// For a person: the end of what was said, as it was said.
impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail = |text: &str| {
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(40)..].join("\n")
        };
        let Self { code, stdout, stderr } = self;
        write!(f, "exit code {code:?}\n--- stdout\n{}\n--- stderr\n{}\n---", tail(stdout), tail(stderr))
    }
}

async fn read(mut pipe: impl AsyncRead + Unpin, said: Said) -> Vec<u8> {
    let mut block = vec![0; 64 << 10];
    loop {
        match pipe.read(&mut block).await.expect("a readable pipe") {
            0 => return said.lock().clone(),
            read => said.lock().extend_from_slice(&block[..read]),
        }
    }
}
