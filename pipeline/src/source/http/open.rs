//! A gathered body becomes its records: decompressed and taken apart, away from the event loop where that takes long, and
//! in no more bodies at once than there are cores. What is short is done on the spot.

use std::{io, sync::Arc, thread};

use bytes::Bytes;
use tokio::{sync::Semaphore, task::spawn_blocking, time::Instant};

use super::{
    body::{BodyFault, RecordLimits, records},
    gather::Encoding,
    inflate::inflate,
};

/// The longest body that is taken apart on the spot, in bytes: well under a millisecond.
const SHORT: usize = 64 << 10;

/// Why there are no records.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenFault {
    #[error("the body has more than {max} bytes when it is decompressed; post it in parts")]
    TooLarge { max: usize },
    #[error("the body is compressed to less than one byte in {max}; post it in parts, or as it is")]
    TooDense { max: usize },
    #[error("the body has more than {max} gzip members; compress it as one")]
    TooManyMembers { max: usize },
    #[error("the body could not be decompressed in time; nothing of it was accepted")]
    TooSlow,
    #[error("the body is not gzip, as its Content-Encoding says: {0}")]
    NotGzip(io::Error),
    #[error(transparent)]
    Body(#[from] BodyFault),
    #[error("the body could not be read now; nothing of it was accepted, post it again")]
    Interrupted,
}

/// Where long bodies wait for a core.
#[derive(Debug)]
pub(super) struct Opener(Arc<Semaphore>);

impl Opener {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(thread::available_parallelism().map_or(1, usize::from))))
    }

    /// The records of `body`; `max` bounds its length when it is decompressed, `until` when that has to be done.
    pub(super) async fn open(
        &self,
        body: Bytes,
        encoding: Encoding,
        max: usize,
        says_lines: bool,
        limits: RecordLimits,
        until: Instant,
    ) -> Result<Vec<Bytes>, OpenFault> {
        if encoding == Encoding::Identity && body.len() <= SHORT {
            return Ok(records(&body, says_lines, limits)?);
        }
        let place = self.0.clone().acquire_owned().await.map_err(|_| OpenFault::Interrupted)?;
        let opened = spawn_blocking(move || {
            // Held to the end, also if whoever has posted has gone.
            let _place = place;
            let body = match encoding {
                Encoding::Identity => body,
                Encoding::Gzip => inflate(&body, max, until)?,
            };
            Ok(records(&body, says_lines, limits)?)
        });
        opened.await.map_err(|_| OpenFault::Interrupted)?
    }
}
