//! What a process writes to a pipe, read in a task of its own: what has come so far can be looked at any time, all of it
//! once the pipe is closed. It is kept whole, so this is for processes that end within a test.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    task::JoinHandle,
};

/// How much is read at once.
const BLOCK: usize = 64 << 10;

/// What has come from a pipe so far.
#[derive(Debug, Default)]
pub struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
    task: Option<JoinHandle<()>>,
}

impl Capture {
    /// Reads `pipe` from now on, until it is closed.
    #[must_use]
    pub fn of(mut pipe: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let into = Arc::clone(&bytes);
        let task = tokio::spawn(async move {
            let mut block = vec![0; BLOCK];
            // A pipe that breaks is a pipe that ends.
            while let Ok(read @ 1..) = pipe.read(&mut block).await {
                into.lock().extend_from_slice(&block[..read]);
            }
        });
        Self { bytes, task: Some(task) }
    }

    /// What has come so far; what is no UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock()).into_owned()
    }

    /// Waits until the pipe is closed. Cancelling loses nothing.
    pub async fn closed(&mut self) {
        if let Some(task) = &mut self.task {
            // It was stopped, or read to the end.
            let _ended = task.await.is_ok();
            self.task = None;
        }
    }

    /// Reads no longer, which closes the pipe: what the process writes to it fails from now on.
    pub async fn stop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        // Only when the reader is gone is the pipe closed.
        self.closed().await;
    }
}
