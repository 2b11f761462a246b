//! A member against a scripted cluster and a line that settles when it is told to.

mod commits;
mod following;
mod losses;
mod moves;
mod places;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, Stream, StreamExt, future::BoxFuture};
use line::{Cursor, SourceRecord};
use parking_lot::Mutex;
use stages::Lease;
use state::{Checkpoint, Clock, StateFault};
use tokio::time::sleep;
use topics::Checkpoints;

use crate::{
    drain::{Drained, PartitionDrain},
    fault::KafkaFault,
    follow::PartitionState,
    given::RecordStream,
    lease::{GroupSession, MemberLease},
    member::Member,
    name_of,
    options::{GroupProtocol, KafkaOptions, Reading},
    scripted::Scripted,
    testing::{SECOND, group, options},
};

/// What is on record, in memory.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<BTreeMap<String, Checkpoint>>>);

impl Checkpoints for Kept {
    fn checkpoint(&self, source: &str) -> Result<Option<Checkpoint>, StateFault> {
        Ok(self.0.lock().get(source).cloned())
    }

    async fn begin(&self, source: Arc<str>, at: Checkpoint) -> Result<(), StateFault> {
        self.0.lock().insert(source.to_string(), at);
        Ok(())
    }
}

/// A line that settles what it is told to, and takes its time to give a partition up.
#[derive(Clone, Default)]
struct ScriptedLine(Arc<Mutex<LineInside>>);

#[derive(Default)]
struct LineInside {
    settled: HashMap<Arc<str>, Cursor>,
    /// What a release settles of what was on the wire.
    on_the_wire: HashMap<Arc<str>, Cursor>,
    release_takes: Duration,
    /// Whether what is given up may have been sent without an outcome.
    in_doubt: bool,
    released: Vec<Arc<str>>,
    lost: Vec<Arc<str>>,
}

impl ScriptedLine {
    fn settle(&self, partition: i32, record: &SourceRecord) {
        self.0.lock().settled.insert(name_of("t", partition), record.next.clone());
    }
}

impl PartitionDrain for ScriptedLine {
    fn settled(&self) -> Vec<(Arc<str>, Cursor)> {
        self.0.lock().settled.iter().map(|(source, cursor)| (Arc::clone(source), cursor.clone())).collect()
    }

    fn release<'d>(&'d self, source: &'d str) -> BoxFuture<'d, Drained> {
        async move {
            let takes = self.0.lock().release_takes;
            sleep(takes).await;
            let mut inside = self.0.lock();
            inside.released.push(source.into());
            let before = inside.settled.remove(source);
            let cursor = inside.on_the_wire.remove(source).or(before);
            Drained { cursor, clean: !inside.in_doubt }
        }
        .boxed()
    }

    fn lose(&self, source: &str) {
        let mut inside = self.0.lock();
        inside.lost.push(source.into());
        inside.settled.remove(source);
    }
}

/// A member at work, and everything around it.
struct Site {
    line: ScriptedLine,
    kept: Kept,
    member: Arc<Member<Scripted, Kept>>,
    /// Kept only if the partitions' state follows them.
    lease: Arc<Lease>,
}

/// How long the group waits for a silent member.
const SESSION: Duration = Duration::from_secs(45);

impl Site {
    fn new(cluster: &Scripted, options: KafkaOptions) -> Self {
        let kept = Kept::default();
        Self::with(cluster, options, kept)
    }

    fn with(cluster: &Scripted, options: KafkaOptions, kept: Kept) -> Self {
        Self::following(cluster, options, kept, None)
    }

    /// One whose partitions' state is kept there.
    fn following(
        cluster: &Scripted,
        options: KafkaOptions,
        kept: Kept,
        follow: Option<Arc<dyn PartitionState>>,
    ) -> Self {
        let clock = Clock::simulated(1_000_000);
        let lease = Arc::new(Lease::new(clock.clone()));
        let kept_by_group =
            follow.is_some().then(|| MemberLease::new(lease.clone(), GroupSession::waiting(SESSION)));
        let member =
            Arc::new(Member::new(cluster.clone(), options, kept.clone(), clock, follow, kept_by_group));
        let line = ScriptedLine::default();
        member.attach(Arc::new(line.clone()));
        Self { line, kept, member, lease }
    }

    /// The stream of the next partition that the line takes.
    async fn take(&self) -> Result<RecordStream, KafkaFault> {
        Ok(self.member.given.clone().next().await.expect("there is no end")?.records)
    }
}

fn in_group() -> KafkaOptions {
    options(group(GroupProtocol::Classic))
}

fn fixed(partitions: &[i32]) -> KafkaOptions {
    options(Reading::Partitions(partitions.to_vec()))
}

/// The next `count` records.
async fn read(
    records: &mut (impl Stream<Item = Result<SourceRecord, KafkaFault>> + Unpin),
    count: usize,
) -> Vec<SourceRecord> {
    let mut read = Vec::new();
    while read.len() < count {
        read.push(records.next().await.expect("the partition is still there").unwrap());
    }
    read
}

fn offsets(records: &[SourceRecord]) -> Vec<u64> {
    records.iter().map(|record| record.raw.position.offset).collect()
}

/// What a stream gives when it is asked once.
fn ask(records: &mut RecordStream) -> Option<Option<u64>> {
    records.next().now_or_never().map(|record| record.map(|record| record.unwrap().raw.position.offset))
}
