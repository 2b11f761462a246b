//! Reading a file once: resuming, rotation and truncation between two runs, bounds and faults.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::PathBuf,
    pin::Pin,
    time::SystemTime,
};

use futures::{TryStreamExt, future::BoxFuture};
use parking_lot::Mutex;
use state::{FileRecord, SourceFiles, StateFault};

use super::*;

/// A directory with a log in it, and what a state directory would keep of its files.
pub(super) struct Log(tempfile::TempDir, Arc<Shelf>);

/// Files on record, in memory.
#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<SourceFiles>);

impl FileRegister for Shelf {
    fn record(&self, records: Vec<FileRecord>) -> BoxFuture<'static, Result<(), StateFault>> {
        let mut files = self.0.lock();
        for record in records {
            match record {
                FileRecord::Directory(home) => files.home = Some(home),
                FileRecord::Lost(loss) => files.lost.push(loss),
                FileRecord::ForgetKnown(_) | FileRecord::ForgetLost(..) => {}
                FileRecord::Known(met) => {
                    files.met.retain(|other| other.epoch != met.epoch);
                    files.met.push(met);
                    files.met.sort_by_key(|met| met.epoch);
                }
            }
        }
        Box::pin(async { Ok(()) })
    }
}

pub(super) type Records = Pin<Box<dyn Stream<Item = Result<SourceRecord, ReadFault>> + Send>>;

pub(super) const OPTIONS: FileOptions = FileOptions {
    limits: ReadLimits { block_bytes: 64, record_bytes_max: 1_000 },
    poll: Duration::from_millis(5),
    rotate_wait: Duration::from_millis(5),
    directory_entries_max: 50,
    rotated: Vec::new(),
    on_unknown: OnUnknown::Refuse,
};

impl Log {
    pub(super) fn new(content: &str) -> Self {
        let log = Self(tempfile::tempdir().unwrap(), Arc::default());
        log.append("", content);
        log
    }

    /// The log's path with `suffix` after its name.
    pub(super) fn path(&self, suffix: &str) -> PathBuf {
        self.0.path().join(format!("events.ndjson{suffix}"))
    }

    pub(super) fn append(&self, suffix: &str, content: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(suffix)).unwrap();
        file.write_all(content.as_bytes()).unwrap();
    }

    pub(super) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    pub(super) fn copytruncate(&self, to: &str) {
        fs::copy(self.path(""), self.path(to)).unwrap();
        File::create(self.path("")).unwrap();
    }

    /// A file with this content, compressed as its name says.
    pub(super) fn put(&self, suffix: &str, content: &str) {
        let bytes = if suffix.ends_with(".gz") {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(content.as_bytes()).unwrap();
            encoder.finish().unwrap()
        } else if suffix.ends_with(".zst") {
            zstd::encode_all(content.as_bytes(), 1).unwrap()
        } else {
            content.as_bytes().to_vec()
        };
        fs::write(self.path(suffix), bytes).unwrap();
    }

    /// Sets the last change of the file to a moment long ago.
    pub(super) fn age(&self, suffix: &str, seconds: u64) {
        let file = OpenOptions::new().append(true).open(self.path(suffix)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    }

    pub(super) async fn open(
        &self,
        follow: bool,
        from: Option<&SourceRecord>,
    ) -> Result<FileSource, ReadFault> {
        let checkpoint = from.map(|record| Checkpoint::from(&record.next));
        self.open_as(follow, checkpoint, OPTIONS).await
    }

    pub(super) async fn open_as(
        &self,
        follow: bool,
        checkpoint: Option<Checkpoint>,
        options: FileOptions,
    ) -> Result<FileSource, ReadFault> {
        let (files, register) = (self.files(), Some(self.1.clone() as Arc<dyn FileRegister>));
        let memory = FileMemory { checkpoint, files, first_epoch: 0, register };
        FileSource::open(self.path(""), follow, memory, options, Clock::System).await
    }

    /// The same log at another place, copied as `cp -a` does, with the same state.
    pub(super) fn moved(&self) -> Self {
        let copy = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(self.0.path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        Self(copy, self.1.clone())
    }

    /// What is on record.
    pub(super) fn files(&self) -> SourceFiles {
        self.1.0.lock().clone()
    }

    /// As a version left it that recorded no files.
    pub(super) fn forget_files(&self) {
        *self.1.0.lock() = SourceFiles::default();
    }

    pub(super) async fn follow(&self, from: Option<&SourceRecord>) -> (Records, Arc<FileCounts>) {
        let source = self.open(true, from).await.unwrap();
        let counts = source.counts();
        (Box::pin(source.into_stream()), counts)
    }

    pub(super) async fn read(&self, from: Option<&SourceRecord>) -> Vec<SourceRecord> {
        self.open(false, from).await.unwrap().into_stream().try_collect().await.unwrap()
    }
}

/// The record's text, epoch and offset.
pub(super) fn seen(record: &SourceRecord) -> (&str, u64, u64) {
    let position = &record.raw.position;
    (std::str::from_utf8(&record.raw.bytes).unwrap(), position.epoch, position.offset)
}

pub(super) fn texts_of(records: &[SourceRecord]) -> Vec<String> {
    records.iter().map(|record| seen(record).0.to_owned()).collect()
}

pub(super) fn all_seen(records: &[SourceRecord]) -> Vec<(&str, u64, u64)> {
    records.iter().map(seen).collect()
}

#[tokio::test]
async fn a_file_is_read_to_its_end_and_its_last_line_needs_no_newline() {
    let log = Log::new("\u{feff}one\r\n\n\r\nt\0wo\nthree");
    let records = log.read(None).await;
    assert_eq!(all_seen(&records), [("\u{feff}one", 0, 0), ("t\0wo", 0, 11), ("three", 0, 16)]);
    assert!(records.iter().all(|record| &*record.raw.position.source == "file:events.ndjson"));
    assert_eq!(records[2].next.offset, 21);
    assert!(Arc::ptr_eq(&records[0].next.mark, &records[0].clone().next.mark));
}

#[tokio::test]
async fn resuming_behind_any_record_gives_exactly_the_rest() {
    let text: String = (0..150).map(|n| format!("{{\"line\":{n}}}\n{}", "\n".repeat(n % 3))).collect();
    let log = Log::new(&text);
    let records = log.read(None).await;
    assert_eq!(records.len(), 150);
    for (n, record) in records.iter().enumerate() {
        assert_eq!(all_seen(&log.read(Some(record)).await), all_seen(&records[n + 1..]));
    }
}

#[tokio::test]
async fn after_a_rotation_while_down_the_rest_of_the_old_file_comes_first() {
    for rotated in [".1", "-20260101", ".bak"] {
        let log = Log::new("a\nb\nc\n");
        let before = log.read(None).await;
        log.rename("", rotated);
        log.append(rotated, "d\n");
        log.append("", "e\n");
        let rest = [("b", 0, 2), ("c", 0, 4), ("d", 0, 6), ("e", 1, 0)];
        for (n, record) in before.iter().enumerate() {
            assert_eq!(all_seen(&log.read(Some(record)).await), rest[n..]);
        }
    }
}

#[tokio::test]
async fn files_rotated_in_between_are_read_in_the_order_of_their_names_whatever_the_clock_said() {
    for names in [
        [".3", ".2", ".1"],
        [".10", ".9", ".8.zst"],
        ["-20261129", "-20261130", "-20261130-1"],
        ["-2026113022", "-2026113023", "-20261201"],
        [".2026-11-29", ".2026-11-30.gz", ".2026-12-01"],
    ] {
        let log = Log::new("a\nb\n");
        let before = log.read(None).await;
        log.rename("", names[0]);
        log.append(names[0], "c\n");
        for name in &names[1..] {
            log.put(name, &format!("in {name}\n"));
        }
        // A clock that was set back, or a late write.
        for (name, seconds) in names.iter().zip([300, 200, 100]) {
            log.age(name, seconds);
        }
        log.append("", "last\n");
        let records = log.read(Some(&before[1])).await;
        let texts = names[1..].iter().map(|name| format!("in {name}"));
        let expected: Vec<_> = ["c".to_owned()].into_iter().chain(texts).chain(["last".to_owned()]).collect();
        assert_eq!(texts_of(&records), expected);
        assert_eq!(records.last().unwrap().raw.position.epoch, 3);
        // Also from within one of them.
        assert_eq!(all_seen(&log.read(Some(&records[1])).await), all_seen(&records[2..]));
    }
}

#[tokio::test]
async fn a_file_rotated_to_a_name_with_its_number_in_the_middle_is_read() {
    let log = Log::new("a\n");
    let before = log.read(None).await;
    let at = |name: &str| log.path("").with_file_name(name);
    fs::rename(log.path(""), at("events.2.ndjson")).unwrap();
    fs::write(at("events.1.ndjson"), "b\n").unwrap();
    fs::write(at("events.ndjson"), "c\n").unwrap();
    assert_eq!(all_seen(&log.read(Some(&before[0])).await), [("b", 1, 0), ("c", 2, 0)]);
}

#[tokio::test]
async fn files_whose_names_do_not_tell_their_order_are_all_read_and_that_is_counted() {
    let log = Log::new("a\n");
    let before = log.read(None).await;
    log.rename("", ".1");
    for (suffix, seconds) in [("-20261130", 100), (".2-30112026", 200), ("-1764489600-x", 300)] {
        log.append(suffix, &format!("in {suffix}\n"));
        log.age(suffix, seconds);
    }
    log.append("", "last\n");
    let source = log.open(false, Some(&before[0])).await.unwrap();
    let counts = source.counts();
    let records: Vec<_> = source.into_stream().try_collect().await.unwrap();
    assert_eq!(texts_of(&records), ["in -20261130", "in .2-30112026", "last"]);
    assert_eq!((counts.undecided(), counts.losses()), (1, 0));
}

#[tokio::test]
async fn rotated_files_may_be_called_and_stand_as_the_config_says() {
    let log = Log::new("a\n");
    let before = log.read(None).await;
    let options = FileOptions { rotated: vec!["old/*.log".to_owned()], ..OPTIONS };
    let old = log.path("").with_file_name("old");
    fs::create_dir(&old).unwrap();
    fs::rename(log.path(""), old.join("e-2.log")).unwrap();
    fs::write(old.join("e-1.log"), "b\n").unwrap();
    log.append("", "c\n");
    let checkpoint = Some(Checkpoint::from(&before[0].next));
    let source = log.open_as(false, checkpoint, options).await.unwrap();
    let records: Vec<_> = source.into_stream().try_collect().await.unwrap();
    assert_eq!(all_seen(&records), [("b", 1, 0), ("c", 2, 0)]);
}

#[tokio::test]
async fn after_a_copytruncate_while_down_the_copy_is_read_on() {
    let log = Log::new("a\nb\nc\n");
    let before = log.read(None).await;
    log.copytruncate(".1");
    log.append("", "new\nnewer\nnewest\n");
    let records = log.read(Some(&before[0])).await;
    let news = [("new", 1, 0), ("newer", 1, 4), ("newest", 1, 10)];
    assert_eq!(all_seen(&records), [&[("b", 0, 2), ("c", 0, 4)], &news[..]].concat());
    assert_eq!(all_seen(&log.read(Some(&records[1])).await), news);
}

#[tokio::test]
async fn what_cannot_be_found_again_is_named_and_counted_once_and_the_present_file_read_from_its_start() {
    for truncate in [true, false] {
        let log = Log::new("a\nb\n");
        let before = log.read(None).await;
        if truncate {
            File::create(log.path("")).unwrap();
        } else {
            fs::remove_file(log.path("")).unwrap();
        }
        log.append("", "new\n");
        let source = log.open(false, Some(&before[0])).await.unwrap();
        let counts = source.counts();
        assert_eq!(counts.losses(), 1);
        let records: Vec<_> = source.into_stream().try_collect().await.unwrap();
        assert_eq!(all_seen(&records), [("new", 1, 0)]);
        assert_eq!(counts.losses(), 1);
        let lost = log.files().lost;
        assert_eq!((lost.len(), lost[0].epoch, lost[0].from), (1, 0, 2));

        let again = log.open(false, Some(&before[0])).await.unwrap();
        let counts = again.counts();
        let records: Vec<_> = again.into_stream().try_collect().await.unwrap();
        assert_eq!((all_seen(&records), counts.losses()), (vec![("new", 1, 0)], 0));
    }
}

#[tokio::test]
async fn a_line_of_megabytes_is_cut_and_never_held_whole() {
    let log = Log::new(&format!("first\n{}\nlast\n", "x".repeat(8_000_000)));
    let mut feed = Feed::new(log.open(false, None).await.unwrap());
    let mut records = Vec::new();
    while let Some(record) = feed.next().await.unwrap() {
        assert!(feed.lines.held_capacity() <= 1_000 && feed.block.capacity() <= 64);
        records.push((record.raw.bytes.len(), record.raw.full_len, record.next.offset));
    }
    assert_eq!(records, [(5, 5, 6), (1_000, 8_000_000, 8_000_007), (4, 4, 8_000_012)]);
}

#[tokio::test]
async fn no_more_than_a_block_is_read_ahead_of_what_was_asked_for() {
    let log = Log::new(&"0123456789\n".repeat(1_000));
    let mut feed = Feed::new(log.open(false, None).await.unwrap());
    for _ in 0..100 {
        let record = feed.next().await.unwrap().unwrap();
        let (_, read, _) = feed.reader.as_ref().and_then(Reader::place).unwrap();
        assert!(read < record.next.offset + 64);
    }
}

#[tokio::test]
async fn faults_name_the_thing() {
    let log = Log::new("a\n");
    let record = log.read(None).await.remove(0);
    let fault = |path: PathBuf, checkpoint| async {
        let memory = FileMemory { checkpoint, ..FileMemory::default() };
        FileSource::open(path, false, memory, OPTIONS, Clock::System).await.unwrap_err()
    };
    let missing = fault(log.path(".none"), None).await;
    assert!(matches!(&missing, ReadFault::Missing { path } if *path == log.path(".none")));
    assert!(matches!(fault(log.0.path().to_owned(), None).await, ReadFault::NotAFile { .. }));
    assert!(matches!(fault("/".into(), None).await, ReadFault::NotAFile { .. }));
    let foreign = Checkpoint { mark: b"offset 7".to_vec(), ..Checkpoint::from(&record.next) };
    let foreign = fault(log.path(""), Some(foreign)).await;
    assert!(foreign.to_string().contains("file:events.ndjson has a mark of 8 bytes"), "{foreign}");

    fs::remove_file(log.path("")).unwrap();
    for n in 0..=50 {
        log.append(&format!(".{n}"), "");
    }
    let crowded = log.open(false, Some(&record)).await.unwrap_err();
    assert!(matches!(crowded, ReadFault::CrowdedDirectory { limit: 50, .. }));
}
