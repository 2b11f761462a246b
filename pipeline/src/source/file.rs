//! The `file` source: the path of an NDJSON file and what earlier runs left of it enter, records leave in the order in
//! which they were written, across rotations and restarts. Without `follow` it ends at the end of the file; with it, it
//! waits for more, as `tail -F` does.
//!
//! What it asks of whoever writes the file: it only ever appends, and rotated files stay where their names fit
//! [`FileOptions::rotated`] until they are read, compressed (gzip, zstd) or not. Copytruncate may lose what is written
//! between the copy and the truncation, before any reader could see it.
//!
//! Read once without `follow`, a last line without a newline is a record; if it is completed later, a resumed run
//! reads the rest of it as another.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::{Stream, stream};
use state::{Checkpoint, Clock, FileRecord};
use tokio::{task::spawn_blocking, time::Instant};

use super::{
    FileCounts, FileMemory, FileRegister, Line, Lines, Origin, ReadLimits, Source, SourceFault, SourceRecord,
    chain::Chain,
    mark::FileMark,
    reader::{Reader, Resume, Turn},
};

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
    /// How long to wait at the end of the file before looking for more. The default, 250 ms, is a look that costs
    /// nothing and a delay nobody sees.
    pub poll: Duration,
    /// How long a renamed file must have been quiet, once the new one has content, before it is left for good. The
    /// default, 1 s, is for logs written by several processes, which do not move to the new file at the same moment.
    pub rotate_wait: Duration,
    /// The most entries of the file's directory that are looked at for rotated files, once a poll while the file is
    /// between rotations. The default, 10,000, keeps that within milliseconds.
    pub directory_entries_max: usize,
    /// How rotated files are called: a file name with one `*` each, behind a directory if it is not the log's. The
    /// default, none, knows the names that logrotate gives, in the log's directory.
    pub rotated: Vec<String>,
    /// What becomes of a log that is neither the one that was read nor its successor.
    pub on_unknown: OnUnknown,
}

/// What becomes of a log that is neither the one that was read nor its successor: an older copy of it, or one in another
/// directory that begins differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnknown {
    /// The run does not start: what was delivered would be delivered again.
    #[default]
    Refuse,
    /// It is read from its beginning, and what was not read of the other is lost.
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

    /// Whether a file that begins with `head`, of which 1 KiB counts, begins as the one that a checkpoint's `mark` is of.
    #[must_use]
    pub fn begins(mark: &[u8], head: &[u8]) -> bool {
        FileMark::decode(mark).is_some_and(|mark| mark.begins(head))
    }

    /// Opens `path` where `memory` says, or at its beginning.
    ///
    /// If the checkpoint is in another file than the one at `path`, that file is looked for by its inode and its content,
    /// and read to its end first, then those rotated after it, then `path`, each with an epoch of its own. A file that is
    /// not found is lost: that is put on record, warned of and counted, and the next one read.
    ///
    /// # Errors
    /// [`SourceFault::Missing`] without `follow` if there is no such file; with it, the stream waits.
    /// [`SourceFault::ForeignMark`] if the checkpoint was not written by a file source;
    /// [`SourceFault::OlderCopy`] and [`SourceFault::UnknownFile`] if what was delivered would be delivered again;
    /// [`SourceFault::NotAFile`], [`SourceFault::Unreadable`] and [`SourceFault::CrowdedDirectory`] as they say.
    pub async fn open(
        path: impl Into<PathBuf>,
        follow: bool,
        memory: FileMemory,
        options: FileOptions,
        clock: Clock,
    ) -> Result<Self, SourceFault> {
        let path = path.into();
        let name = Self::name_of(&path);
        let FileMemory { checkpoint, files, first_epoch, register } = memory;
        let chain = Chain::new(files, first_epoch);
        let resume = match checkpoint {
            Some(checkpoint) => Some(resume(&name, &chain, &checkpoint)?),
            // Something was read, and nothing of it settled.
            None => chain.beginning().map(|(epoch, mark)| Resume { epoch, offset: 0, mark }),
        };
        let of_reader = clock.clone();
        let reader = blocking(&name, move || {
            let mut reader = Reader::new(path, follow, options, (chain, resume), of_reader)?;
            reader.locate()?;
            Ok(reader)
        });
        let mut reader = reader.await??;
        record(register.as_ref(), reader.chain.take_unwritten()).await?;
        Ok(Self { name, reader, register, clock })
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

fn resume(name: &Arc<str>, chain: &Chain, checkpoint: &Checkpoint) -> Result<Resume, SourceFault> {
    let mark = FileMark::decode(&checkpoint.mark).ok_or_else(|| SourceFault::ForeignMark {
        source_name: Arc::clone(name),
        len: checkpoint.mark.len(),
    })?;
    // More of its beginning may have been seen since.
    let met = chain.mark(checkpoint.epoch).filter(|met| met.head_len() > mark.head_len());
    Ok(Resume { epoch: checkpoint.epoch, offset: checkpoint.offset, mark: met.unwrap_or(mark) })
}

/// Returns once it is on record, before anything more is handed out.
async fn record(register: Option<&Arc<dyn FileRegister>>, met: Vec<FileRecord>) -> Result<(), SourceFault> {
    match register {
        Some(register) if !met.is_empty() => register.record(met).await.map_err(SourceFault::State),
        _ => Ok(()),
    }
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
                    self.origin.read_at = self.clock.lived();
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
        let (mut reader, block, turn) = blocking(&self.origin.source, work).await?;
        let met = reader.chain.take_unwritten();
        (self.reader, self.block) = (Some(reader), block);
        record(self.register.as_ref(), met).await?;
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
