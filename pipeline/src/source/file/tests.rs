//! Reading a file once: resuming, rotation and truncation between two runs, bounds and faults.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::PathBuf,
    pin::Pin,
    time::SystemTime,
};

use futures::{StreamExt, TryStreamExt};
use proptest::{collection::vec, prelude::*};

use super::*;

/// A directory with a log in it.
pub(super) struct Log(tempfile::TempDir);

pub(super) type Records = Pin<Box<dyn Stream<Item = Result<SourceRecord, SourceFault>> + Send>>;

pub(super) const OPTIONS: FileOptions = FileOptions {
    limits: ReadLimits { block_bytes: 64, record_bytes_max: 1_000 },
    poll: Duration::from_millis(5),
    rotate_wait: Duration::from_millis(5),
    directory_entries_max: 50,
};

impl Log {
    pub(super) fn new(content: &str) -> Self {
        let log = Self(tempfile::tempdir().unwrap());
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

    /// Sets the last change of the file to a moment long ago.
    fn age(&self, suffix: &str, seconds: u64) {
        let file = OpenOptions::new().append(true).open(self.path(suffix)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    }

    pub(super) async fn open(
        &self,
        follow: bool,
        from: Option<&SourceRecord>,
    ) -> Result<FileSource, SourceFault> {
        let checkpoint = from.map(|record| Checkpoint::from(&record.next));
        FileSource::open(self.path(""), follow, checkpoint, OPTIONS, Clock::System).await
    }

    pub(super) async fn follow(&self, from: Option<&SourceRecord>) -> (Records, Arc<FileCounts>) {
        let source = self.open(true, from).await.unwrap();
        let counts = source.counts();
        (Box::pin(source.into_stream()), counts)
    }

    async fn read(&self, from: Option<&SourceRecord>) -> Vec<SourceRecord> {
        self.open(false, from).await.unwrap().into_stream().try_collect().await.unwrap()
    }
}

/// The record's text, epoch and offset.
pub(super) fn seen(record: &SourceRecord) -> (&str, u64, u64) {
    let position = &record.raw.position;
    (std::str::from_utf8(&record.raw.bytes).unwrap(), position.epoch, position.offset)
}

fn all_seen(records: &[SourceRecord]) -> Vec<(&str, u64, u64)> {
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
async fn files_rotated_in_between_are_read_in_the_order_of_their_last_change() {
    let log = Log::new("a\nb\n");
    let before = log.read(None).await;
    log.rename("", ".9");
    for (suffix, seconds) in [(".9", 100), (".1", 200), ("-20200101", 300), (".2", 50), (".bak", 250)] {
        log.append(suffix, &format!("in {suffix}\n"));
        log.age(suffix, seconds);
    }
    log.append("", "last\n");
    let records = log.read(Some(&before[1])).await;
    assert_eq!(
        all_seen(&records),
        [("in .9", 0, 4), ("in .1", 1, 0), ("in -20200101", 2, 0), ("last", 3, 0)]
    );
    // Also from within one of them.
    assert_eq!(all_seen(&log.read(Some(&records[1])).await), all_seen(&records[2..]));
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
async fn what_cannot_be_found_again_is_counted_and_the_present_file_read_from_its_start() {
    for truncate in [true, false] {
        let log = Log::new("a\nb\n");
        let before = log.read(None).await;
        if truncate {
            File::create(log.path("")).unwrap();
        } else {
            log.rename("", ".1.gz");
        }
        log.append("", "new\n");
        let source = log.open(false, Some(&before[0])).await.unwrap();
        let counts = source.counts();
        assert_eq!(counts.gaps(), 1);
        let records: Vec<_> = source.into_stream().try_collect().await.unwrap();
        assert_eq!(all_seen(&records), [("new", 1, 0)]);
        assert_eq!(counts.gaps(), 1);
    }
}

#[tokio::test]
async fn a_file_compressed_before_it_was_read_is_counted() {
    let log = Log::new("a\n");
    let before = log.read(None).await;
    log.rename("", ".2");
    log.age(".2", 100);
    for (suffix, seconds) in [(".1.gz", 200), (".2.gz", 100)] {
        log.append(suffix, "packed");
        log.age(suffix, seconds);
    }
    log.append("", "b\n");
    let source = log.open(false, Some(&before[0])).await.unwrap();
    let counts = source.counts();
    let records: Vec<_> = source.into_stream().try_collect().await.unwrap();
    assert_eq!((all_seen(&records), counts.gaps(), counts.rotations()), (vec![("b", 1, 0)], 1, 1));
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
        FileSource::open(path, false, checkpoint, OPTIONS, Clock::System).await.unwrap_err()
    };
    let missing = fault(log.path(".none"), None).await;
    assert!(matches!(&missing, SourceFault::Missing { path } if *path == log.path(".none")));
    assert!(matches!(fault(log.0.path().to_owned(), None).await, SourceFault::NotAFile { .. }));
    assert!(matches!(fault("/".into(), None).await, SourceFault::NotAFile { .. }));
    let foreign = Checkpoint { mark: b"offset 7".to_vec(), ..Checkpoint::from(&record.next) };
    let foreign = fault(log.path(""), Some(foreign)).await;
    assert!(foreign.to_string().contains("file:events.ndjson has a mark of 8 bytes"), "{foreign}");

    fs::remove_file(log.path("")).unwrap();
    for n in 0..=50 {
        log.append(&format!(".{n}"), "");
    }
    let crowded = log.open(false, Some(&record)).await.unwrap_err();
    assert!(matches!(crowded, SourceFault::CrowdedDirectory { limit: 50, .. }));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Append(usize),
    Rename,
    CopyTruncate,
    /// A run that reads so many records and stops.
    Run(usize),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn through_any_rotations_and_restarts_each_line_comes_once_and_in_order(
        steps in vec(prop_oneof![
            3 => (0usize..60).prop_map(Step::Append),
            1 => Just(Step::Rename),
            1 => Just(Step::CopyTruncate),
            2 => (1usize..40).prop_map(Step::Run),
        ], 0..25),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let log = Log::new("event 0\n");
        let (mut written, mut rotated) = (1, 0);
        // One record is read first, so that there is a checkpoint from which nothing may be missed.
        let mut records: Vec<SourceRecord> = Vec::new();
        let run = |records: &mut Vec<SourceRecord>, most| {
            let more = runtime.block_on(async {
                let source = log.open(false, records.last()).await.unwrap();
                let counts = source.counts();
                let more: Vec<_> = source.into_stream().take(most).try_collect().await.unwrap();
                assert_eq!((counts.gaps(), counts.truncations()), (0, 0));
                more
            });
            records.extend(more);
        };
        run(&mut records, 1);
        for step in steps.into_iter().chain([Step::Run(usize::MAX)]) {
            match step {
                Step::Append(lines) => {
                    let text: String = (written..written + lines).map(|n| format!("event {n}\n")).collect();
                    log.append("", &text);
                    written += lines;
                }
                Step::Run(most) => run(&mut records, most),
                Step::Rename | Step::CopyTruncate => {
                    for n in (1..=rotated).rev() {
                        log.rename(&format!(".{n}"), &format!(".{}", n + 1));
                    }
                    rotated += 1;
                    if let Step::Rename = step {
                        log.rename("", ".1");
                        log.append("", "");
                    } else {
                        log.copytruncate(".1");
                    }
                }
            }
        }
        let texts: Vec<_> = records.iter().map(|record| seen(record).0.to_owned()).collect();
        prop_assert_eq!(texts, (0..written).map(|n| format!("event {n}")).collect::<Vec<_>>());
        let order = records.windows(2).all(|pair| seen(&pair[0]).1 < seen(&pair[1]).1 || seen(&pair[0]).2 < seen(&pair[1]).2);
        prop_assert!(order, "positions ascend");
    }
}
