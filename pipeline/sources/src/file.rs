//! The `file` source: reads the records of an NDJSON file in the order in which they were written, across rotations
//! and restarts. Without `follow` it ends at the end of the file; with it, it waits for more, as `tail -F` does.
//!
//! Requirements on the writer: it only ever appends, and rotated files keep names that fit [`FileOptions::rotated`]
//! until they are read, compressed (gzip, zstd) or not. Copytruncate may lose what is written between the copy and
//! the truncation, before any reader could see it.
//!
//! Read once without `follow`, a last line without a newline is a record; if it is completed later, a resumed run
//! reads the rest of it as another.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::stream;
use state::{Checkpoint, Clock, FileRecord};
use tokio::{task::spawn_blocking, time::Instant};
use tokio_stream::Stream;

use super::{
    FileCounts, FileMemory, FileRegister, Line, Lines, Origin, ReadFault, ReadLimits, SourcePartition,
    SourceRecord,
    known_files::KnownFiles,
    mark::FileMark,
    reader::{Reader, Resume, Step},
};

#[cfg(test)]
mod compressed_tests;
#[cfg(test)]
mod follow_tests;
#[cfg(test)]
mod memory_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod torture_tests;

/// How a file is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOptions {
    /// How much is held at once.
    pub limits: ReadLimits,
    /// How long to wait at the end of the file before polling again. The default is 250 ms.
    pub poll: Duration,
    /// How long a renamed file must not have grown, once the new one has content, before it is left for good. The
    /// default, 1 s, is for logs of several processes, which do not move to the new file at the same time.
    pub rotate_wait: Duration,
    /// The most entries of the file's directory that are looked at for rotated files, once a poll while the file is
    /// between rotations. The default, 10,000, keeps that within milliseconds.
    pub directory_entries_max: usize,
    /// The name patterns of rotated files: a file name with one `*`, after a directory if it is not the log's. Empty,
    /// the default, stands for the names of logrotate in the log's directory.
    pub rotated: Vec<String>,
    /// What to do with a log that is neither the one that was read nor its successor.
    pub on_unknown: OnUnknown,
}

/// What to do with a log that is neither the one that was read nor its successor: an older copy of it, or one in
/// another directory that begins differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnknown {
    /// The run does not start, because delivered records could be delivered again.
    #[default]
    Refuse,
    /// It is read from its beginning, and the unread rest of the other is lost.
    Begin,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self {
            limits: ReadLimits::default(),
            poll: Duration::from_millis(250),
            rotate_wait: Duration::from_secs(1),
            directory_entries_max: 10_000,
            rotated: Vec::new(),
            on_unknown: OnUnknown::Refuse,
        }
    }
}

/// NDJSON from a file.
#[derive(Debug)]
pub struct FileSource {
    name: Arc<str>,
    reader: Reader,
    register: Option<Arc<dyn FileRegister>>,
    clock: Clock,
}

impl FileSource {
    /// The name of the source that reads `path`: `file:` and the last component of the path, so that a log moved to
    /// another directory with its rotated files is still the same source.
    #[must_use]
    pub fn name_of(path: &Path) -> Arc<str> {
        Arc::from(format!("file:{}", path.file_name().unwrap_or_default().to_string_lossy()))
    }

    /// Whether `head`, of which 1 KiB counts, is the beginning of the file that a checkpoint's `mark` identifies.
    #[must_use]
    pub fn begins(mark: &[u8], head: &[u8]) -> bool {
        FileMark::decode(mark).is_some_and(|mark| mark.begins(head))
    }

    /// Opens `path` where `memory` says, or at its beginning.
    ///
    /// If the checkpoint is in another file than the one at `path`, that file is searched by its inode and its
    /// content, and read to its end first, then those rotated after it, then `path`, each with an epoch of its own. A
    /// file that is not found is lost: the loss is recorded, logged and counted, and the next one is read.
    ///
    /// # Errors
    /// [`ReadFault::Missing`] without `follow` if there is no such file; with it, the stream waits.
    /// [`ReadFault::ForeignMark`] if the checkpoint was not written by a file source;
    /// [`ReadFault::OlderCopy`] and [`ReadFault::UnknownFile`] if what was delivered would be delivered again;
    /// [`ReadFault::NotAFile`], [`ReadFault::Unreadable`] and [`ReadFault::CrowdedDirectory`] as they say.
    pub async fn open(
        path: impl Into<PathBuf>,
        follow: bool,
        memory: FileMemory,
        options: FileOptions,
        clock: Clock,
    ) -> Result<Self, ReadFault> {
        let path = path.into();
        let name = Self::name_of(&path);
        let FileMemory { checkpoint, files, first_epoch, register } = memory;
        let known_files = KnownFiles::new(files, first_epoch);
        let resume = match checkpoint {
            Some(checkpoint) => Some(resume(&name, &known_files, &checkpoint)?),
            // Something was read, but nothing of it was settled.
            None => known_files.beginning().map(|(epoch, mark)| Resume { epoch, offset: 0, mark }),
        };
        let of_reader = clock.clone();
        let reader = blocking(&name, move || {
            let mut reader = Reader::new(path, follow, options, (known_files, resume), of_reader)?;
            reader.locate()?;
            Ok(reader)
        });
        let mut reader = reader.await??;
        record(register.as_ref(), reader.known_files.take_unwritten()).await?;
        Ok(Self { name, reader, register, clock })
    }

    /// The counters of this source; they go on while its stream runs.
    #[must_use]
    pub fn counts(&self) -> Arc<FileCounts> {
        Arc::clone(&self.reader.counts)
    }
}

impl FileSource {
    /// The source name of its positions and its checkpoint.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
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
        // Boxed, because the stream moves it once a record.
        let feed = Box::new(Feed::new(self));
        stream::try_unfold(
            feed,
            |mut feed| async move { Ok(feed.next().await?.map(|record| (record, feed))) },
        )
    }
}

fn resume(name: &Arc<str>, known_files: &KnownFiles, checkpoint: &Checkpoint) -> Result<Resume, ReadFault> {
    let mark = FileMark::decode(&checkpoint.mark).ok_or_else(|| ReadFault::ForeignMark {
        source_name: Arc::clone(name),
        len: checkpoint.mark.len(),
    })?;
    // More of its beginning may be known since.
    let met = known_files.mark(checkpoint.epoch).filter(|met| met.head_len() > mark.head_len());
    Ok(Resume { epoch: checkpoint.epoch, offset: checkpoint.offset, mark: met.unwrap_or(mark) })
}

/// Returns once the files are recorded. Called before anything of them is emitted.
async fn record(register: Option<&Arc<dyn FileRegister>>, met: Vec<FileRecord>) -> Result<(), ReadFault> {
    match register {
        Some(register) if !met.is_empty() => register.record(met).await.map_err(ReadFault::State),
        _ => Ok(()),
    }
}

async fn blocking<T: Send + 'static>(
    name: &Arc<str>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ReadFault> {
    spawn_blocking(work)
        .await
        .map_err(|error| ReadFault::Interrupted { source_name: Arc::clone(name), detail: error.to_string() })
}

/// A running source: the block being split, and the reader of the next one.
struct Feed {
    /// None while a block is being read, and after a fault.
    reader: Option<Reader>,
    register: Option<Arc<dyn FileRegister>>,
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
        let options = source.reader.options.clone();
        let mut feed = Self {
            poll: options.poll,
            register: source.register,
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

    async fn next(&mut self) -> Result<Option<SourceRecord>, ReadFault> {
        loop {
            let mut rest = &self.block[self.taken..self.filled];
            let line = self.lines.next_in(&mut rest);
            self.taken = self.filled - rest.len();
            if let Some(line) = line {
                return Ok(Some(self.record(line)));
            }
            let last = match self.step().await? {
                Step::Bytes(read) => {
                    (self.filled, self.taken) = (read, 0);
                    self.origin.read_at = self.clock.monotonic();
                    self.enter_place();
                    continue;
                }
                Step::Retry => continue,
                Step::Idle => {
                    tokio::time::sleep(self.poll).await;
                    continue;
                }
                Step::NextFile => {
                    // The line in progress belongs to the file that was left.
                    let last = self.lines.finish().map(|line| self.record(line));
                    self.enter_file();
                    last
                }
                Step::End => match self.lines.finish() {
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

    async fn step(&mut self) -> Result<Step, ReadFault> {
        (self.filled, self.taken) = (0, 0);
        let Some(mut reader) = self.reader.take() else { return Ok(Step::End) };
        let (mut block, now) = (std::mem::take(&mut self.block), Instant::now());
        let work = move || {
            let step = reader.step(&mut block, now);
            (reader, block, step)
        };
        let (mut reader, block, step) = blocking(&self.origin.source, work).await?;
        let met = reader.known_files.take_unwritten();
        (self.reader, self.block) = (Some(reader), block);
        record(self.register.as_ref(), met).await?;
        step
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

    /// As [`enter_place`](Self::enter_place), at the beginning of a file or where one is resumed.
    fn enter_file(&mut self) {
        let position = self.reader.as_ref().and_then(Reader::place).map_or(0, |(_, position, _)| position);
        self.lines.restart(position);
        self.enter_place();
    }
}
