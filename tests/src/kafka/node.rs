//! One node: a Java process over a directory of its own, at ports that stay the same when it is started again.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use super::properties::scram_users;

/// Quick to start, and small: a node needs about 350 MB.
const JVM: [&str; 5] =
    ["-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Dlog4j2.level=WARN"];
/// How much of a log is shown in a panic, in bytes from its end.
const SHOWN: usize = 3_000;

/// A node, running or not.
#[derive(Debug)]
pub(super) struct Node {
    properties: PathBuf,
    log: PathBuf,
    class_path: &'static str,
    group: i32,
    running: Option<Child>,
}

impl Node {
    /// A node that has been told `properties`, formatted and not started; it will be in process group `group`.
    pub(super) fn format(
        (directory, number): (&Path, usize),
        properties: &str,
        (cluster, group): (&str, i32),
        class_path: &'static str,
    ) -> Self {
        let file = directory.join(format!("server-{number}.properties"));
        fs::write(&file, properties).expect("a file");
        let log = directory.join(format!("node-{number}.log"));
        let node = Self { properties: file, log, class_path, group, running: None };
        let mut tool = node.java("kafka.tools.StorageTool");
        tool.args(["format", "-t", cluster, "-c"]).arg(&node.properties);
        tool.args(scram_users().iter().flat_map(|user| ["--add-scram", user]));
        assert!(tool.status().expect("java runs").success(), "not formatted: {}", node.said());
        node
    }

    /// Starts it, unless it runs.
    pub(super) fn start(&mut self) {
        if self.running.is_none() {
            let mut node = self.java("kafka.Kafka");
            self.running = Some(node.arg(&self.properties).spawn().expect("java runs"));
        }
    }

    /// Starts it or lets it go on, if it does not run.
    pub(super) fn restore(&mut self) {
        if self.runs() {
            self.resume();
        } else {
            self.running = None;
            self.start();
        }
    }

    /// Ends it without notice, and waits until it is gone; its logs stay as they are.
    pub(super) fn kill(&mut self) {
        if let Some(mut node) = self.running.take() {
            node.kill().expect("it is ours");
            node.wait().expect("it is ours");
        }
    }

    /// Stops it where it is: its connections stay open and nothing answers.
    pub(super) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub(super) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let node = self.running.as_ref().expect("it runs");
        kill_process(Pid::from_child(node), signal).expect("it is ours");
    }

    /// Whether it was started, and has not ended since.
    pub(super) fn runs(&mut self) -> bool {
        self.running.as_mut().is_some_and(|node| matches!(node.try_wait(), Ok(None)))
    }

    /// The end of its log.
    pub(super) fn said(&self) -> String {
        let log = String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned();
        let from = log.ceil_char_boundary(log.len().saturating_sub(SHOWN));
        log[from..].to_owned()
    }

    fn java(&self, class: &str) -> Command {
        let log = File::options().create(true).append(true).open(&self.log).expect("a log file");
        let mut java = java(self.class_path, class);
        java.process_group(self.group);
        java.stdout(log.try_clone().expect("a log file")).stderr(log);
        java
    }
}

/// A class of Kafka's.
pub(super) fn java(class_path: &str, class: &str) -> Command {
    let mut java = Command::new("java");
    java.args(JVM).args(["-cp", class_path, class]).stdin(Stdio::null());
    java
}
