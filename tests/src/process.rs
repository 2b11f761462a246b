//! A `loadline` process, with its exit code and everything it said. It does not outlive its scenario, unless the scenario
//! itself is killed.

use std::{fmt, net::SocketAddr};

use lab::process::{Capture, Process};
use rustix::process::Signal;
use serde_json::Value;
use tokio::{process::Command, time};

use crate::{
    runtime::{PATIENCE, runtime, until},
    summary::Summary,
};

/// A running process.
pub struct Loadline {
    process: Process,
    stdout: Capture,
}

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
    pub(crate) fn start(command: Command) -> Self {
        let _context = runtime().enter();
        let mut process = Process::start_captured("the process", command).expect("the process starts");
        let stdout = Capture::of(process.take_lines().expect("a pipe").into_inner());
        Self { process, stdout }
    }

    /// Its process id.
    ///
    /// # Panics
    /// If it has been waited for.
    #[must_use]
    pub fn id(&self) -> u32 {
        let id = self.process.pid();
        assert_ne!(id, 0, "a process that has not been waited for");
        id
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
        self.process.runs()
    }

    /// Reads its stderr no longer: what it writes there fails from now on, as when a log's collector is gone.
    pub fn stop_reading_its_log(&mut self) {
        runtime().block_on(self.process.captured_log().expect("a captured log").stop());
    }

    /// Asks it to end, as a service manager does.
    pub fn terminate(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Stops it where it is: it does nothing, and its connections stay open.
    pub fn pause(&self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.process.signal(Signal::CONT);
    }

    /// Asks it to read its config again, as a service manager does.
    pub fn hang_up(&self) {
        self.process.signal(Signal::HUP);
    }

    /// What it has written to stderr so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Ends it at once, without notice, and waits until it is gone.
    pub fn kill(self) -> Ended {
        self.process.signal(Signal::KILL);
        self.wait()
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// After [`PATIENCE`]; the process is killed and what it said is shown.
    #[must_use]
    pub fn wait(mut self) -> Ended {
        match runtime().block_on(self.process.wait(PATIENCE)) {
            Ok(status) => self.output(status.code()),
            Err(_) => {
                self.process.signal(Signal::KILL);
                panic!("the process did not end within {PATIENCE:?}: {:?}", self.output(None));
            }
        }
    }

    fn output(mut self, code: Option<i32>) -> Ended {
        let closed = async {
            // A grandchild could hold the pipes for ever.
            let both = async {
                self.stdout.closed().await;
                if let Some(log) = self.process.captured_log() {
                    log.closed().await;
                }
            };
            time::timeout(PATIENCE, both).await
        };
        runtime().block_on(closed).expect("the pipes close");
        Ended { code, stdout: self.stdout.text(), stderr: self.process.log() }
    }
}

impl Ended {
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
