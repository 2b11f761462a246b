//! Decompresses a body and splits it into records: long bodies off the event loop, in no more tasks at once than
//! there are cores; short ones inline.

use std::{sync::Arc, thread};

use bytes::Bytes;
use tokio::{sync::Semaphore, task::spawn_blocking, time::Instant};

use super::{
    body::{RecordLimits, records},
    inflate::inflate,
    read_body::Encoding,
    unpack_fault::UnpackFault,
};

/// The longest body that is split inline, in bytes: well under a millisecond.
const INLINE_MAX: usize = 64 << 10;

/// Limits how many long bodies are unpacked at once.
#[derive(Debug)]
pub(super) struct Unpacker(Arc<Semaphore>);

impl Unpacker {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(thread::available_parallelism().map_or(1, usize::from))))
    }

    /// The records of `body`; `max` bounds its decompressed length, `until` the time.
    pub(super) async fn unpack(
        &self,
        body: Bytes,
        encoding: Encoding,
        max: usize,
        says_lines: bool,
        limits: RecordLimits,
        until: Instant,
    ) -> Result<Vec<Bytes>, UnpackFault> {
        if encoding == Encoding::Identity && body.len() <= INLINE_MAX {
            return Ok(records(&body, says_lines, limits)?);
        }
        let permit = self.0.clone().acquire_owned().await.map_err(|_| UnpackFault::Interrupted)?;
        let unpacked = spawn_blocking(move || {
            // Held to the end, even if the client has gone.
            let _permit = permit;
            let body = match encoding {
                Encoding::Identity => body,
                Encoding::Gzip => inflate(&body, max, until)?,
            };
            Ok(records(&body, says_lines, limits)?)
        });
        unpacked.await.map_err(|_| UnpackFault::Interrupted)?
    }
}
