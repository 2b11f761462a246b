//! What is told of a partition while it is read: that nobody answers for it, how old what waits there is, what is mirrored;
//! and that looks which end are begun anew.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use futures::stream::{self, BoxStream};
use parking_lot::Mutex;
use tokio::time::sleep;

use super::{
    super::{
        mirror::SettledOffset,
        partition::{Bounds, ClusterFault, LogRecord, Partition},
        scripted::{AfterRecords, record, refused},
    },
    *,
};

/// What comes of a look.
#[derive(Clone, Copy, Debug)]
enum Sees {
    Well,
    Ill,
    /// The task that looks goes down.
    Defect,
}

/// A partition of which only the looks are of interest: its stream gives what is there when it is opened, unstamped.
struct Odd {
    end: AtomicU64,
    sees: Mutex<Sees>,
    opened: AtomicU64,
    /// Whether the leader can be told what is settled.
    session: Mutex<bool>,
    mirrored: Mutex<Vec<u64>>,
}

#[derive(Clone)]
struct Shared(Arc<Odd>);

impl Odd {
    fn with(end: u64) -> Shared {
        Shared(Arc::new(Self {
            end: AtomicU64::new(end),
            sees: Mutex::new(Sees::Well),
            opened: AtomicU64::new(0),
            session: Mutex::new(true),
            mirrored: Mutex::default(),
        }))
    }

    fn bounds(&self) -> Bounds {
        Bounds { start: 0, end: self.end.load(Relaxed) }
    }
}

impl Partition for Shared {
    type Records = BoxStream<'static, Result<LogRecord, ClusterFault>>;

    async fn connect(&self) -> Result<Bounds, ClusterFault> {
        match *self.0.sees.lock() {
            Sees::Ill => Err(refused()),
            Sees::Well | Sees::Defect => Ok(self.0.bounds()),
        }
    }

    async fn open(&self, at: u64) -> Result<Self::Records, ClusterFault> {
        self.0.opened.fetch_add(1, Relaxed);
        let there = (at..self.0.end.load(Relaxed)).map(|offset| Ok(LogRecord { at: None, ..record(offset) }));
        Ok(stream::iter(there).chain(stream::pending()).boxed())
    }

    async fn bounds(&self) -> Result<Bounds, ClusterFault> {
        let sees = *self.0.sees.lock();
        match sees {
            Sees::Well => Ok(self.0.bounds()),
            Sees::Ill => Err(refused()),
            Sees::Defect => panic!("the looks' task goes down, as the test wants it to"),
        }
    }

    async fn mirror(&self, settled: u64) -> Result<bool, ClusterFault> {
        let told = *self.0.session.lock();
        if told {
            self.0.mirrored.lock().push(settled);
        }
        Ok(told)
    }
}

fn source_of(odd: &Shared, settled: Option<SettledOffset>) -> FluvioSource<Shared> {
    let end = odd.0.end.load(Relaxed);
    super::source_of(&options(), odd.clone(), (3, 0, end), settled, Clock::simulated(1_000_000))
}

fn read(
    source: FluvioSource<Shared>,
) -> Pin<Box<impl Stream<Item = Result<SourceRecord, TopicFault>> + Send>> {
    Box::pin(source.into_stream())
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_lost_while_nobody_takes_is_told_and_so_is_its_return() {
    let odd = Odd::with(9);
    let source = source_of(&odd, None);
    let counts = source.counts();
    assert!(!counts.is_connected(), "nothing has answered yet");
    let mut stream = read(source);
    assert_eq!(take(&mut stream, 1).await.unwrap(), [0]);
    sleep(60 * SECOND).await;
    assert_eq!((counts.away(), counts.trouble()), (None, None), "it is only that nobody takes");

    *odd.0.sees.lock() = Sees::Ill;
    sleep(600 * SECOND).await;
    let away = counts.away().unwrap();
    assert!(away > 590 * SECOND && away <= 600 * SECOND, "{away:?}");
    assert_eq!(counts.trouble().as_deref(), Some("the script cannot be reached: refused"));
    *odd.0.sees.lock() = Sees::Well;
    sleep(20 * SECOND).await;
    assert_eq!((counts.away(), odd.0.opened.load(Relaxed)), (None, 1), "the same stream does");
    assert_eq!(take(&mut stream, 8).await.unwrap(), (1..9).collect::<Vec<u64>>());
}

#[tokio::test(start_paused = true)]
async fn a_partition_whose_stream_is_lost_is_away_until_it_gives_again() {
    let (script, source) =
        source(0, (0, 9), [ScriptStep::Play(vec![0], AfterRecords::End), ScriptStep::Hang]);
    let counts = source.counts();
    let mut stream = Box::pin(source.into_stream());
    assert_eq!(take(&mut stream, 1).await.unwrap(), [0]);
    assert!(tokio::time::timeout(5 * SECOND, stream.next()).await.is_err());
    assert!(counts.away().is_some_and(|away| away <= 5 * SECOND));
    assert_eq!(counts.trouble().as_deref(), Some("the stream ended"));
    assert_eq!(take(&mut stream, 1).await.unwrap(), [1]);
    assert_eq!((counts.is_connected(), counts.trouble(), script.connects()), (true, None, 3));
}

#[tokio::test(start_paused = true)]
async fn what_waits_has_an_age_also_if_nothing_is_stamped_or_nothing_has_been_read() {
    let odd = Odd::with(3);
    let source = source_of(&odd, None);
    let counts = source.counts();
    sleep(30 * SECOND).await;
    assert_eq!(counts.unread_age(0), Some(30_000), "nothing has been read yet");
    let mut stream = read(source);
    assert_eq!(take(&mut stream, 3).await.unwrap(), [0, 1, 2]);
    assert_eq!(counts.unread_age(1 << 40), None, "all has been read");
    odd.0.end.store(7, Relaxed);
    sleep(60 * SECOND).await;
    let age = counts.unread_age(0).unwrap();
    assert!((55_000..=60_000).contains(&age), "{age}");
}

#[tokio::test(start_paused = true)]
async fn looks_that_end_are_a_fault_after_which_they_begin_anew() {
    let odd = Odd::with(1);
    let source = source_of(&odd, None);
    let counts = source.counts();
    let mut stream = read(source);
    assert_eq!(take(&mut stream, 1).await.unwrap(), [0]);
    sleep(SECOND).await;
    *odd.0.sees.lock() = Sees::Defect;
    let waited = tokio::time::timeout(30 * SECOND, stream.next()).await;
    assert!(waited.is_err() && !counts.is_connected());
    assert!(counts.trouble().unwrap().contains("nothing looks at the log's end"));
    let opened = odd.0.opened.load(Relaxed);
    assert!((3..30).contains(&opened), "with pauses between the tries: {opened}");

    *odd.0.sees.lock() = Sees::Well;
    // Only the watchdog can find this one: the stream gives nothing that came after it was opened.
    assert!(tokio::time::timeout(60 * SECOND, stream.next()).await.is_err() && counts.is_connected());
    odd.0.end.store(2, Relaxed);
    assert_eq!(take(&mut stream, 1).await.unwrap(), [1]);
    assert_eq!(counts.stalls(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_mirrored_is_not_taken_for_told_and_the_last_word_comes_at_the_end() {
    let odd = Odd::with(1);
    let settled = Arc::new(AtomicU64::new(3));
    let asked = settled.clone();
    let source = source_of(&odd, Some(SettledOffset::new(move || Some(asked.load(Relaxed)))));
    let last = source.mirror.clone().unwrap();
    *odd.0.session.lock() = false;
    let mut stream = read(source);
    assert_eq!(take(&mut stream, 1).await.unwrap(), [0]);
    sleep(60 * SECOND).await;
    assert_eq!(*odd.0.mirrored.lock(), [] as [u64; 0], "there is no session to tell it in");
    *odd.0.session.lock() = true;
    sleep(60 * SECOND).await;
    assert_eq!(*odd.0.mirrored.lock(), [3]);

    settled.store(5, Relaxed);
    drop(stream);
    sleep(60 * SECOND).await;
    assert_eq!(*odd.0.mirrored.lock(), [3], "nobody looks any more");
    last.report_last().await;
    last.report_last().await;
    assert_eq!(*odd.0.mirrored.lock(), [3, 5]);
}

/// What is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_lag_is_told_once_a_minute_also_while_nobody_answers() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    // With a second one, what other threads log for the first time does not count as wanted by nobody.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let _logged = tracing::subscriber::set_default(subscriber);
    let odd = Odd::with(9);
    let mut stream = read(source_of(&odd, None));
    let _taken = take(&mut stream, 9).await.unwrap();
    odd.0.end.store(12, Relaxed);
    sleep(10 * SECOND).await;
    *odd.0.sees.lock() = Sees::Ill;
    // Asked for, so that the stream is closed and no other one can be opened.
    assert!(tokio::time::timeout(200 * SECOND, stream.next()).await.is_err());
    let text = String::from_utf8(log.0.lock().clone()).unwrap();
    let told: Vec<_> = text.lines().filter(|line| line.contains("unread records in the log")).collect();
    assert!(text.contains("the cluster is unreachable") && told.len() == 3, "{text}");
    assert!(told[0].contains("position=9 end=12 unread=3 oldest=Some("), "{text}");
}
