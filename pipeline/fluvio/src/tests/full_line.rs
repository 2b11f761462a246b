//! A line that seldom asks for a record; streams that seem to work and do not; and what is told of them.

use std::{
    io::{self, Write},
    sync::Arc,
};

use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};
use tracing::subscriber::set_default;

use super::{super::scripted::AfterRecords, *};

/// Asks for a record once in `every`, as a full line does, until `count` have come.
async fn ask_seldom(
    stream: &mut (impl Stream<Item = Result<SourceRecord, TopicFault>> + Unpin),
    every: Duration,
    count: usize,
) -> Vec<u64> {
    let mut offsets = Vec::new();
    for _ in 0..1_000 {
        if offsets.len() == count {
            break;
        }
        match stream.next().now_or_never() {
            Some(record) => offsets.push(record.unwrap().unwrap().raw.position.offset),
            None => sleep(every).await,
        }
    }
    offsets
}

#[tokio::test(start_paused = true)]
async fn a_line_that_seldom_asks_does_not_make_a_stream_stall() {
    let (script, source) = source(0, (0, 1), []);
    let counts = source.counts();
    let mut stream = Box::pin(source.into_stream());
    take(&mut stream, 1).await.unwrap();
    // A look sees the record while its response is under way; then the line is full for longer than a stall takes.
    assert!(timeout(10 * SECOND, stream.next()).await.is_err());
    script.set_latency(SECOND / 25);
    script.set_bounds(0, 9);
    assert_eq!(ask_seldom(&mut stream, 30 * SECOND, 8).await, (1..9).collect::<Vec<u64>>());
    assert_eq!((counts.stalls(), counts.reconnects(), script.connects()), (0, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_line_that_seldom_asks_does_not_make_the_cluster_late() {
    let (script, source) = source(0, (0, 9), [ScriptStep::Play(vec![0, 1], AfterRecords::End)]);
    let counts = source.counts();
    let mut stream = Box::pin(source.into_stream());
    take(&mut stream, 2).await.unwrap();
    // A connection, a stream and its first record take 8 s, of which each may take 10 s.
    script.set_latency(2 * SECOND);
    assert_eq!(ask_seldom(&mut stream, 60 * SECOND, 3).await, [2, 3, 4]);
    assert_eq!((script.connects(), counts.reconnects()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_gives_only_repeats_has_stalled() {
    let (script, source) = source(0, (0, 9), [ScriptStep::Play(vec![0, 1, 2], AfterRecords::Repeat(1))]);
    let counts = source.counts();
    let given = timeout(600 * SECOND, offsets(source, 5)).await.expect("the stream is opened again");
    assert_eq!(given.unwrap(), [0, 1, 2, 3, 4]);
    assert_eq!((counts.stalls(), script.opened_at()), (1, vec![0, 2]));
    assert!((15..30).contains(&counts.repeats()), "one a second: {}", counts.repeats());
}

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<u8>>>);

impl Write for Told {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Told {
    /// How many lines have these words.
    fn count(&self, words: &str) -> usize {
        let told = String::from_utf8(self.0.lock().clone()).unwrap();
        told.lines().filter(|line| line.contains(words)).count()
    }
}

/// What is logged from now on, without debug.
fn listen() -> (Told, impl Drop) {
    let told = Told::default();
    let into = told.clone();
    let logs = tracing_subscriber::fmt().with_ansi(false).with_writer(move || into.clone()).finish();
    (told, set_default(logs))
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_cannot_be_read_is_told_once_and_not_as_a_lost_cluster() {
    let (told, _listening) = listen();
    let first = ScriptStep::Play(vec![0, 1], AfterRecords::Unreadable);
    let again = std::iter::repeat_n(ScriptStep::Play(vec![1], AfterRecords::Unreadable), 20);
    let (script, source) = source(0, (0, 9), std::iter::once(first).chain(again));
    assert_eq!(offsets(source, 4).await.unwrap(), [0, 1, 2, 3]);
    assert_eq!(script.connects(), 22);
    assert_eq!(told.count("the log cannot be read past this position; retrying"), 1);
    assert_eq!((told.count("reading resumed"), told.count("tries=21")), (1, 1));
    assert_eq!(told.count("unreachable"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_is_back_when_a_record_comes_or_the_log_has_no_more() {
    let (told, _listening) = listen();
    let again = std::iter::repeat_n(ScriptStep::Play(vec![1], AfterRecords::Fail), 5);
    let (script, source) =
        source(0, (0, 2), std::iter::once(ScriptStep::Play(vec![0, 1], AfterRecords::Fail)).chain(again));
    let mut stream = Box::pin(source.into_stream());
    take(&mut stream, 2).await.unwrap();
    assert!(timeout(600 * SECOND, stream.next()).await.is_err());
    assert_eq!(script.connects(), 7);
    assert_eq!((told.count("the cluster is unreachable"), told.count("the cluster answers again")), (1, 1));
    assert_eq!(told.count("still unreachable"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_ends_before_the_place_is_told_once() {
    let (told, _listening) = listen();
    let (script, source) = source(5, (0, 3), []);
    let mut stream = Box::pin(source.into_stream());
    assert!(timeout(600 * SECOND, stream.next()).await.is_err());
    script.set_bounds(0, 9);
    take(&mut stream, 1).await.unwrap();
    assert_eq!(told.count("the log ends before the offset to resume at"), 1);
    assert_eq!((told.count("reading resumed"), told.count("unreachable")), (1, 0));
}
