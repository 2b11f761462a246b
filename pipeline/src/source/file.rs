//! The `file` source: the path of an NDJSON file and the last checkpoint enter, records leave in the order in which
//! they were written, across rotations and restarts. Without `follow` it ends at the end of the file; with it, it
//! waits for more, as `tail -F` does.
//!
//! What it asks of whoever writes the file: it only ever appends, and rotated files stay uncompressed in the same
//! directory until they are read (logrotate's `delaycompress`). Rotation by rename loses nothing. Copytruncate may
//! lose what is written between the copy and the truncation, before any reader could see it.
//!
//! Read once without `follow`, a last line without a newline is a record; if it is completed later, a resumed run
//! reads the rest of it as another.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::{Stream, stream};
use state::{Checkpoint, Clock};
use tokio::{task::spawn_blocking, time::Instant};

use super::{
    Line, Lines, Origin, ReadLimits, Source, SourceFault, SourceRecord,
    mark::FileMark,
    reader::{Reader, Resume, Turn},
};

#[cfg(test)]
mod follow_tests;
#[cfg(test)]
mod tests;

/// How a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileOptions {
    /// How much is held at once.
    pub limits: ReadLimits,
    /// How long to wait at the end of the file before looking for more. The default, 250 ms, is a look that costs
    /// nothing and a delay nobody sees.
    pub poll: Duration,
    /// How long a renamed file must have been quiet, once the new one has content, before it is left for good. The
    /// default, 1 s, is for logs written by several processes, which do not move to the new file at the same moment.
    pub rotate_wait: Duration,
    /// The most entries of the file's directory that are looked at for rotated files, once a poll while the file is
    /// between rotations. The default, 10,000, keeps that within milliseconds.
    pub directory_entries_max: usize,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self {
            limits: ReadLimits::default(),
            poll: Duration::from_millis(250),
            rotate_wait: Duration::from_secs(1),
            directory_entries_max: 10_000,
        }
    }
}

/// What happened to a file while it was read, counted since the source was opened.
#[derive(Debug, Default)]
pub struct FileCounts {
    rotations: AtomicU64,
    truncations: AtomicU64,
    gaps: AtomicU64,
}

impl FileCounts {
    /// How often the next file was begun after the end of one.
    #[must_use]
    pub fn rotations(&self) -> u64 {
        self.rotations.load(Relaxed)
    }

    /// How often the file was truncated while it was read.
    #[must_use]
    pub fn truncations(&self) -> u64 {
        self.truncations.load(Relaxed)
    }

    /// How often bytes may have been lost: the place to go on at was gone, or a file was compressed too early.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.gaps.load(Relaxed)
    }

    pub(super) fn rotation(&self) {
        self.rotations.fetch_add(1, Relaxed);
    }

    pub(super) fn truncation(&self) {
        self.truncations.fetch_add(1, Relaxed);
    }

    pub(super) fn gap(&self) {
        self.gaps.fetch_add(1, Relaxed);
    }
}

/// NDJSON from a file.
#[derive(Debug)]
pub struct FileSource {
    name: Arc<str>,
    reader: Reader,
    clock: Clock,
}

impl FileSource {
    /// The name of the source that reads `path`: `file:` and the last component of the path, so that a log moved to
    /// another directory with its rotated files is still the same source.
    #[must_use]
    pub fn name_of(path: &Path) -> Arc<str> {
        Arc::from(format!("file:{}", path.file_name().unwrap_or_default().to_string_lossy()))
    }

    /// Opens `path` at `checkpoint`, or at its beginning.
    ///
    /// If the checkpoint is in another file than the one at `path`, that file is looked for among the rotated ones,
    /// and read to its end first, then those rotated after it, then `path`, each with the next epoch. If it is not
    /// found, this is warned of and counted, and `path` is read from its beginning with the next epoch.
    ///
    /// # Errors
    /// [`SourceFault::Missing`] without `follow` if there is no such file; with it, the stream waits.
    /// [`SourceFault::ForeignMark`] if the checkpoint was not written by a file source;
    /// [`SourceFault::NotAFile`], [`SourceFault::Unreadable`] and [`SourceFault::CrowdedDirectory`] as they say.
    pub async fn open(
        path: impl Into<PathBuf>,
        follow: bool,
        checkpoint: Option<Checkpoint>,
        options: FileOptions,
        clock: Clock,
    ) -> Result<Self, SourceFault> {
        let path = path.into();
        let name = Self::name_of(&path);
        let resume = checkpoint.map(|checkpoint| resume(&name, &checkpoint)).transpose()?;
        let reader = blocking(&name, move || {
            let mut reader = Reader::new(path, follow, options, resume)?;
            reader.locate()?;
            Ok(reader)
        });
        let reader = reader.await??;
        Ok(Self { name, reader, clock })
    }

    /// The counters of this source; they go on while its stream runs.
    #[must_use]
    pub fn counts(&self) -> Arc<FileCounts> {
        Arc::clone(&self.reader.counts)
    }
}

impl Source for FileSource {
    fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    fn into_stream(self) -> impl Stream<Item = Result<SourceRecord, SourceFault>> + Send + 'static {
        // Boxed, because the stream moves it once a record.
        let feed = Box::new(Feed::new(self));
        stream::try_unfold(
            feed,
            |mut feed| async move { Ok(feed.next().await?.map(|record| (record, feed))) },
        )
    }
}

fn resume(name: &Arc<str>, checkpoint: &Checkpoint) -> Result<Resume, SourceFault> {
    let mark = FileMark::decode(&checkpoint.mark).ok_or_else(|| SourceFault::ForeignMark {
        source_name: Arc::clone(name),
        len: checkpoint.mark.len(),
    })?;
    Ok(Resume { epoch: checkpoint.epoch, offset: checkpoint.offset, mark })
}

async fn blocking<T: Send + 'static>(
    name: &Arc<str>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SourceFault> {
    spawn_blocking(work).await.map_err(|error| SourceFault::Interrupted {
        source_name: Arc::clone(name),
        detail: error.to_string(),
    })
}

/// A source at work: the block being split, and the reader of the next one.
struct Feed {
    /// Away only while a block is being read, and for good after a fault.
    reader: Option<Reader>,
    poll: Duration,
    clock: Clock,
    origin: Origin,
    lines: Lines,
    block: Vec<u8>,
    filled: usize,
    taken: usize,
}

impl Feed {
    fn new(source: FileSource) -> Self {
        let options = source.reader.options;
        let mut feed = Self {
            poll: options.poll,
            clock: source.clock,
            origin: Origin { source: source.name, epoch: 0, mark: Arc::from([]), read_at: 0 },
            lines: Lines::new(options.limits.record_bytes_max, 0),
            block: vec![0; options.limits.block_bytes.max(1)],
            filled: 0,
            taken: 0,
            reader: Some(source.reader),
        };
        feed.enter_file();
        feed
    }

    async fn next(&mut self) -> Result<Option<SourceRecord>, SourceFault> {
        loop {
            let mut rest = &self.block[self.taken..self.filled];
            let line = self.lines.next_in(&mut rest);
            self.taken = self.filled - rest.len();
            if let Some(line) = line {
                return Ok(Some(self.record(line)));
            }
            let last = match self.turn().await? {
                Turn::Bytes(read) => {
                    (self.filled, self.taken) = (read, 0);
                    self.origin.read_at = self.clock.now();
                    self.enter_place();
                    continue;
                }
                Turn::Again => continue,
                Turn::Quiet => {
                    tokio::time::sleep(self.poll).await;
                    continue;
                }
                Turn::NextFile => {
                    // The line in progress belongs to the file that was left.
                    let last = self.lines.finish().map(|line| self.record(line));
                    self.enter_file();
                    last
                }
                Turn::End => match self.lines.finish() {
                    None => return Ok(None),
                    last => last.map(|line| self.record(line)),
                },
            };
            if last.is_some() {
                return Ok(last);
            }
        }
    }

    fn record(&self, line: Line) -> SourceRecord {
        self.origin.record(line)
    }

    async fn turn(&mut self) -> Result<Turn, SourceFault> {
        (self.filled, self.taken) = (0, 0);
        let Some(mut reader) = self.reader.take() else { return Ok(Turn::End) };
        let (mut block, now) = (std::mem::take(&mut self.block), Instant::now());
        let work = move || {
            let turn = reader.turn(&mut block, now);
            (reader, block, turn)
        };
        let (reader, block, turn) = blocking(&self.origin.source, work).await?;
        (self.reader, self.block) = (Some(reader), block);
        turn
    }

    /// Takes over the reader's epoch and mark, for the records from here on.
    fn enter_place(&mut self) {
        if let Some((epoch, _, mark)) = self.reader.as_ref().and_then(Reader::place) {
            self.origin.epoch = epoch;
            if !Arc::ptr_eq(&self.origin.mark, mark) {
                self.origin.mark = Arc::clone(mark);
            }
        }
    }

    /// The same at the beginning of a file, or where one is resumed.
    fn enter_file(&mut self) {
        let position = self.reader.as_ref().and_then(Reader::place).map_or(0, |(_, position, _)| position);
        self.lines.restart(position);
        self.enter_place();
    }
}
