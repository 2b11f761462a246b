//! Where the parts of a line run: each shard on a thread of its own, or everything on the caller's thread.
//!
//! On the caller's thread nothing depends on the scheduler of the operating system: with a paused clock, seeded stages
//! and a storage in memory, two runs over the same input take the same steps.

use std::{io, thread};

use futures::future::BoxFuture;
use state::StateFault;
use tokio::runtime::Builder;

/// Where the shards of a line and its disk reads run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Executor {
    /// Each shard has a thread with a runtime of its own; disk reads go to threads that may block.
    #[default]
    Threads,
    /// Everything runs on the current-thread runtime that runs the line, for simulation. A disk read holds up all else.
    CurrentThread,
}

impl Executor {
    /// Starts a shard; `name` is that of its thread.
    ///
    /// # Errors
    /// The thread or its runtime cannot be made.
    pub(super) fn spawn(self, name: &str, shard: BoxFuture<'static, ()>) -> io::Result<()> {
        match self {
            Self::Threads => {
                let runtime = Builder::new_current_thread().enable_all().build()?;
                thread::Builder::new().name(name.to_owned()).spawn(move || runtime.block_on(shard))?;
            }
            // The shard reports its end itself, also by a panic.
            Self::CurrentThread => drop(tokio::spawn(shard)),
        }
        Ok(())
    }

    /// Runs what may wait for the disk where it holds up nobody.
    ///
    /// # Errors
    /// [`StateFault::Closed`] if the process is ending.
    pub(super) async fn blocking<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, StateFault> {
        match self {
            Self::Threads => tokio::task::spawn_blocking(work).await.map_err(StateFault::interrupted),
            Self::CurrentThread => Ok(work()),
        }
    }

    /// As [`blocking`](Self::blocking), with nobody waiting for it.
    pub(super) fn detach<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) {
        match self {
            Self::Threads => drop(tokio::task::spawn_blocking(work)),
            Self::CurrentThread => drop(work()),
        }
    }
}
