//! The `stdin` source: reads records from a byte stream until it ends. It cannot be read twice, so it cannot resume:
//! each run is an epoch of its own and the mark is empty.

use std::sync::Arc;

use futures::stream;
use state::{Clock, UnixMillis};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_stream::Stream;

use super::{Lines, Origin, ReadFault, ReadLimits, SourcePartition, SourceRecord};

/// NDJSON from standard input, or from any other reader.
#[derive(Debug)]
pub struct StdinSource<R> {
    reader: R,
    origin: Origin,
    limits: ReadLimits,
    clock: Clock,
}

impl<R: AsyncRead + Send + Unpin + 'static> StdinSource<R> {
    /// Reads `reader` to its end; `run_epoch`, the time of the start, distinguishes the positions of this run from
    /// those of every other.
    #[must_use]
    pub fn new(reader: R, run_epoch: UnixMillis, limits: ReadLimits, clock: Clock) -> Self {
        let origin = Origin { source: Arc::from("stdin"), epoch: run_epoch, mark: Arc::from([]), read_at: 0 };
        Self { reader, origin, limits, clock }
    }
}

impl<R: AsyncRead + Send + Unpin + 'static> StdinSource<R> {
    /// The source name of its positions and its checkpoint.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        Arc::clone(&self.origin.source)
    }

    /// Its single partition.
    #[must_use]
    pub fn into_partition(
        self,
    ) -> SourcePartition<impl Stream<Item = Result<SourceRecord, ReadFault>> + Send + 'static> {
        SourcePartition::new(self.name(), self.into_stream())
    }

    /// The records, from the place it was opened at.
    pub fn into_stream(self) -> impl Stream<Item = Result<SourceRecord, ReadFault>> + Send + 'static {
        let input = Box::new(Input {
            lines: Lines::new(self.limits.record_bytes_max, 0),
            block: vec![0; self.limits.block_bytes.max(1)],
            filled: 0,
            taken: 0,
            offset: 0,
            ended: false,
            source: self,
        });
        stream::try_unfold(
            input,
            |mut input| async move { Ok(input.next().await?.map(|record| (record, input))) },
        )
    }
}

struct Input<R> {
    source: StdinSource<R>,
    lines: Lines,
    block: Vec<u8>,
    filled: usize,
    taken: usize,
    offset: u64,
    /// Set at the end: a terminal could be read on after it.
    ended: bool,
}

impl<R: AsyncRead + Unpin> Input<R> {
    async fn next(&mut self) -> Result<Option<SourceRecord>, ReadFault> {
        loop {
            let mut rest = &self.block[self.taken..self.filled];
            let line = self.lines.next_in(&mut rest);
            self.taken = self.filled - rest.len();
            if let Some(line) = line {
                return Ok(Some(self.source.origin.record(line)));
            }
            if self.ended {
                return Ok(None);
            }
            let read = self.source.reader.read(&mut self.block).await.map_err(|error| self.fault(&error))?;
            if read == 0 {
                (self.ended, self.filled, self.taken) = (true, 0, 0);
                return Ok(self.lines.finish().map(|line| self.source.origin.record(line)));
            }
            (self.filled, self.taken) = (read, 0);
            self.offset += read as u64;
            self.source.origin.read_at = self.source.clock.monotonic();
        }
    }

    fn fault(&self, error: &std::io::Error) -> ReadFault {
        ReadFault::Input {
            source_name: Arc::clone(&self.source.origin.source),
            offset: self.offset,
            kind: error.kind(),
            detail: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures::{StreamExt, TryStreamExt};

    use super::*;

    fn source<R: AsyncRead + Send + Unpin + 'static>(reader: R) -> StdinSource<R> {
        StdinSource::new(
            reader,
            77,
            ReadLimits { block_bytes: 3, record_bytes_max: 5 },
            Clock::simulated(1_000),
        )
    }

    #[tokio::test]
    async fn lines_come_with_byte_offsets_and_the_last_needs_no_newline() {
        let records: Vec<_> =
            source(&b"one\r\n\ntwo\nlonger than five\nlast"[..]).into_stream().try_collect().await.unwrap();
        let seen: Vec<_> = records
            .iter()
            .map(|r| (r.raw.position.to_string(), &r.raw.bytes[..], r.raw.full_len, r.next.offset))
            .collect();
        assert_eq!(
            seen,
            [
                ("stdin@77:0".to_owned(), &b"one"[..], 3, 5),
                ("stdin@77:6".to_owned(), &b"two"[..], 3, 10),
                ("stdin@77:10".to_owned(), &b"longe"[..], 16, 27),
                ("stdin@77:27".to_owned(), &b"last"[..], 4, 31),
            ]
        );
        assert!(
            records.iter().all(|r| r.next.mark.is_empty() && r.next.epoch == 77 && r.raw.read_at >= 1_000)
        );
    }

    #[tokio::test]
    async fn a_failing_reader_is_a_fault_that_says_how_far_it_came() {
        struct Fails(&'static [u8]);
        impl AsyncRead for Fails {
            fn poll_read(
                mut self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
                buf: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<io::Result<()>> {
                if self.0.is_empty() {
                    return std::task::Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
                }
                let (now, later) = self.0.split_at(buf.remaining().min(self.0.len()));
                buf.put_slice(now);
                self.0 = later;
                std::task::Poll::Ready(Ok(()))
            }
        }
        let items: Vec<_> = source(Fails(b"ok\nhal")).into_stream().collect().await;
        assert_eq!(items.len(), 2);
        assert_eq!(&items[0].as_ref().unwrap().raw.bytes[..], b"ok");
        assert!(matches!(items[1], Err(ReadFault::Input { offset: 6, kind: io::ErrorKind::BrokenPipe, .. })));
    }
}
