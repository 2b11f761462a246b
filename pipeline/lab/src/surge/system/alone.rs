//! A system that is one process over a file.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::watch;

use super::{DOWN_MAX, Stopped, SystemStatus, Which, arguments, ask_to_stop, spawn, wait_until_up};
use crate::process::{Process, ProcessFault, usage};

/// A running process.
#[derive(Debug)]
pub struct Alone {
    which: Which,
    loadline: PathBuf,
    arguments: Vec<OsString>,
    log: PathBuf,
    ends: Arc<[u64]>,
    process: Process,
    status: watch::Receiver<SystemStatus>,
    memory_max: u64,
}

impl Alone {
    /// Starts `which` from the binary `loadline` with `config` in `dir`; `ends` says where each record of its log ends. Returns once it is up.
    ///
    /// # Errors
    /// [`ProcessFault`].
    pub async fn start(
        which: Which,
        (loadline, config): (&Path, &Path),
        dir: &Path,
        ends: Vec<u64>,
    ) -> Result<Self, ProcessFault> {
        let arguments = arguments(which, config);
        let log = dir.join(format!("{}.log", which.as_str()));
        let (ends, loadline) = (ends.into(), loadline.to_owned());
        let (process, status) = spawn(which, (&loadline, &arguments), &log, &ends)?;
        let mut system = Self { which, loadline, arguments, log, ends, process, status, memory_max: 0 };
        wait_until_up(&system.process, &mut system.status).await?;
        Ok(system)
    }

    /// What it has said last.
    #[must_use]
    pub fn status(&self) -> SystemStatus {
        self.status.borrow().clone()
    }

    /// Its resident set now and at most so far, in bytes.
    pub fn memory(&mut self) -> Option<u64> {
        let memory = usage::memory(self.process.pid())?;
        self.memory_max = self.memory_max.max(memory.most);
        Some(memory.now)
    }

    /// The most memory it has had, in bytes, over all its processes.
    #[must_use]
    pub fn memory_max(&self) -> Option<u64> {
        (self.memory_max > 0).then_some(self.memory_max)
    }

    /// That it has not ended without being told to.
    ///
    /// # Errors
    /// It has.
    pub fn must_run(&mut self) -> Result<(), ProcessFault> {
        self.process.must_run()
    }

    /// Scales its consumers; means nothing to Loadline.
    ///
    /// # Errors
    /// It is gone.
    pub async fn scale(&mut self, consumers: u32) -> Result<(), ProcessFault> {
        match self.which {
            Which::Legacy => self.process.say(&format!("scale {consumers}")).await,
            Which::Loadline => Ok(()),
        }
    }

    /// Kills it with no warning, and starts it again.
    ///
    /// # Errors
    /// It cannot be started again.
    pub async fn kill_and_restart(&mut self) -> Result<(), ProcessFault> {
        self.process.kill().await?;
        (self.process, self.status) =
            spawn(self.which, (&self.loadline, &self.arguments), &self.log, &self.ends)?;
        wait_until_up(&self.process, &mut self.status).await
    }

    /// Stops it in good order.
    ///
    /// # Errors
    /// It did not end within half a minute, or not well.
    pub async fn stop(mut self) -> Result<Stopped, ProcessFault> {
        ask_to_stop(self.which, &mut self.process).await?;
        self.process.end_well(DOWN_MAX).await?;
        // What it said last may still be on its way.
        while self.status.changed().await.is_ok() {}
        Ok(Stopped { status: self.status(), memory_max: self.memory_max() })
    }
}
